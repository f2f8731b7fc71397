"""Patch discriminators: a map of scores, one for each patch, and their hidden features."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

CriticNorm = Literal["spectral", "instance", "batch"]


class PatchDiscriminator(nn.Module):
    """Convolutions with LeakyReLU 0.2 between them; scores are logits.

    `norm` is the kind of normalisation:
    - spectral: every convolution spectrally normalised;
    - instance: the inner ones spectrally normalised, without bias, each followed by instance norm;
    - batch: batch norm after the inner ones.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        *,
        kernel: int = 4,
        padding: int = 1,
        norm: CriticNorm = "spectral",
        bias: bool = False,
    ) -> None:
        super().__init__()
        layers = []
        for n, (a, b, stride) in enumerate(zip(channels[:-1], channels[1:], strides, strict=True)):
            inner = 0 < n < len(strides) - 1
            plain = norm == "batch" or (norm == "instance" and not inner)
            biased = bias and not (norm == "instance" and inner)
            conv = nn.Conv2d(a, b, kernel, stride, padding, bias=biased)
            layer = nn.Sequential(conv if plain else spectral_norm(conv))
            if inner and norm != "spectral":
                layer.append(nn.BatchNorm2d(b) if norm == "batch" else nn.InstanceNorm2d(b))
            layers.append(layer)
        self.layers = nn.ModuleList(layers)

    def forward(self, image: Tensor, *, full: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Return scores [N, C, h, w] and the hidden activations, first to last.

        `full` computes in float32 even under autocast, for R1, which differentiates twice.
        """
        features = [image]
        with torch.autocast(image.device.type, enabled=False) if full else nullcontext():
            for layer in self.layers[:-1]:
                features.append(F.leaky_relu(layer(features[-1]), 0.2))
            return self.layers[-1](features[-1]), features[1:]


def edgeconnect_critic(
    inputs: int = 3, *, width: int = 64, norm: CriticNorm = "spectral"
) -> PatchDiscriminator:
    """Make EdgeConnect's 70 x 70 PatchGAN, 2,763,776 parameters, for sides of at least 24 pixels.

    `norm="instance"` is the variant of SPN's probabilistic network: the outer layers have a bias.
    """
    channels = [inputs, width, 2 * width, 4 * width, 8 * width, 1]
    return PatchDiscriminator(channels, (2, 2, 2, 1, 1), norm=norm, bias=norm == "instance")


def sn_patchgan_critic(inputs: int = 4, *, width: int = 64) -> PatchDiscriminator:
    """Make SN-PatchGAN of DeepFill v2 (section 3.3): each of [N, 4 width, h/64, w/64] is a score.

    Its input is the image and the mask.
    """
    channels = [inputs, width, 2 * width, *[4 * width] * 4]
    return PatchDiscriminator(channels, (2,) * 6, kernel=5, padding=2, bias=True)


def pix2pixhd_critic(inputs: int = 3, *, width: int = 64, layers: int = 4) -> PatchDiscriminator:
    """Make pix2pixHD's discriminator, as LaMa uses it: `layers` strided convolutions, then two."""
    hidden = [width * min(2**n, 8) for n in range(layers)]
    channels = [inputs, *hidden, 8 * width, 1]
    return PatchDiscriminator(channels, (*[2] * layers, 1, 1), padding=2, norm="batch", bias=True)
