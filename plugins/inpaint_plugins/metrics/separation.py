"""P-IDS and U-IDS (Zhao et al. 2021): can a linear classifier tell fills from photos?

Their script calls scikit-learn's `LinearSVC(dual=False)`. Its problem has one solution, which
Newton's method finds to the last digits in some twenty steps, so that package is not needed. The
features are read in blocks: what is held does not grow with the set, but for a number a picture.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from inpaint_cli.api import Features

from .inception import InceptionMetric

STEPS = 200  # Newton's; some twenty are enough
Numbers = NDArray[np.floating]


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
        return 100 * float(np.concatenate([fake > 0, real <= 0]).mean())


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
        return 100 * float((fake > real).mean())


@lru_cache(maxsize=1)  # both metrics ask about the same pictures
def decisions(filled: Features, truth: Features) -> tuple[Numbers, Numbers]:
    """How real a classifier trained on both finds each picture: fills [N] and photos [M].

    That is w row, with the w that minimises |w|^2 / 2 + sum max(0, 1 - side w row)^2.
    Newton's method with halved steps: the objective is convex and piecewise quadratic, and once
    the rows that count stop changing, a step lands on the solution.
    """
    sides = np.repeat([-1.0, 1.0], [len(filled), len(truth)])

    def objective(weights: Numbers, values: Numbers) -> float:
        return weights @ weights / 2 + np.square((1 - sides * values).clip(0)).sum()

    weights, values = np.zeros(filled.width + 1), np.zeros(len(sides))
    loss = objective(weights, values)
    for _ in range(STEPS):
        missing = (sides - values) * (sides * values < 1)
        step = newton(weights, missing, filled, truth)
        change = np.concatenate([rows @ step for _, rows in blocks(filled, truth)])
        size = 1.0
        while (new := objective(weights - size * step, values - size * change)) > loss:
            if size < 1e-8:
                break
            size /= 2
        if not new < loss:
            break
        weights, values, loss = weights - size * step, values - size * change, new
    return values[: len(filled)], values[len(filled) :]


def newton(weights: Numbers, missing: Numbers, filled: Features, truth: Features) -> Numbers:
    """The step from `weights` [D], where values are `missing` [N + M] what brings them to a side.

    It solves (I + 2 R^T R) x = gradient, R the rows that miss something, in the smaller of the
    two dimensions.
    """
    gradient = weights - 2 * sum(missing[at] @ rows for at, rows in blocks(filled, truth))
    counted = (rows[missing[at] != 0] for at, rows in blocks(filled, truth))
    if np.count_nonzero(missing) < len(weights):
        few = np.concatenate([*counted])
        matrix = few @ few.T + np.eye(len(few)) / 2
        return gradient - few.T @ np.linalg.solve(matrix, few @ gradient)
    matrix = np.eye(len(weights)) / 2
    for rows in counted:
        matrix += rows.T @ rows
    return np.linalg.solve(matrix, gradient / 2)


def blocks(filled: Features, truth: Features) -> Iterator[tuple[slice, Numbers]]:
    """The rows of both, some at a time, with their place; the offset is a weight like others."""
    start = 0
    for block in chain(filled.blocks(), truth.blocks()):
        yield slice(start, start + len(block)), np.column_stack([block, np.ones(len(block))])
        start += len(block)
