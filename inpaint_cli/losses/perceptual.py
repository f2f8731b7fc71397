"""Features of a VGG network, frozen, and how far apart two sets of them are."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.backbones import load_backbone

Network = Literal["vgg16", "vgg19"]
VGGSource = Literal["imagenet", "none", "random"]

PLANS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # convolutions a block
WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """Activations of VGG-16 or VGG-19 at `taps`, in order: "relu3_1" or "pool3" and the like.

    Images are RGB in 0..1; ImageNet's mean and deviation are taken off inside unless
    `normalise=False`. `source="imagenet"` reads torchvision's weights from where
    `pretrained.path` finds them and raises WeightsError where they are missing; "random" draws
    them from a fixed seed and is for tests and for runs that say so. The weights are buffers that
    no state holds: they do not train, and a checkpoint does not carry them.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: Network,
        taps: Sequence[str],
        *,
        source: Literal["imagenet", "random"] = "imagenet",
        normalise: bool = True,
    ) -> None:
        super().__init__()
        self.steps = vgg_layout(network, taps)
        self.normalise = normalise
        self.taps = tuple(taps)
        weights = load_backbone(network) if source == "imagenet" else random_weights(self.steps)
        for name, index in self.steps:
            if name.startswith("relu"):
                for part in ("weight", "bias"):
                    tensor = weights[f"features.{index}.{part}"]
                    self.register_buffer(f"{name}_{part}", tensor, persistent=False)
        for name, values in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
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
        """`perceptual` of the features of two images; only `filled` gets a gradient."""
        with torch.no_grad():
            true = self(truth)
        return perceptual_loss(self(filled), true)


def make_vgg(network: Network, taps: Sequence[str], source: VGGSource) -> VGG | None:
    """The network that a task's settings ask for; None for "none"."""
    return None if source == "none" else VGG(network, taps, source=source)


def source_label(source: VGGSource) -> list[str]:
    """What the name of a run says of its VGG: nothing where it is the published one."""
    return {"imagenet": [], "none": ["no-vgg"], "random": ["random-vgg"]}[source]


def vgg_layout(network: Network, taps: Sequence[str]) -> list[tuple[str, int]]:
    """The steps as far as the last tap, each with torchvision's index of its layer."""
    steps: list[tuple[str, int]] = []
    index = 0
    for block, count in enumerate(PLANS[network], 1):
        for conv in range(1, count + 1):
            steps.append((f"relu{block}_{conv}", index))
            index += 2  # the convolution and its ReLU
        steps.append((f"pool{block}", index))
        index += 1
    names = [name for name, _ in steps]
    return steps[: max(names.index(tap) for tap in taps) + 1]


def random_weights(steps: Sequence[tuple[str, int]]) -> dict[str, Tensor]:
    """He-normal weights, the same each time, whatever torch's own generator has given out."""
    generator = torch.Generator().manual_seed(0)
    weights, inputs = {}, 3
    for name, index in steps:
        if name.startswith("relu"):
            outputs = WIDTHS[int(name[4]) - 1]
            weight = torch.randn(outputs, inputs, 3, 3, generator=generator)
            weights[f"features.{index}.weight"] = weight * (2 / (9 * inputs)) ** 0.5
            weights[f"features.{index}.bias"] = torch.zeros(outputs)
            inputs = outputs
    return weights


def perceptual_loss(filled: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """sum over layers of mean |phi(filled) - phi(truth)| (PConv, section 3.3), of features."""
    return torch.stack([F.l1_loss(a, b) for a, b in zip(filled, truth, strict=True)]).sum()


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrices [N, C, C] of [N, C, H, W], divided by C * H * W; in float32."""
    n, c, h, w = features.shape
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().reshape(n, c, h * w)
        return flat @ flat.mT / (c * h * w)


def style_loss(filled: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """sum over layers of mean |gram(filled) - gram(truth)| (PConv, section 3.3), of features."""
    return perceptual_loss([gram_matrix(f) for f in filled], [gram_matrix(f) for f in truth])
