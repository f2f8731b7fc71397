"""Finds the face, guesses it by a Gaussian and then a network, and joins the guess to the photo."""

from functools import partial
from types import EllipsisType

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import Settings, spread_colours

from .frames import WHOLE, believed, find, views, within
from .gaussian import Gaussian, Noise, Pictures
from .network import ResidualUNet

Near = tuple[EllipsisType, slice, slice]  # rows and columns of pictures [..., H, W]
EVERYWHERE: Near = (..., slice(None), slice(None))
enlarged = partial(F.interpolate, mode="bicubic", align_corners=False)


class GaussianSettings(Settings):
    side: PositiveInt = 32  # cells a side of the Gaussian's picture
    noise: PositiveFloat = 2e-3  # initial variance of a cell's colours beyond the Gaussian
    sight: PositiveInt = 128  # pixels a side of the network's picture
    fold: PositiveInt = 4  # pixels a side that the network folds into the channels of one place
    width: NonNegativeInt = 64  # channels of the first level, doubled by each next; 0: no network
    widest: PositiveInt = 256  # channels of any level, at most
    levels: PositiveInt = 4  # each has half as many places a side as the one before


class GaussianFill(nn.Module):
    """Guesses what is hidden in the frames of a photo that look most like what was learned.

    Around them, the fill is what the Gaussian of pictures from elsewhere expects. The error of a
    guess at visible pixels is spread into the hole and taken off there, so that the fill joins the
    photo without a step. A photo is seen as a square, in which all beyond its borders is hidden.
    """

    def __init__(self, settings: GaussianSettings) -> None:
        super().__init__()
        self.sight = settings.sight
        self.noise = Noise(settings.noise)
        self.taught, self.elsewhere = Pictures(settings.side), Pictures(settings.side // 2)
        self.network = (
            ResidualUNet(
                inputs=7,  # a guess, the visible pixels, and which these are
                outputs=3,
                fold=settings.fold,
                width=settings.width,
                widest=settings.widest,
                levels=settings.levels,
            )
            if settings.width
            else None
        )

    def forward(self, visible: Tensor, mask: Tensor, *, joined: bool = True) -> Tensor:
        """The filled photo; unless `joined`, the guess at all of it [N, 3, sight, sight]."""
        known = 1 - mask.float()
        visible = (visible.float() - 0.5) * known
        if not joined:
            return 0.5 + self.guess(squared(visible, self.sight), squared(known, self.sight))
        return 0.5 + torch.cat(
            [self.filled(v, k) for v, k in zip(visible.split(1), known.split(1), strict=True)]
        )

    def filled(self, visible: Tensor, known: Tensor) -> Tensor:
        """The filled photo [1, 3, H, W], less 0.5 like `visible`: the frames' fills, weighted."""
        if known.all():
            return visible
        near = beside(known)
        seen, there = visible[near], known[near]
        with exact(visible):
            frames, log_odds = self.found(visible, known)
            around = self.expected(self.elsewhere(), visible, known)
            base = placed(around, visible.new_tensor(WHOLE), visible, near)
        guesses = [
            (weight, *self.guessed(frame, visible, known, near))
            for frame, weight in zip(frames, believed(log_odds), strict=True)
            if weight > 0
        ]
        with exact(visible):
            fill = torch.zeros_like(seen) if guesses else base + spread_colours(seen - base, there)
            for weight, guess, inside in guesses:
                fill = fill + weight * joined(seen, there, guess, inside, base)
        out = visible.clone()
        out[near] = torch.where(there > 0, seen, fill)
        return out

    def found(self, visible: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Frames [K, 3] in a photo [1, 3, H, W], and the log odds [K] of each."""
        seen, share = squared(visible, self.sight), squared(known, self.sight)
        noise = float(self.noise().detach().mean())
        return find(seen, share, self.taught(), self.elsewhere(), noise)

    def guessed(
        self, frame: Tensor, visible: Tensor, known: Tensor, near: Near = EVERYWHERE
    ) -> tuple[Tensor, Tensor]:
        """The guess [1, 3, h, w] from what `frame` [3] shows of a photo, and where there is one.

        Both are for the rows and columns `near` only.
        """
        scale = max(1, round(self.sight / float(frame[0])))  # at which the frame has `sight` pixels
        seen, share = (views(squared(x, scale), frame[None], self.sight) for x in (visible, known))
        guess = placed(self.guess(seen, share), frame, visible, near)
        inside = placed(torch.ones_like(share), frame, visible, near, "zeros")
        return guess, (inside > 0.99).float()

    def guess(self, seen: Tensor, share: Tensor) -> Tensor:
        """The whole picture [N, 3, sight, sight] less 0.5; without a network, the Gaussian's.

        `seen` [N, 3, sight, sight] is already multiplied by `share` [N, 1, sight, sight], how much
        of each pixel is visible.
        """
        with exact(seen):
            guess = enlarged(self.expected(self.taught(), seen, share), (self.sight, self.sight))
            if not self.network:
                return guess
            whole = (share > 0.999).float()
            guess = guess + spread_colours(seen - guess, whole, steps=0)
        return guess + self.network(torch.cat([guess, seen * whole, whole], dim=1)).float()

    def expected(self, gaussian: Gaussian, seen: Tensor, share: Tensor) -> Tensor:
        """The cells [N, 3, S, S] that `gaussian` expects; `seen` and `share` are as in `guess`."""
        shares = squared(share, gaussian.side)
        colours = squared(seen, gaussian.side) / shares.clamp(min=1e-6)
        return gaussian.expected(colours, shares, self.noise())


def placed(
    small: Tensor, frame: Tensor, photo: Tensor, near: Near, beyond: str = "border"
) -> Tensor:
    """`small` [1, C, S, S] put in `frame` [3] of a picture of the size of `photo` [1, 3, H, W].

    Only the rows and columns `near` are made, which are few in a large photo.
    """
    sides = photo.shape[-2:]
    ranges = [range(side)[part] for side, part in zip(sides, near[1:], strict=True)]
    size = max(map(len, ranges))
    middles = [
        ((max(sides) - side) // 2 + part.start + size / 2) / max(sides)
        for side, part in zip(sides, ranges, strict=True)
    ]
    square = frame.new_tensor([size / max(sides), *middles])  # begins where `near` does
    smooth = enlarged(small, (4 * small.shape[-1],) * 2)
    out = views(smooth, within(square, frame)[None], size, beyond)
    return out[..., : len(ranges[0]), : len(ranges[1])]


def joined(visible: Tensor, known: Tensor, guess: Tensor, inside: Tensor, base: Tensor) -> Tensor:
    """`guess` less its error, spread from visible pixels; `base` likewise where `inside` is 0."""
    guess = guess + spread_colours(visible - guess, known * inside)
    settled = torch.where(known > 0, visible, guess)
    return base + spread_colours(settled - base, torch.maximum(known, inside))


def beside(known: Tensor) -> Near:
    """The rows and columns of the hole, with as much around it as its fill depends on."""
    found = []
    for axis in (-2, -1):
        hidden = (known == 0).any(dim=-3 - axis).flatten().nonzero()
        first, last = int(hidden[0]), int(hidden[-1]) + 1
        room = 64 + (last - first) // 2
        found.append(slice(max(first - room, 0), last + room))
    return ..., found[0], found[1]


def exact(tensor: Tensor) -> torch.autocast:
    """Full precision, whatever is asked for: visible pixels must not be rounded."""
    return torch.autocast(tensor.device.type, enabled=False)


def squared(image: Tensor, side: int) -> Tensor:
    """The means [N, C, side, side] of `image` [N, C, H, W], padded to a square with 0."""
    height, width = image.shape[-2:]
    if height == width == side:
        return image
    rows, columns = max(width - height, 0), max(height - width, 0)
    margins = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
    return F.adaptive_avg_pool2d(F.pad(image, margins), side)
