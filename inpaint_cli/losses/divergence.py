"""Kullback-Leibler divergence between a diagonal normal distribution and the standard one."""

from torch import Tensor


def kl_divergence(mean: Tensor, log_variance: Tensor, *, reverse: bool = False) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of each element, or `reverse`: KL(N(0, 1) || N(...)).

    (mean^2 + v - 1 - ln v) / 2 (Kingma and Welling, ICLR 2014, appendix B), and
    ((1 + mean^2) / v - 1 + ln v) / 2, which keeps the variance v from vanishing.
    """
    if reverse:
        return ((1 + mean.square()) * (-log_variance).exp() - 1 + log_variance) / 2
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2
