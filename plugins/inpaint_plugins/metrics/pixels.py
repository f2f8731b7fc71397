"""Metrics that compare pixels."""

from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveInt
from torch import Tensor

from inpaint_cli.api import ImageMetric, unit

from .regions import (
    REGION,
    RING,
    Colour,
    MetricRegion,
    convert_colours,
    crop_around,
    mean_over,
    region_mask,
)


class PixelMetric(ImageMetric):
    """Base of metrics with a region and a colour space."""

    region: MetricRegion = Field(default="full", description=REGION)
    ring: PositiveInt = Field(default=8, description=RING)
    colour: Colour = Field(
        default="rgb",
        description="Colour channels, or one gray channel: Rec. 709 (gray), Rec. 601 (luma), mean.",
    )

    def in_colour(self, image: Tensor) -> Tensor:
        """Return `image` as floats in 0..1, in the channels of `colour`."""
        return convert_colours(unit(image), self.colour)

    def in_region(
        self, filled: Tensor, truth: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return parts of both images around the region, and the region in them."""
        if self.region != "full":
            filled, truth, mask = crop_around(mask, self.ring, filled, truth)
        return filled, truth, region_mask(mask, self.region, self.ring)


class AbsoluteError(PixelMetric):
    """Sum of absolute differences, divided as `divisor` says."""

    better = "lower"
    scale: ClassVar[float] = 1.0
    divisor: Literal["range", "sum", "truth"] = Field(
        default="range",
        description="Divide by the number of values, by the sum of both images (EdgeConnect), or by"
        " the sum of the truth (ICT).",
    )

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        filled, truth, where = self.in_region(filled, truth, mask)
        out, real = self.in_colour(filled), self.in_colour(truth)
        error = mean_over((out - real).abs(), where)
        if self.divisor != "range":
            error = error / mean_over(real if self.divisor == "truth" else out + real, where)
        return error * self.scale


class MAE(AbsoluteError):
    """Mean absolute error in 0..1."""


class L1(AbsoluteError):
    """Mean absolute error in percent."""

    unit = "%"
    scale = 100.0


class PSNR(PixelMetric):
    """Peak signal-to-noise ratio."""

    better = "higher"
    unit = "dB"
    pooling: Literal["image", "channel", "set"] = Field(
        default="image",
        description="From the squared error of each image, of each channel (averaged), or of all"
        " images together.",
    )
    cap: float | None = Field(
        default=None, description="Greatest score in dB, for equal images; null: infinite."
    )

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        errors = [
            self.squared(filled[:, c : c + step], truth[:, c : c + step], mask)
            for step in ((1,) if self.pooling == "channel" else (3,))
            for c in range(0, 3, step)
        ]
        return self.decibels(torch.stack(errors)).mean(0)

    def squared(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """Return the mean squared error [N] of 0..1, summed in integers for 8-bit images."""
        plain = self.region == "full" and (self.colour == "rgb" or filled.shape[1] == 1)
        if plain and filled.dtype == torch.uint8 and filled.device.type == "cpu":
            import cv2  # one pass without a copy: 7 times as fast as floats

            sums = [
                cv2.norm(a.ravel().numpy(), b.ravel().numpy(), cv2.NORM_L2SQR)
                for a, b in zip(filled, truth, strict=True)
            ]
            return torch.tensor(sums, dtype=torch.float64) / (filled[0].numel() * 255**2)
        filled, truth, where = self.in_region(filled, truth, mask)
        out, real = unit(filled), unit(truth)
        if filled.shape[1] == 3:
            out, real = convert_colours(out, self.colour), convert_colours(real, self.colour)
        return mean_over((out - real).square(), where)

    def decibels(self, error: Tensor) -> Tensor:
        """Return the PSNR of a mean squared error."""
        score = -10 * torch.log10(error)
        return score if self.cap is None else score.clamp(max=self.cap)

    def average(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.pooling != "set":
            return scores.mean(-1)
        return -10 * np.log10((10 ** (-scores / 10)).mean(-1))


class NCC(PixelMetric):
    """Normalised cross-correlation of all values, as in the evaluation of ERRNet.

    Mean and deviation are of all channels together. If one image is constant: 1 if equal, else 0.
    """

    better = "higher"

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        filled, truth, where = self.in_region(filled, truth, mask)
        out, real = self.in_colour(filled), self.in_colour(truth)
        out = out - mean_over(out, where)[:, None, None, None]
        real = real - mean_over(real, where)[:, None, None, None]
        spread = mean_over(out.square(), where) * mean_over(real.square(), where)
        same = ((out == real) | ~where).flatten(1).all(1).double()
        flat = spread < 1e-24  # constant, except for the rounding of the mean
        score = mean_over(out * real, where) / spread.where(~flat, torch.ones_like(spread)).sqrt()
        return torch.where(flat & (spread == spread), same, score)


class LMSE(ImageMetric):
    """Local mean squared error with the best gain in each window (Grosse 2009, as in ERRNet).

    Only windows inside the image count, so the image must be at least as large as one.
    """

    better = "lower"
    window: PositiveInt = Field(default=20, description="Side of a window, in pixels.")
    stride: PositiveInt = Field(default=10, description="Distance of windows, in pixels.")

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        out, real = unit(filled), unit(truth)
        yy, xy, xx = (self.sums(p) for p in (out * out, out * real, real * real))
        gain = torch.where(yy > 1e-5 / 255**2, xy / yy, 0.0)
        error = xx - 2 * gain * xy + gain * gain * yy
        return error.clamp_min(0).flatten(1).sum(1) / xx.flatten(1).sum(1)

    def sums(self, values: Tensor) -> Tensor:
        """Return the sum of `values` [N, C, H, W] in each window, [N, C, rows, columns]."""
        for axis in (-2, -1):
            values = values.unfold(axis, self.window, self.stride).sum(-1)
        return values
