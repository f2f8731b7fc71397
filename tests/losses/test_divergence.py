"""Kullback-Leibler divergence from the standard normal distribution."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inpaint_cli.losses.divergence import kl_divergence


@pytest.mark.parametrize(
    ("mean", "variance", "forward", "reverse"),
    [
        (0, 1, 0, 0),
        (1, 1, 0.5, 0.5),
        (0, 4, 0.806853, 0.318147),
        (0.5, 0.25, 0.443147, 1.306853),
    ],
)
def test_kl_by_hand(mean: float, variance: float, forward: float, reverse: float):
    mu, log_variance = torch.tensor(float(mean)), torch.tensor(variance).float().log()
    assert kl_divergence(mu, log_variance).item() == pytest.approx(forward, abs=1e-6)
    assert kl_divergence(mu, log_variance, reverse=True).item() == pytest.approx(reverse, abs=1e-6)


@given(st.floats(-3, 3), st.floats(-3, 3), st.booleans())
def test_kl_is_never_negative(mean: float, log_variance: float, reverse: bool):
    assert kl_divergence(torch.tensor(mean), torch.tensor(log_variance), reverse=reverse) >= -1e-5
