"""Metrics that compare pixel with pixel."""

from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import Tensor

from inpaint_cli.api import ImageMetric, unit

from .regions import Colour, Region, coloured, inside, mean_over


class PixelMetric(ImageMetric):
    """What the metrics of this module share: where they look, and in which colours."""

    region: Region = "full"
    ring: PositiveInt = 8  # pixels, where the region is "ring"
    colour: Colour = "rgb"

    def prepared(self, image: Tensor) -> Tensor:
        return coloured(unit(image), self.colour)


class AbsoluteError(PixelMetric):
    """Sum of absolute differences, divided by one of three things.

    "range": by the number of values, so that the error is a share of the range.
    "sum": by the sum of both pictures, as EdgeConnect's scripts print it.
    "truth": by the sum of the truth, the relative error that ICT logs.
    """

    better = "lower"
    scale: ClassVar[float] = 1.0
    divisor: Literal["range", "sum", "truth"] = "range"

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        where = inside(mask, self.region, self.ring)
        out, real = self.prepared(filled), self.prepared(truth)
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
    """Peak signal-to-noise ratio.

    pooling "image": from the mean squared error of an image; "channel": the mean over channels of
    each channel's PSNR; "set": from the mean squared error of all images together.
    """

    better = "higher"
    unit = "dB"
    pooling: Literal["image", "channel", "set"] = "image"
    cap: float | None = None  # dB, for images that are (nearly) equal; None: infinite

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        errors = [
            self.squared(filled[:, c : c + step], truth[:, c : c + step], mask)
            for step in ((1,) if self.pooling == "channel" else (3,))
            for c in range(0, 3, step)
        ]
        return self.decibels(torch.stack(errors)).mean(0)

    def squared(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """The mean squared error [N] in 0..1, summed in integers where pictures have 8 bits."""
        plain = self.region == "full" and (self.colour == "rgb" or filled.shape[1] == 1)
        if plain and filled.dtype == torch.uint8 and filled.device.type == "cpu":
            import cv2  # one pass, no copy: 7 times as fast as floats

            sums = [
                cv2.norm(a.ravel().numpy(), b.ravel().numpy(), cv2.NORM_L2SQR)
                for a, b in zip(filled, truth, strict=True)
            ]
            return torch.tensor(sums, dtype=torch.float64) / (filled[0].numel() * 255**2)
        out, real = unit(filled), unit(truth)
        if filled.shape[1] == 3:
            out, real = coloured(out, self.colour), coloured(real, self.colour)
        return mean_over((out - real).square(), inside(mask, self.region, self.ring))

    def decibels(self, error: Tensor) -> Tensor:
        score = -10 * torch.log10(error)
        return score if self.cap is None else score.clamp(max=self.cap)

    def average(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.pooling != "set":
            return scores.mean(-1)
        return -10 * np.log10((10 ** (-scores / 10)).mean(-1))


class NCC(PixelMetric):
    """Normalised cross-correlation of all values, as in ERRNet's evaluation.

    One mean and deviation for the whole picture. Where one is constant: 1 if equal, else 0.
    """

    better = "higher"

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        where = inside(mask, self.region, self.ring)
        out, real = self.prepared(filled), self.prepared(truth)
        out = out - mean_over(out, where)[:, None, None, None]
        real = real - mean_over(real, where)[:, None, None, None]
        spread = mean_over(out.square(), where) * mean_over(real.square(), where)
        same = ((out == real) | ~where).flatten(1).all(1).double()
        flat = spread < 1e-24  # a constant picture, but for the rounding of its mean
        score = mean_over(out * real, where) / spread.where(~flat, torch.ones_like(spread)).sqrt()
        return torch.where(flat & (spread == spread), same, score)


class LMSE(ImageMetric):
    """Local mean squared error after the best gain in each window (Grosse 2009, as in ERRNet).

    Windows that do not fit are left out, so the picture must be at least one window large.
    """

    better = "lower"
    window: PositiveInt = 20
    stride: PositiveInt = 10

    def score(self, filled: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        out, real = unit(filled), unit(truth)
        yy, xy, xx = (self.sums(p) for p in (out * out, out * real, real * real))
        gain = torch.where(yy > 1e-5 / 255**2, xy / yy, 0.0)
        error = xx - 2 * gain * xy + gain * gain * yy
        return error.clamp_min(0).flatten(1).sum(1) / xx.flatten(1).sum(1)

    def sums(self, values: Tensor) -> Tensor:
        """The sum of `values` [N, C, H, W] in each window, [N, C, rows, columns]."""
        for axis in (-2, -1):
            values = values.unfold(axis, self.window, self.stride).sum(-1)
        return values
