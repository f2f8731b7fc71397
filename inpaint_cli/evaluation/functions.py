"""Metrics as functions of photos, from Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import images
from ..api.metrics import Features, ImageMetric, Metric, SetMetric
from ..api.tensors import to_tensor
from ..errors import ArgumentError, ImageError
from ..images.photo import rgb_bytes
from ..recipe.schema import Named
from ..recipe.source import ArgumentSource


@dataclass(frozen=True)
class MetricFunction:
    """A metric as a function of a fill and the true photo, or of lists of both.

    Photos are paths, Pillow pictures or arrays, as for `fill`, and holes are masks; of a list there
    is one hole for all photos or one for each. A metric of images returns the score of a list as a
    protocol does, its mean for most.
    """

    metric: Metric

    def __call__(self, filled: Any, truth: Any, *, hole: Any = None) -> float:
        """Return the score; NaN without a hole where the metric is of holes only.

        Raises `ImageError` where sizes differ, and `ArgumentError` where numbers of photos do.
        """
        fills, truths = as_list(filled), as_list(truth)
        holes = list(hole) if isinstance(hole, list | tuple) else [hole] * len(truths)
        if not len(fills) == len(truths) == len(holes):
            counts = f"{len(fills)} fills, {len(truths)} photos and {len(holes)} holes"
            raise ArgumentError("filled", f"there are {counts}; give as many of each")
        if isinstance(self.metric, ImageMetric):
            return self.metric.over(
                [
                    float(self.metric.score(*read_sample(*sample)))
                    for sample in zip(fills, truths, holes, strict=True)
                ]
            )
        assert isinstance(self.metric, SetMetric)
        sets = [extract_features(self.metric, photos) for photos in (fills, truths)]
        return self.metric.distance(*sets)


def metric(name: str, **settings: Any) -> MetricFunction:
    """Return the metric `name` as a function of a fill, the true photo and optionally the hole.

    `name` is one that `inpaint plugins` lists, `settings` are those that a protocol would have.
    Raises `RecipeError` for a name or a setting that there is not.

    >>> a = np.zeros((32, 32, 3), np.uint8)
    >>> b = np.full((32, 32, 3), 51, np.uint8)
    >>> round(metric("psnr")(a, b), 2)
    13.98
    >>> hole = np.eye(32, dtype=bool)
    >>> metric("l1", region="hole")(a, b, hole=hole)
    20.0
    """
    source = ArgumentSource(Path(f"metric '{name}'"))
    return MetricFunction(source.plugin("metrics", Named(kind=name, **settings), ()))


def as_list(photos: Any) -> Sequence[Any]:
    return photos if isinstance(photos, list | tuple) else [photos]


def read_levels(photo: Any) -> Tensor:
    """Return a photo as [1, 3, H, W]: uint8 where it has 8 bits, else floats in 0..1."""
    own = images.to_photo(photo)
    if own.pixels.dtype == np.uint8:
        return torch.from_numpy(rgb_bytes(own).copy()).permute(2, 0, 1)[None]
    return to_tensor(own.rgb)


def read_sample(filled: Any, truth: Any, hole: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return fill, photo and hole as metrics take them."""
    out, real = read_levels(filled), read_levels(truth)
    if out.dtype != real.dtype:
        out, real = (x.float() / 255 if x.dtype == torch.uint8 else x for x in (out, real))
    shape = real.shape[-2:]
    mask = np.zeros(shape, np.bool_) if hole is None else images.to_mask(hole).hole
    for what, other in (("fill", out.shape[-2:]), ("hole", mask.shape)):
        if tuple(other) != tuple(shape):
            sizes = f"{other[1]}x{other[0]}, but the photo is {shape[1]}x{shape[0]}"
            raise ImageError(f"the {what} is {sizes}; resize one of them")
    return out, real, torch.from_numpy(mask)[None, None]


def extract_features(metric: SetMetric, photos: Sequence[Any]) -> Features:
    """Return the features of photos of any sizes."""
    rows = [metric.features(read_levels(photo)).cpu().numpy() for photo in photos]
    return Features(np.concatenate(rows), np.arange(len(rows)))
