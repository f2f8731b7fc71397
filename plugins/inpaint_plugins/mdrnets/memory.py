"""The disentangled memory (DMM, eq. 1 to 5 of the paper): some style vectors for each region.

Averages and similarities are computed in float32, also under autocast.
"""

import torch
from accelerate.state import GradientState
from torch import Tensor, distributed, nn
from torch.nn import functional as F


def pool_regions(
    features: Tensor, regions: Tensor, weight: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Return the mean feature of each region [N, count, C], and its number of cells [N, count].

    `features` are [N, C, h, w], `regions` [N, h, w], `weight` [N, 1, h, w] is 0 or 1. A region
    without a cell has the mean 0.
    """
    with torch.autocast(features.device.type, enabled=False):
        weight = weight.flatten(2).transpose(1, 2)
        member = one_hot(regions.flatten(1), count).float() * weight  # N hw R
        cells = member.sum(1)  # N R
        sums = member.transpose(1, 2) @ features.flatten(2).transpose(1, 2).float()  # N R C
        return sums / cells.clamp(min=1)[..., None], cells


def one_hot(numbers: Tensor, count: int) -> Tensor:
    """Return which of 0 to `count` - 1 each of `numbers` [...] is, bool [..., count].

    torch's own looks at the numbers first, for which it waits for some devices.
    """
    return numbers[..., None] == torch.arange(count, device=numbers.device)


def spread_to_cells(vectors: Tensor, regions: Tensor) -> Tensor:
    """Give each cell of `regions` [N, h, w] its region's vector [N, R, C]: [N, C, h, w]."""
    n, _, channels = vectors.shape
    index = regions.flatten(1)[:, None].expand(-1, channels, -1)
    return vectors.transpose(1, 2).gather(2, index).view(n, channels, *regions.shape[1:])


class RegionMemory(nn.Module):
    """`slots` vectors for each of `regions`, in buffers without gradient.

    It is updated once in each training step, as in the paper, and is constant in evaluation.
    """

    entries: Tensor  # R m C
    filled: Tensor  # R m, bool
    hits: Tensor  # R m, number of vectors stored in each

    def __init__(
        self,
        regions: int,
        slots: int,
        channels: int,
        *,
        momentum: float = 0.99,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.momentum, self.temperature = momentum, temperature
        self.parts: list[list[Tensor]] = []  # of an accumulated step that is not complete
        self.register_buffer("entries", torch.zeros(regions, slots, channels))
        self.register_buffer("filled", torch.zeros(regions, slots, dtype=torch.bool))
        self.register_buffer("hits", torch.zeros(regions, slots, dtype=torch.long))

    def similarity(self, query: Tensor) -> Tensor:
        """Return cosines [N, R, m] of queries [N, R, C] and slots of their region (eq. 1)."""
        with torch.autocast(query.device.type, enabled=False):
            return F.cosine_similarity(query.float()[:, :, None], self.entries[None], -1, 1e-8)

    def forward(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Read the memory: answers [N, R, C] and weights of slots [N, R, m] (eq. 4 and 5).

        [choice] If a region's memory is empty, the answer is the query itself.
        """
        scores = self.similarity(query) / self.temperature
        some = self.filled.any(1)[:, None]  # R 1
        weights = scores.masked_fill(~self.filled & some, -torch.inf).softmax(-1) * self.filled
        with torch.autocast(query.device.type, enabled=False):
            answer = torch.einsum("nrm,rmc->nrc", weights, self.entries)
        return torch.where(some, answer, query.float()), weights

    @torch.no_grad()
    def update_slots(self, query: Tensor, value: Tensor, valid: Tensor) -> None:
        """Update the slots (eq. 2 and 3), once a step for the whole batch of all processes.

        With gradient accumulation, the tensors are collected until the last part of the step.

        [choice] The result does not depend on the order of samples: slots are assigned by the
        memory before the update, and each moves towards the mean of its values. As long as a region
        has empty slots, values fill them in turn and surplus values are dropped; with random
        initial slots, a few would take all values.
        """
        self.parts.append([gather_processes(t.detach().float()) for t in (query, value, valid)])
        if not GradientState().sync_gradients:
            return
        query, value, valid = map(torch.cat, zip(*self.parts, strict=True))
        self.parts.clear()
        valid = valid > 0  # N R
        slots = self.filled.shape[1]
        taken = self.filled.sum(1)  # R
        full = taken == slots
        place = torch.where(full, self.similarity(query).argmax(-1), taken + valid.cumsum(0) - 1)
        member = one_hot(place, slots) & valid[..., None]
        count = member.sum(0)  # R m
        total = torch.einsum("nrm,nrc->rmc", member.float(), value)
        mean = total / count.clamp(min=1)[..., None]
        keep = torch.where(full, self.momentum, 0.0)[:, None, None]
        moved = keep * self.entries + (1 - keep) * mean
        self.entries = torch.where((count > 0)[..., None], moved, self.entries)  # a new tensor
        self.filled = self.filled | (count > 0)
        self.hits = self.hits + count


def gather_processes(tensor: Tensor) -> Tensor:
    """Concatenate the tensors of all processes in their order, without gradient."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)
