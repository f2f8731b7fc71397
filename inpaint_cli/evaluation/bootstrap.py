"""Bootstrap confidence intervals, reproducible by a seed."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
AverageFunction = Callable[[Scores], Scores]  # [..., N] to [...]

RESAMPLES = 2000
MAX_INDICES = 1 << 22  # drawn at a time


def confidence_interval(scores: Scores, average: AverageFunction, seed: int) -> tuple[float, float]:
    """Return the bounds of the 95 % confidence interval of `average(scores)`; NaN for no scores."""
    return percentile_bounds(lambda pick: average(scores[pick]), len(scores), seed)


def difference_interval(
    a: Scores, b: Scores, average: AverageFunction, seed: int
) -> tuple[float, float]:
    """Return the bounds for average(a) - average(b), where n-th scores are of the same image."""
    return percentile_bounds(lambda pick: average(a[pick]) - average(b[pick]), len(a), seed)


def percentile_bounds(
    value: Callable[[NDArray[np.intp]], Scores], count: int, seed: int
) -> tuple[float, float]:
    """Return the 2.5 and 97.5 percentiles of `value` over resampled sets of `count` images."""
    if not count:
        return float("nan"), float("nan")
    with np.errstate(invalid="ignore"):  # infinite scores have no interval
        values = np.concatenate([value(pick) for pick in resample_indices(count, seed)])
        low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def resample_indices(count: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Yield `RESAMPLES` sets of `count` indices, some at a time: [n, count]."""
    rng = np.random.default_rng([seed, count])
    step = max(1, MAX_INDICES // count)
    for start in range(0, RESAMPLES, step):
        yield rng.integers(0, count, (min(step, RESAMPLES - start), count))
