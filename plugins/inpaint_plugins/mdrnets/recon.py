"""The reconstruction network, whose inner features say how regions go together, and its loss."""

from typing import Literal

import torch
from torch import Tensor, nn

from .memory import pool
from .model import mirrored
from .regions import REGIONS


class ResBlock(nn.Module):
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
    """An autoencoder of whole pictures, without skips; layers as EdgeConnect's [choice]."""

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
        self.register_load_state_dict_pre_hook(assumed)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        return self.decoder(self.features(mirrored(image, 4)))[..., :height, :width]

    def features(self, image: Tensor) -> Tensor:
        return self.encoder(2 * image - 1)


def assumed(_: nn.Module, state: dict[str, Tensor], prefix: str, *rest: object) -> None:
    """Take the network of a state that does not tell for trained."""
    state.setdefault(f"{prefix}trained", torch.tensor(True))


def inco2(
    filled: Tensor,
    truth: Tensor,
    regions: Tensor,
    hole: Tensor,
    *,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Eq. 6 to 8: regions in the hole go with each other, and with known ones, as in the truth.

    Features A(O) and A(I) [N, C, h, w] by the regions [N, h, w] of the truth for both [choice:
    the loss is 0 exactly where they are equal], hole [N, 1, h, w]. mean: products are divided by
    C and averaged over the pairs of regions that there are, none giving 0 [choice]; sum: as
    printed.
    """
    inside, there = pool(filled, regions, hole, REGIONS)
    outside, around = pool(filled, regions, 1 - hole, REGIONS)
    true_inside, _ = pool(truth, regions, hole, REGIONS)
    true_outside, _ = pool(truth, regions, 1 - hole, REGIONS)
    total = filled.new_zeros((), dtype=torch.float32)
    for ours, theirs, second in (
        (inside @ inside.mT, true_inside @ true_inside.mT, there),
        (inside @ outside.mT, true_inside @ true_outside.mT, around),
    ):
        pairs = (there[:, :, None] > 0) & (second[:, None] > 0)  # N R R
        error = ((ours - theirs).abs() * pairs).sum()
        if reduction == "mean":
            error = error / (filled.shape[1] * pairs.sum().clamp(min=1))
        total = total + error
    return total
