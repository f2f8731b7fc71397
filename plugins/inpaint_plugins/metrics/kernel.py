"""KID: the squared maximum mean discrepancy of two sets of features, with a cubic kernel."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from inpaint_cli.api import Estimate, Features

from .inception import InceptionMetric

Rows = NDArray[np.float64]
Index = NDArray[np.intp]
LARGE_SET = 4096  # images, above which kernels are computed for each subset


class KID(InceptionMetric):
    """Kernel Inception distance (Binkowski et al. 2018): the mean over random subsets.

    The deviation is that of the subsets. Equal to torch-fidelity's, whose seed draws the subsets;
    sets no larger than one are drawn by halves. Unbiased, so sets of different sizes compare. NaN
    for fewer than four images.
    """

    better = "lower"
    few = 0  # it is unbiased
    subset: PositiveInt = Field(default=1000, ge=2, description="Images of a subset.")
    subsets: PositiveInt = Field(default=100, description="Number of subsets.")
    seed: int = Field(default=2020, ge=0, description="Seed that draws them.")

    def distance(self, filled: Features, truth: Features) -> float:
        return self.estimate(filled, truth).value

    def estimate(self, filled: Features, truth: Features) -> Estimate:
        least = min(len(filled), len(truth))
        if least < 4:
            return Estimate(math.nan)
        size = self.subset if least > self.subset else least // 2
        rng = np.random.RandomState(self.seed)  # torch-fidelity's
        kernels = subset_kernels(filled, truth)
        values = []
        for _ in range(self.subsets):
            drawn = [rng.choice(len(rows), size, replace=False) for rows in (filled, truth)]
            values.append(kernel_distance(*kernels(*drawn)))
        return Estimate(float(np.mean(values)), deviation=float(np.std(values)))


def subset_kernels(a: Features, b: Features) -> Callable[[Index, Index], list[Rows]]:
    """Return a function that gives the kernels within and between subsets: of a, of b, of both.

    Small sets have theirs computed once, of all pairs.
    """
    if max(len(a), len(b)) > LARGE_SET:

        def compute(i: Index, j: Index) -> list[Rows]:
            x, y = (f.rows[f.index[n]].astype(np.float64) for f, n in ((a, i), (b, j)))
            return [cubic(x, x), cubic(y, y), cubic(x, y)]

        return compute
    x, y = a.all(), b.all()
    whole = [cubic(x, x), cubic(y, y), cubic(x, y)]
    return lambda i, j: [
        k[np.ix_(*at)] for k, at in zip(whole, ((i, i), (j, j), (i, j)), strict=True)
    ]


def kernel_distance(own: Rows, other: Rows, both: Rows) -> float:
    """Return the unbiased estimate from the kernels within two sets of m rows, and between them."""
    m = len(own)
    within = sum(kernel.sum() - np.trace(kernel) for kernel in (own, other))
    return float(within / (m * (m - 1)) - 2 * both.sum() / m**2)


def cubic(a: Rows, b: Rows) -> Rows:
    """Return the kernel (xy / D + 1)^3 of each row of `a` with each of `b`."""
    return (a @ b.T / a.shape[1] + 1) ** 3
