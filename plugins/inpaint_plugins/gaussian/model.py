"""The network: find the face, predict it by a Gaussian and a U-Net, blend it into the photo.

Our own combination of known parts: pictures as Gaussian vectors (Turk and Pentland, "Eigenfaces for
Recognition", 1991), their conditional mean, a residual U-Net, and push-pull for the seams.
"""

from collections.abc import Callable
from functools import partial
from types import EllipsisType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import spread_colours

from .frames import (
    WHOLE_FRAME,
    find_frames,
    frame_weights,
    relative_frame,
    sample_frames,
    whole_frames,
)
from .gaussian import Noise, PictureGaussian, PictureStatistics
from .network import ResidualUNet
from .settings import GaussianSettings

Crop = tuple[EllipsisType, slice, slice]  # rows and columns of pictures [..., H, W]
EVERYWHERE: Crop = (..., slice(None), slice(None))
enlarge = partial(F.interpolate, mode="bicubic", align_corners=False)


def place_in_photo(
    small: Tensor, frame: Tensor, photo: Tensor, near: Crop, beyond: str = "border"
) -> Tensor:
    """Enlarge `small` [1, C, S, S] to `frame` [3] of an image as large as `photo` [1, 3, H, W].

    Only the rows and columns `near` are computed, which are few in a large photo.
    """
    sides = photo.shape[-2:]
    ranges = [range(side)[part] for side, part in zip(sides, near[1:], strict=True)]
    size = max(map(len, ranges))
    middles = [
        ((max(sides) - side) // 2 + part.start + size / 2) / max(sides)
        for side, part in zip(sides, ranges, strict=True)
    ]
    square = frame.new_tensor([size / max(sides), *middles])  # begins where `near` does
    smooth = enlarge(small, (4 * small.shape[-1],) * 2)
    out = sample_frames(smooth, relative_frame(square, frame)[None], size, beyond)
    return out[..., : len(ranges[0]), : len(ranges[1])]


def join_to_photo(
    visible: Tensor, known: Tensor, guess: Tensor, inside: Tensor, base: Tensor
) -> Tensor:
    """Correct `guess` by its error at visible pixels; do the same to `base` where `inside` is 0."""
    guess = guess + spread_colours(visible - guess, known * inside)
    settled = torch.where(known > 0, visible, guess)
    return base + spread_colours(settled - base, torch.maximum(known, inside))


def crop_around_hole(known: Tensor) -> Crop:
    """Return the rows and columns of the hole and of the surroundings that its fill depends on."""
    found = []
    for axis in (-2, -1):
        hidden = (known == 0).any(dim=-3 - axis).flatten().nonzero()
        first, last = int(hidden[0]), int(hidden[-1]) + 1
        room = 64 + (last - first) // 2
        found.append(slice(max(first - room, 0), last + room))
    return ..., found[0], found[1]


def disable_autocast(tensor: Tensor) -> torch.autocast:
    """Compute in full precision even under autocast: visible pixels must not be rounded."""
    return torch.autocast(tensor.device.type, enabled=False)


def pool_to_square(image: Tensor, side: int) -> Tensor:
    """Pad `image` [N, C, H, W] with 0 to a square, and average it to [N, C, side, side]."""
    height, width = image.shape[-2:]
    if height == width == side:
        return image
    rows, columns = max(width - height, 0), max(height - width, 0)
    margins = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
    return F.adaptive_avg_pool2d(F.pad(image, margins), side)


def fill_each(fill: Callable[[Tensor, Tensor], Tensor], visible: Tensor, known: Tensor) -> Tensor:
    """Return the photos of a batch, in 0..1, filled one by one: each has frames of its own."""
    pairs = zip(visible.split(1), known.split(1), strict=True)
    return 0.5 + torch.cat([fill(one, there) for one, there in pairs])


class GaussianFill(nn.Module):
    """The network; it predicts the hidden part of the frames that look most like the training data.

    Outside them, the fill is what the Gaussian of pictures from elsewhere expects. The error of a
    prediction at visible pixels is extrapolated into the hole and subtracted, so that the fill
    meets the photo without a step. A photo is padded to a square, and the padding is hidden.
    """

    def __init__(self, settings: GaussianSettings) -> None:
        super().__init__()
        self.sight = settings.sight
        self.noise = Noise(settings.noise)
        self.taught, self.elsewhere = (
            PictureStatistics(settings.side),
            PictureStatistics(settings.side // 2),
        )
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
        """Return the filled photo; unless `joined`, the prediction [N, 3, sight, sight] of all."""
        known = 1 - mask.float()
        visible = (visible.float() - 0.5) * known
        if not joined:
            return 0.5 + self.guess_picture(
                pool_to_square(visible, self.sight), pool_to_square(known, self.sight)
            )
        return fill_each(self.fill_photo, visible, known)

    def fill_photo(self, visible: Tensor, known: Tensor) -> Tensor:
        """Return the photo [1, 3, H, W], less 0.5 like `visible`, filled."""
        if known.all():
            return visible
        with disable_autocast(visible):
            frames, log_odds = self.find_frames(visible, known)
        return self.fill_in_frames(visible, known, frames, log_odds)

    def fill_in_frames(
        self, visible: Tensor, known: Tensor, frames: Tensor, log_odds: Tensor
    ) -> Tensor:
        """Return the photo [1, 3, H, W] filled by the frames [K, 3], weighted by their odds [K]."""
        near = crop_around_hole(known)
        seen, there = visible[near], known[near]
        with disable_autocast(visible):
            around = self.expect_cells(self.elsewhere(), visible, known)
            base = place_in_photo(around, visible.new_tensor(WHOLE_FRAME), visible, near)
        guesses = [
            (weight, *self.guess_in_photo(frame, visible, known, near))
            for frame, weight in zip(frames, frame_weights(log_odds), strict=True)
            if weight > 0
        ]
        with disable_autocast(visible):
            fill = torch.zeros_like(seen) if guesses else base + spread_colours(seen - base, there)
            for weight, guess, inside in guesses:
                fill = fill + weight * join_to_photo(seen, there, guess, inside, base)
        out = visible.clone()
        out[near] = torch.where(there > 0, seen, fill)
        return out

    def fill_framed(self, visible: Tensor, known: Tensor, frames: Tensor) -> Tensor:
        """Return square photos [N, 3, H, H], less 0.5 like `visible`, filled by a frame [3] each.

        It is `fill_in_frames` of frames that are known, of many photos at once.
        """
        size = visible.shape[-1]
        with disable_autocast(visible):
            whole = whole_frames(frames)
            beyond = relative_frame(whole, frames)
            seen, share = (sample_frames(x, frames, self.sight) for x in (visible, known))
            around = self.expect_cells(self.elsewhere(), visible, known)
            base = sample_frames(
                enlarge(around, (4 * around.shape[-1],) * 2), whole, size, "border"
            )
        guess = self.guess_picture(seen, share)
        with disable_autocast(visible):
            guess = sample_frames(enlarge(guess, (4 * self.sight,) * 2), beyond, size, "border")
            inside = (sample_frames(torch.ones_like(share), beyond, size) > 0.99).float()
            fill = join_to_photo(visible, known, guess, inside, base)
        return torch.where(known > 0, visible, fill)

    def find_frames(self, visible: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Return frames [K, 3] in a photo [1, 3, H, W], and the log odds [K] of each."""
        seen, share = pool_to_square(visible, self.sight), pool_to_square(known, self.sight)
        noise = float(self.noise().detach().mean())
        return find_frames(seen, share, self.taught(), self.elsewhere(), noise)

    def guess_in_photo(
        self, frame: Tensor, visible: Tensor, known: Tensor, near: Crop = EVERYWHERE
    ) -> tuple[Tensor, Tensor]:
        """Predict a photo [1, 3, h, w] from its part in `frame` [3]; also return where it is valid.

        Both are for the rows and columns `near` only.
        """
        scale = max(1, round(self.sight / float(frame[0])))  # at which the frame has `sight` pixels
        seen, share = (
            sample_frames(pool_to_square(x, scale), frame[None], self.sight)
            for x in (visible, known)
        )
        guess = place_in_photo(self.guess_picture(seen, share), frame, visible, near)
        inside = place_in_photo(torch.ones_like(share), frame, visible, near, "zeros")
        return guess, (inside > 0.99).float()

    def guess_picture(self, seen: Tensor, share: Tensor) -> Tensor:
        """Predict the whole picture [N, 3, sight, sight], less 0.5.

        `seen` [N, 3, sight, sight] is already multiplied by `share` [N, 1, sight, sight], the
        visible share of each pixel.
        """
        with disable_autocast(seen):
            guess = enlarge(self.expect_cells(self.taught(), seen, share), (self.sight, self.sight))
            if not self.network:
                return guess
            whole = (share > 0.999).float()
            guess = guess + spread_colours(seen - guess, whole, steps=0)
        return guess + self.network(torch.cat([guess, seen * whole, whole], dim=1)).float()

    def expect_cells(self, gaussian: PictureGaussian, seen: Tensor, share: Tensor) -> Tensor:
        """Return the cells [N, 3, S, S] that `gaussian` expects; see `guess_picture`."""
        shares = pool_to_square(share, gaussian.side)
        colours = pool_to_square(seen, gaussian.side) / shares.clamp(min=1e-6)
        return gaussian.expect_cells(colours, shares, self.noise())
