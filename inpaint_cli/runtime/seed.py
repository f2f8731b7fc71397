"""Seed the random numbers of torch."""

import numpy as np
import torch


def seed_torch(source: int | np.random.Generator, *more: int) -> None:
    """Seed torch's generators from non-negative numbers, or from the seed of a generator.

    A generator seeded with the same numbers gives the same draws, and its state does not change.
    """
    if isinstance(source, np.random.Generator):
        seeds = source.bit_generator.seed_seq
        assert isinstance(seeds, np.random.SeedSequence)
    else:
        seeds = np.random.SeedSequence((source, *more))
    torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0] >> 1))
