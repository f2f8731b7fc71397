"""Features of a frozen VGG network, and losses that compare two sets of them."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.backbones import load_backbone
from .settings import VGGSource

VGGName = Literal["vgg16", "vgg19"]

VGG_CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # in each block
VGG_CHANNELS = (64, 128, 256, 512, 512)  # of each block


class VGG(nn.Module):
    """Activations of VGG-16 or VGG-19 at the layers `taps`, such as "relu3_1" and "pool3".

    Images are [N, 3, H, W] in 0..1; they are normalised with ImageNet's mean and deviation unless
    `normalise=False`. `source="imagenet"` loads torchvision's weights as `load_backbone` does, and
    raises `WeightsError` if they are missing; "random" draws weights from a fixed seed, for tests
    and for runs whose name says so. The weights are buffers outside the state dict: they are not
    trained, and no checkpoint contains them.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: VGGName,
        taps: Sequence[str],
        *,
        source: Literal["imagenet", "random"] = "imagenet",
        normalise: bool = True,
    ) -> None:
        super().__init__()
        self.steps = vgg_layout(network, taps)
        self.normalise = normalise
        self.taps = tuple(taps)
        draw = partial(random_weights, self.steps)
        weights = load_backbone(network, draw) if source == "imagenet" else draw()
        for name, index in self.steps:
            if name.startswith("relu"):
                for part in ("weight", "bias"):
                    tensor = weights[f"features.{index}.{part}"]
                    self.register_buffer(f"{name}_{part}", tensor, persistent=False)
        for name, values in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the activations [N, C, h, w] at `taps`, in their order."""
        x = (image - self.mean) / self.std if self.normalise else image
        found = {}
        for name, _ in self.steps:
            if name.startswith("pool"):
                x = F.max_pool2d(x, 2)
            else:
                weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
            if name in self.taps:
                found[name] = x
        return [found[tap] for tap in self.taps]

    def perceptual(self, filled: Tensor, truth: Tensor) -> Tensor:
        """Return `perceptual_loss` of the features of two images; only `filled` gets a gradient."""
        with torch.no_grad():
            true = self(truth)
        return perceptual_loss(self(filled), true)


def make_vgg(network: VGGName, taps: Sequence[str], source: VGGSource) -> VGG | None:
    """Make the VGG network that a task's settings ask for; None for "none"."""
    return None if source == "none" else VGG(network, taps, source=source)


def vgg_layout(network: VGGName, taps: Sequence[str]) -> list[tuple[str, int]]:
    """List the layers up to the last tap, each with its index in torchvision's `features`."""
    steps: list[tuple[str, int]] = []
    index = 0
    for block, count in enumerate(VGG_CONVOLUTIONS[network], 1):
        for conv in range(1, count + 1):
            steps.append((f"relu{block}_{conv}", index))
            index += 2  # the convolution and its ReLU
        steps.append((f"pool{block}", index))
        index += 1
    names = [name for name, _ in steps]
    return steps[: max(names.index(tap) for tap in taps) + 1]


def random_weights(steps: Sequence[tuple[str, int]]) -> dict[str, Tensor]:
    """Draw He-normal weights with a fixed seed, independently of torch's global generator."""
    generator = torch.Generator().manual_seed(0)
    weights, inputs = {}, 3
    for name, index in steps:
        if name.startswith("relu"):
            outputs = VGG_CHANNELS[int(name[4]) - 1]
            weight = torch.randn(outputs, inputs, 3, 3, generator=generator)
            weights[f"features.{index}.weight"] = weight * (2 / (9 * inputs)) ** 0.5
            weights[f"features.{index}.bias"] = torch.zeros(outputs)
            inputs = outputs
    return weights


def perceptual_loss(filled: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """Sum over layers of mean |filled - truth| of features (PConv, section 3.3)."""
    return torch.stack([F.l1_loss(a, b) for a, b in zip(filled, truth, strict=True)]).sum()


def gram_matrix(features: Tensor) -> Tensor:
    """Return the Gram matrices [N, C, C] of [N, C, H, W], divided by C * H * W, in float32."""
    n, c, h, w = features.shape
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().reshape(n, c, h * w)
        return flat @ flat.mT / (c * h * w)


def style_loss(filled: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """Sum over layers of mean |gram(filled) - gram(truth)| of features (PConv, section 3.3)."""
    return perceptual_loss([gram_matrix(f) for f in filled], [gram_matrix(f) for f in truth])
