"""P-IDS and U-IDS (Zhao et al. 2021): can a linear classifier tell fills from photos?

Their script calls scikit-learn's `LinearSVC(dual=False)`. Its problem has one solution, which
Newton's method finds to the last digits in some twenty steps, so that package is not needed.
"""

import math

import torch
from torch import Tensor

from inpaint_cli.api.metrics import Features

from .inception import InceptionMetric

STEPS = 200  # Newton's; some twenty are enough


class UIDS(InceptionMetric):
    """Unpaired inception discriminative score: the share that a linear classifier gets wrong.

    In percent; 50 where it can do no better than guess. NaN for an empty set.
    """

    better = "higher"
    unit = "%"

    def distance(self, filled: Features, truth: Features) -> float:
        if not len(filled):
            return math.nan
        fake, real = decisions(filled, truth)
        return 100 * float(torch.cat([fake > 0, real <= 0]).double().mean())


class PIDS(InceptionMetric):
    """Paired inception discriminative score: the share of fills that look more real than the photo.

    In percent; real means on the side of the photos of a linear classifier. NaN for an empty set.
    """

    better = "higher"
    unit = "%"

    def distance(self, filled: Features, truth: Features) -> float:
        if not len(filled):
            return math.nan
        fake, real = decisions(filled, truth)
        return 100 * float((fake > real).double().mean())


def decisions(filled: Features, truth: Features) -> tuple[Tensor, Tensor]:
    """How real a classifier trained on both finds each picture: fills [N] and photos [N]."""
    fake, real = torch.from_numpy(filled.all()), torch.from_numpy(truth.all())
    rows = torch.cat([fake, real])
    rows = torch.cat([rows, rows.new_ones(len(rows), 1)], 1)  # the offset is a weight like others
    sides = torch.cat([-torch.ones(len(fake)), torch.ones(len(real))]).double()
    values = rows @ separate(rows, sides)
    return values[: len(fake)], values[len(fake) :]


def separate(rows: Tensor, sides: Tensor, cost: float = 1.0) -> Tensor:
    """The weights w [D] that minimise |w|^2 / 2 + cost * sum max(0, 1 - side * row w)^2.

    Newton's method with halved steps: the objective is convex and piecewise quadratic, and once
    the rows that count stop changing, a step lands on the solution.
    """
    weights = rows.new_zeros(rows.shape[1])

    def objective(w: Tensor) -> float:
        return float(w @ w / 2 + cost * (1 - sides * (rows @ w)).clamp_min(0).square().sum())

    value = objective(weights)
    for _ in range(STEPS):
        short = (1 - sides * (rows @ weights)).clamp_min(0)
        gradient = weights - 2 * cost * rows.T @ (sides * short)
        inside = rows[short > 0]
        step = newton(inside, gradient, 2 * cost)
        size = 1.0
        while (new := objective(weights - size * step)) > value and size > 1e-8:
            size /= 2
        if not new < value:
            break
        weights, value = weights - size * step, new
    return weights


def newton(rows: Tensor, gradient: Tensor, scale: float) -> Tensor:
    """Solve (I + scale * rows^T rows) x = gradient, in the smaller of the two dimensions."""
    count, width = rows.shape
    if count >= width:
        matrix = scale * rows.T @ rows
        matrix.diagonal().add_(1)
        return torch.cholesky_solve(gradient[:, None], torch.linalg.cholesky(matrix))[:, 0]
    matrix = rows @ rows.T
    matrix.diagonal().add_(1 / scale)
    inner = torch.cholesky_solve((rows @ gradient)[:, None], torch.linalg.cholesky(matrix))[:, 0]
    return gradient - rows.T @ inner
