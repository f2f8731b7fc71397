"""The network of `portrait`: what `gaussian` fills softly, with detail from what is visible.

Our own combination of known parts: gated convolutions (Yu et al., ICCV 2019) around a middle of
fast Fourier convolutions, whose reach is the whole picture (Suvorov et al., WACV 2022).
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import FFCBlock, GatedConv2d

from .frames import frame_weights
from .model import GaussianFill, disable_autocast, fill_each
from .settings import PortraitSettings

AROUND = 1.4  # sides of the frame of a face that the network is shown
LEAST_SIDE = 32  # pixels of what it is shown
MULTIPLE = 32  # of its sides, so that every level has whole pixels


class Detailed(NamedTuple):
    """Pictures [N, 3, H, W] in 0..1: with detail, and as the Gaussian fills them."""

    sharp: Tensor
    soft: Tensor


class DetailNet(nn.Module):
    """Residuals [N, 3, H, W] of a soft fill, from it, the visible pixels and which these are.

    Each level has half as many pixels a side as the one above and twice the channels. It starts as
    0, so that a fill is never worse than the soft one because the network is new.
    """

    def __init__(self, *, width: int, levels: int, blocks: int) -> None:
        super().__init__()
        widths = [width * 2**n for n in range(levels + 1)]
        pairs = [*pairwise(widths)]
        self.enter = GatedConv2d(7, width, kernel=5)
        self.encoder = nn.ModuleList(
            nn.Sequential(GatedConv2d(upper, lower, stride=2), GatedConv2d(lower, lower))
            for upper, lower in pairs
        )
        self.middle = nn.Sequential(*(FFCBlock(widths[-1]) for _ in range(blocks)))
        self.decoder = nn.ModuleList(
            nn.Sequential(GatedConv2d(lower + upper, upper), GatedConv2d(upper, upper))
            for upper, lower in pairs
        )
        self.leave = nn.Conv2d(width, 3, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, soft: Tensor, visible: Tensor, known: Tensor) -> Tensor:
        x = self.enter(torch.cat([soft, visible, known], dim=1))
        skips = []
        for block in self.encoder:
            skips.append(x)
            x = block(x)
        x = self.middle(x)
        for block in reversed(self.decoder):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0), skips.pop()], dim=1))
        return self.leave(x).float()


class PortraitFill(nn.Module):
    """A `GaussianFill`, then a network that sharpens the fill where a face was found."""

    def __init__(self, settings: PortraitSettings) -> None:
        super().__init__()
        self.canvas = settings.canvas
        self.base = GaussianFill(settings)
        self.detail = DetailNet(
            width=settings.detail_width,
            levels=settings.detail_levels,
            blocks=settings.detail_blocks,
        )

    def forward(
        self, visible: Tensor, mask: Tensor, *, joined: bool = True, frames: Tensor | None = None
    ) -> Tensor | Detailed:
        """Return the filled photo; unless `joined`, what the Gaussian predicts of all.

        With the `frames` [N, 3] of the faces in square photos, which training knows, both fills.
        """
        if not joined:
            return self.base(visible, mask, joined=False)
        known = 1 - mask.float()
        visible = (visible.float() - 0.5) * known
        if frames is not None:
            with torch.no_grad():  # it is trained already
                soft = self.base.fill_framed(visible, known, frames)
            sharp = soft + self.detail(soft, visible, known) * (1 - known)
            return Detailed(sharp + 0.5, soft + 0.5)
        return fill_each(self.fill_photo, visible, known)

    def fill_photo(self, visible: Tensor, known: Tensor) -> Tensor:
        """Return the photo [1, 3, H, W], less 0.5 like `visible`, filled."""
        if known.all():
            return visible
        with disable_autocast(visible):
            frames, log_odds = self.base.find_frames(visible, known)
        soft = self.base.fill_in_frames(visible, known, frames, log_odds)
        if not frame_weights(log_odds).any():
            return soft  # no face was found
        return soft + self.detail_near(frames[log_odds.argmax()], soft, visible, known)

    def detail_near(self, frame: Tensor, soft: Tensor, visible: Tensor, known: Tensor) -> Tensor:
        """Return what is added to the fill `soft` [1, 3, H, W] around the face in `frame` [3]."""
        height, width = soft.shape[-2:]
        square = square_around(frame, height, width, self.canvas)
        parts = [crop_square(x, square) for x in (soft, visible, known)]
        side = square[2]
        if side > self.canvas:
            parts = [F.interpolate(x, (self.canvas,) * 2, mode="area") for x in parts]
            parts[2] = (parts[2] > 0.999).float()
            parts[1] = parts[1] * parts[2]
        added = self.detail(*parts)
        if side > self.canvas:
            added = F.interpolate(added, (side, side), mode="bicubic", align_corners=False)
        return paste_square(added, square, height, width) * (1 - known)


Square = tuple[int, int, int]  # top, left and side, in pixels; it may reach beyond the photo


def square_around(frame: Tensor, height: int, width: int, canvas: int) -> Square:
    """Return the part of a photo around a face that the network is shown.

    A square of up to `canvas` pixels is shown as it is; its side is then a multiple of `MULTIPLE`.
    """
    whole = max(height, width)
    side, y, x = (float(part) * whole for part in frame)
    pixels = round(min(AROUND * side, whole))
    if pixels <= canvas:
        pixels = max(-(-pixels // MULTIPLE) * MULTIPLE, LEAST_SIDE)

    def begin(middle: float, length: int) -> int:
        """Return where the square begins along a side of the photo, inside it if it fits."""
        if pixels > length:
            return (length - pixels) // 2
        place = round(middle - (whole - length) / 2 - pixels / 2)
        return min(max(place, 0), length - pixels)

    return begin(y, height), begin(x, width), pixels


def crop_square(image: Tensor, square: Square) -> Tensor:
    """Return the pixels of `image` [1, C, H, W] in `square`, 0 beyond the image."""
    top, left, side = square
    height, width = image.shape[-2:]
    return F.pad(image, (-left, left + side - width, -top, top + side - height))


def paste_square(part: Tensor, square: Square, height: int, width: int) -> Tensor:
    """Return an image of 0 [1, C, H, W] with `part` in `square`: the reverse of `crop_square`."""
    top, left, side = square
    return F.pad(part, (left, width - left - side, top, height - top - side))
