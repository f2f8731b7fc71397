"""Confidence intervals of means and of paired differences."""

import math

import numpy as np
import pytest

from inpaint_cli.evaluation import bootstrap


def test_intervals_are_seeded_and_cover_what_they_promise():
    def mean(x):
        return x.mean(-1)

    scores = np.random.default_rng(0).normal(size=100)
    assert bootstrap.confidence_interval(scores, mean, 1) == bootstrap.confidence_interval(
        scores, mean, 1
    )
    assert bootstrap.confidence_interval(scores, mean, 1) != bootstrap.confidence_interval(
        scores, mean, 2
    )
    low, high = bootstrap.confidence_interval(scores, mean, 0)
    width = 1.96 * scores.std() / 10  # what theory says
    assert low == pytest.approx(scores.mean() - width, abs=0.03)
    assert high == pytest.approx(scores.mean() + width, abs=0.03)
    near = bootstrap.difference_interval(scores + 0.01, scores, mean, 0)
    assert near == pytest.approx((0.01, 0.01))  # paired: the noise is common
    assert all(math.isnan(bound) for bound in bootstrap.confidence_interval(np.array([]), mean, 0))
