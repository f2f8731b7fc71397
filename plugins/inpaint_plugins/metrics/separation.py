"""P-IDS and U-IDS (Zhao et al. 2021): how well a linear classifier separates fills from photos.

The authors' script uses `LinearSVC(dual=False)` of scikit-learn. Its problem has a unique solution,
which Newton's method reaches in about twenty steps. Features are read in blocks; only one number
for each image is held.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from inpaint_cli.api import Features

from .inception import InceptionMetric

NEWTON_STEPS = 200  # about twenty are enough
Numbers = NDArray[np.floating]


class UIDS(InceptionMetric):
    """Unpaired inception discriminative score: the error of a linear classifier, in percent.

    50 if it cannot do better than guess. NaN for an empty set.
    """

    better = "higher"
    unit = "%"

    def distance(self, filled: Features, truth: Features) -> float:
        if not len(filled):
            return math.nan
        fake, real = svm_decisions(filled, truth)
        return 100 * float(np.concatenate([fake > 0, real <= 0]).mean())


class PIDS(InceptionMetric):
    """Paired inception discriminative score: fills classified as more real than their photos.

    In percent, by a linear classifier. NaN for an empty set.
    """

    better = "higher"
    unit = "%"

    def distance(self, filled: Features, truth: Features) -> float:
        if not len(filled):
            return math.nan
        fake, real = svm_decisions(filled, truth)
        return 100 * float((fake > real).mean())


@lru_cache(maxsize=1)  # both metrics ask about the same images
def svm_decisions(filled: Features, truth: Features) -> tuple[Numbers, Numbers]:
    """Return how real a classifier trained on both sets finds fills [N] and photos [M].

    That is w row, with the w that minimises |w|^2 / 2 + sum max(0, 1 - side w row)^2, found by
    Newton's method with step halving: the objective is convex and piecewise quadratic, so once
    the set of rows with a loss is constant, one step reaches the solution.
    """
    sides = np.repeat([-1.0, 1.0], [len(filled), len(truth)])

    def objective(weights: Numbers, values: Numbers) -> float:
        return weights @ weights / 2 + np.square((1 - sides * values).clip(0)).sum()

    weights, values = np.zeros(filled.width + 1), np.zeros(len(sides))
    loss = objective(weights, values)
    for _ in range(NEWTON_STEPS):
        missing = (sides - values) * (sides * values < 1)
        step = newton_step(weights, missing, filled, truth)
        change = np.concatenate([rows @ step for _, rows in feature_blocks(filled, truth)])
        size = 1.0
        while (new := objective(weights - size * step, values - size * change)) > loss:
            if size < 1e-8:
                break
            size /= 2
        if not new < loss:
            break
        weights, values, loss = weights - size * step, values - size * change, new
    return values[: len(filled)], values[len(filled) :]


def newton_step(weights: Numbers, missing: Numbers, filled: Features, truth: Features) -> Numbers:
    """Return the Newton step at `weights` [D], whose values are `missing` [N + M] of their margin.

    Solves (I + 2 R^T R) x = gradient, with R the rows that miss the margin, in the smaller of the
    two dimensions.
    """
    gradient = weights - 2 * sum(missing[at] @ rows for at, rows in feature_blocks(filled, truth))
    counted = (rows[missing[at] != 0] for at, rows in feature_blocks(filled, truth))
    if np.count_nonzero(missing) < len(weights):
        few = np.concatenate([*counted])
        matrix = few @ few.T + np.eye(len(few)) / 2
        return gradient - few.T @ np.linalg.solve(matrix, few @ gradient)
    matrix = np.eye(len(weights)) / 2
    for rows in counted:
        matrix += rows.T @ rows
    return np.linalg.solve(matrix, gradient / 2)


def feature_blocks(filled: Features, truth: Features) -> Iterator[tuple[slice, Numbers]]:
    """Yield blocks of rows of both sets, with their slice; a column of ones is the offset."""
    start = 0
    for block in chain(filled.blocks(), truth.blocks()):
        yield slice(start, start + len(block)), np.column_stack([block, np.ones(len(block))])
        start += len(block)
