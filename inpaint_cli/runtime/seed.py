"""One seed for all that draws at random through torch."""

import numpy as np
import torch


def seed_torch(*parts: int) -> None:
    """Seed torch's generators from `parts`, none of them negative: equal parts, equal draws."""
    torch.manual_seed(int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1))
