"""The disentangled memory: for each region of a face, some vectors seen, updated and read.

What is averaged and compared is float32 whatever the precision around it.
"""

import torch
from accelerate.state import GradientState
from torch import Tensor, distributed, nn
from torch.nn import functional as F


def pool(features: Tensor, regions: Tensor, weight: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The mean feature of each region, and how many cells it has.

    Features [N, C, h, w], regions [N, h, w] and weights of 0 or 1 [N, 1, h, w] give
    [N, count, C] and [N, count]. A region without a cell has the mean 0.
    """
    with torch.autocast(features.device.type, enabled=False):
        member = F.one_hot(regions.flatten(1), count).float() * weight.flatten(2).mT  # N hw R
        cells = member.sum(1)  # N R
        sums = member.mT @ features.flatten(2).mT.float()  # N R C
        return sums / cells.clamp(min=1)[..., None], cells


def spread(vectors: Tensor, regions: Tensor) -> Tensor:
    """The vector [N, R, C] of each cell's region: [N, C, h, w]."""
    n, _, channels = vectors.shape
    index = regions.flatten(1)[:, None].expand(-1, channels, -1)
    return vectors.mT.gather(2, index).view(n, channels, *regions.shape[1:])


class Memory(nn.Module):
    """`slots` vectors for each of `regions`, in buffers; no gradient reaches them.

    Each step of a training updates it once, as in the paper; evaluation leaves it as it is.
    """

    entries: Tensor  # R m C
    filled: Tensor  # R m, bool
    hits: Tensor  # R m, how many vectors each has taken in

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
        self.parts: list[list[Tensor]] = []  # of a step that is not over
        self.register_buffer("entries", torch.zeros(regions, slots, channels))
        self.register_buffer("filled", torch.zeros(regions, slots, dtype=torch.bool))
        self.register_buffer("hits", torch.zeros(regions, slots, dtype=torch.long))

    def similarity(self, query: Tensor) -> Tensor:
        """Eq. 1: cosines [N, R, m] of the queries [N, R, C] to every slot of their region."""
        with torch.autocast(query.device.type, enabled=False):
            return F.cosine_similarity(query.float()[:, :, None], self.entries[None], -1, 1e-8)

    def forward(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 4 and 5: what the memory answers [N, R, C], and the weights of slots [N, R, m].

        [choice] A region whose memory is empty answers with the query itself.
        """
        scores = self.similarity(query) / self.temperature
        some = self.filled.any(1)[:, None]  # R 1
        weights = scores.masked_fill(~self.filled & some, -torch.inf).softmax(-1) * self.filled
        with torch.autocast(query.device.type, enabled=False):
            answer = torch.einsum("nrm,rmc->nrc", weights, self.entries)
        return torch.where(some, answer, query.float()), weights

    @torch.no_grad()
    def update(self, query: Tensor, value: Tensor, valid: Tensor) -> None:
        """Eq. 2 and 3, once for the whole batch: of all processes, at the last part of a step.

        What belongs to parts that are accumulated is kept until then.

        [choice] Nothing depends on the order of samples: slots are assigned by the memory as it
        was, and each moves towards the mean of the values assigned to it. While a region has
        empty slots, values are stored there as they come, and those left over are dropped: if slots
        began at random, a few would win everything.
        """
        self.parts.append([gathered(t.detach().float()) for t in (query, value, valid)])
        if not GradientState().sync_gradients:
            return
        query, value, valid = map(torch.cat, zip(*self.parts, strict=True))
        self.parts.clear()
        valid = valid > 0  # N R
        slots = self.filled.shape[1]
        taken = self.filled.sum(1)  # R
        full = taken == slots
        place = torch.where(full, self.similarity(query).argmax(-1), taken + valid.cumsum(0) - 1)
        member = F.one_hot(place.clamp(0, slots), slots + 1)[..., :slots] * valid[..., None]
        count = member.sum(0)  # R m
        total = torch.einsum("nrm,nrc->rmc", member.float(), value)
        mean = total / count.clamp(min=1)[..., None]
        keep = torch.where(full, self.momentum, 0.0)[:, None, None]
        moved = keep * self.entries + (1 - keep) * mean
        self.entries = torch.where((count > 0)[..., None], moved, self.entries)  # a new tensor
        self.filled = self.filled | (count > 0)
        self.hits = self.hits + count


def gathered(tensor: Tensor) -> Tensor:
    """The tensors of all processes below each other, in their order, without gradient."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)
