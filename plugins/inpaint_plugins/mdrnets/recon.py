"""The reconstruction network, and InCo2, a loss on its features."""

from typing import Literal

import torch
from torch import Tensor, nn

from .memory import pool_regions
from .model import mirror_to_multiple
from .regions import REGION_COUNT


class ResBlock(nn.Module):
    """x + two convolutions with instance norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convs(x)


class Reconstruction(nn.Module):
    """An autoencoder of complete images without skips; layers as in EdgeConnect [choice]."""

    trained: Tensor

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        w = width

        def layer(conv: nn.Module, channels: int) -> list[nn.Module]:
            return [conv, nn.InstanceNorm2d(channels), nn.ReLU()]

        self.encoder = nn.Sequential(
            *layer(nn.Conv2d(3, w, 7, padding=3), w),
            *layer(nn.Conv2d(w, 2 * w, 4, 2, padding=1), 2 * w),
            *layer(nn.Conv2d(2 * w, 4 * w, 4, 2, padding=1), 4 * w),
            ResBlock(4 * w),
            ResBlock(4 * w),  # N 4w H/4: the middle
        )
        self.decoder = nn.Sequential(
            ResBlock(4 * w),
            ResBlock(4 * w),
            *layer(nn.ConvTranspose2d(4 * w, 2 * w, 4, 2, padding=1), 2 * w),
            *layer(nn.ConvTranspose2d(2 * w, w, 4, 2, padding=1), w),
            nn.Conv2d(w, 3, 7, padding=3),
            nn.Sigmoid(),
        )
        self.register_buffer("trained", torch.tensor(False))
        self.register_load_state_dict_pre_hook(assume_trained)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        return self.decoder(self.encode_features(mirror_to_multiple(image, 4)))[
            ..., :height, :width
        ]

    def encode_features(self, image: Tensor) -> Tensor:
        """Return the middle features [N, 4 width, H/4, W/4] of an image in 0..1."""
        return self.encoder(2 * image - 1)


def assume_trained(_: nn.Module, state: dict[str, Tensor], prefix: str, *rest: object) -> None:
    """Assume a trained network if the state, of an older version, does not say."""
    state.setdefault(f"{prefix}trained", torch.tensor(True))


def inco2_loss(
    filled: Tensor,
    truth: Tensor,
    regions: Tensor,
    hole: Tensor,
    *,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Compare the correlations of regions in the hole, and with known regions (eq. 6 to 8).

    `filled` and `truth` are features A(O) and A(I) [N, C, h, w], `regions` [N, h, w] are those of
    the truth for both [choice: so the loss is 0 if and only if they match], `hole` is [N, 1, h, w].
    With "mean", products are divided by C and averaged over the pairs of regions present, or 0 if
    there are none [choice]; "sum" is as printed, averaged over the batch.
    """
    inside, there = pool_regions(filled, regions, hole, REGION_COUNT)
    outside, around = pool_regions(filled, regions, 1 - hole, REGION_COUNT)
    true_inside, _ = pool_regions(truth, regions, hole, REGION_COUNT)
    true_outside, _ = pool_regions(truth, regions, 1 - hole, REGION_COUNT)
    total = filled.new_zeros((), dtype=torch.float32)
    for ours, theirs, second in (
        (inside @ inside.mT, true_inside @ true_inside.mT, there),
        (inside @ outside.mT, true_inside @ true_outside.mT, around),
    ):
        pairs = (there[:, :, None] > 0) & (second[:, None] > 0)  # N R R
        error = ((ours - theirs).abs() * pairs).sum()
        if reduction == "mean":
            error = error / (filled.shape[1] * pairs.sum().clamp(min=1))
        else:
            error = error / len(filled)
        total = total + error
    return total
