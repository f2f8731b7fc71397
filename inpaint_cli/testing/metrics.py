"""Check of a metric."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import registry
from ..api.metrics import Features, ImageMetric, Metric, SetMetric, unit
from .examples import make_batch


def check_metric(name: str, settings: Mapping[str, Any] | None = None, *, side: int = 64) -> None:
    """Check that the metric `name` scores each image by itself, and equal images best.

    The images have `side` pixels a side.
    """
    metric: Metric = registry.load_plugin("metrics", name).model_validate(settings or {})
    assert (metric.__doc__ or "").strip(), "a metric needs a docstring, which listings show"
    assert metric.better in ("higher", "lower"), "a metric's `better` is 'higher' or 'lower'"
    pair = make_batch(side)
    mask = pair.mask > 0
    mask[1] = False  # an image without a hole
    truth = (pair.image * 255).byte()
    filled = torch.where(mask, 255 - truth, truth)
    if isinstance(metric, ImageMetric):
        check_scores(metric, filled, truth, mask)
    else:
        assert isinstance(metric, SetMetric), "a metric extends ImageMetric or SetMetric"
        check_distances(metric, filled, truth)


def check_scores(metric: ImageMetric, filled: Tensor, truth: Tensor, mask: Tensor) -> None:
    """Check that scores are a number or NaN for each image, in a batch or alone, of any type."""
    scores = metric.score(filled, truth, mask)
    form = f"{scores.dtype} {list(scores.shape)} for {len(truth)} images"
    assert scores.dtype == torch.float64, f"scores are float64 [N], not {form}"
    assert scores.shape == (len(truth),), f"scores are float64 [N], not {form}"
    alone = metric.score(filled[:1], truth[:1], mask[:1])
    assert are_close(scores[:1], alone), "the score of an image depends on the rest of its batch"
    floats = metric.score(unit(filled, torch.float32), unit(truth, torch.float32), mask)
    assert are_close(scores, floats), "an image in 0..1 has another score than the same in 8 bits"
    check_order(metric, metric.score(truth, truth, mask), scores)
    known = scores[~scores.isnan()].numpy()
    assert np.shape(metric.average(np.stack([known] * 2))) == (2,), "it averages [..., N] to [...]"


def check_distances(metric: SetMetric, filled: Tensor, truth: Tensor) -> None:
    """Check features of each image by itself, and distances between sets of any size."""
    rows = metric.features(filled)
    form = f"{rows.dtype} {list(rows.shape)} for {len(filled)} images"
    assert rows.dtype == torch.float32, f"features are float32 [N, D], not {form}"
    assert rows.shape[:-1] == (len(filled),), f"features are float32 [N, D], not {form}"
    alone = metric.features(filled[:1])
    assert are_close(rows[:1], alone), "the features of an image depend on the rest of its batch"
    fake, real = rows.numpy(), metric.features(truth).numpy()
    for count in range(len(fake) + 1):  # none, too few, all
        index = np.arange(count)
        fills, photos = Features(fake, index), Features(real, index)
        distance, none = metric.distance(fills, photos), metric.distance(photos, photos)
        check_order(metric, torch.tensor(none), torch.tensor(distance))


def check_order(metric: Metric, equal: Tensor, different: Tensor) -> None:
    """Check that equal images do not score worse than different ones."""
    worse = equal < different if metric.better == "higher" else equal > different
    scores = f"equal images score {equal.tolist()} and others {different.tolist()}"
    assert not worse.any(), f"{scores}, but {metric.better} is better"


def are_close(one: Tensor, other: Tensor) -> bool:
    """Return whether all values agree but for rounding; NaN agrees with NaN."""
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4, equal_nan=True)
