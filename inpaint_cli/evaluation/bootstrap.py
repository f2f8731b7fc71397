"""How sure a mean is: bootstrap intervals from seeds, so that they come out the same again."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
AverageFunction = Callable[[Scores], Scores]  # [..., N] to [...]

RESAMPLES = 2000
AT_ONCE = 1 << 22  # numbers that are drawn at a time


def confidence_interval(scores: Scores, average: AverageFunction, seed: int) -> tuple[float, float]:
    """Between which bounds the average lies in 95 % of re-drawn sets; NaN for no scores."""
    return percentile_bounds(lambda pick: average(scores[pick]), len(scores), seed)


def difference_interval(
    a: Scores, b: Scores, average: AverageFunction, seed: int
) -> tuple[float, float]:
    """The same for average(a) - average(b), whose n-th scores belong to the same image."""
    return percentile_bounds(lambda pick: average(a[pick]) - average(b[pick]), len(a), seed)


def percentile_bounds(
    value: Callable[[NDArray[np.intp]], Scores], count: int, seed: int
) -> tuple[float, float]:
    if not count:
        return float("nan"), float("nan")
    with np.errstate(invalid="ignore"):  # infinite scores have no interval
        values = np.concatenate([value(pick) for pick in resample_indices(count, seed)])
        low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def resample_indices(count: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """DRAWS sets of `count` indices, some at a time: [D, count]."""
    rng = np.random.default_rng([seed, count])
    step = max(1, AT_ONCE // count)
    for start in range(0, RESAMPLES, step):
        yield rng.integers(0, count, (min(step, RESAMPLES - start), count))
