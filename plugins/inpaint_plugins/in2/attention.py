"""Neighbourhood attention: each query sees the kernel x kernel keys around it.

Hassani et al., "Neighborhood Attention Transformer", CVPR 2023. Near a border the window is shifted
inward and keeps its size. On an axis shorter than the kernel it is the whole axis [choice].

Queries are processed in tiles of 8 x 8, each as one masked attention with the 14 x 14 keys that its
queries see. Tiles with the same masks and offsets (9 patterns, 16 at most) share one bias.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import compute_values

TILES_AT_ONCE = 128  # tiles at once: copies of keys and values are six times the map they come from


@dataclass(frozen=True)
class AxisTiles:
    """Tiles along one axis that share a pattern: t tiles of T queries and R keys each."""

    queries: Tensor  # t T
    keys: Tensor  # t R
    offsets: Tensor  # T R: key - query
    seen: Tensor  # T R: bool


def group_tiles(length: int, kernel: int, tile: int) -> list[AxisTiles]:
    """Group the tiles along an axis by pattern; the last tile repeats its last query."""
    k, t = min(kernel, length), min(tile, length)
    reach = min(t + k - 1, length)
    first = torch.arange(0, length, t)[:, None]
    queries = (first + torch.arange(t)).clamp(max=length - 1)
    keys = (first - k // 2).clamp(0, length - reach) + torch.arange(reach)
    start = (queries - k // 2).clamp(0, length - k)[..., None]
    seen = (keys[:, None] >= start) & (keys[:, None] < start + k)
    offsets = keys[:, None] - queries[..., None]
    groups: dict[bytes, list[int]] = {}
    for n, pattern in enumerate(torch.where(seen, offsets, length)):
        groups.setdefault(pattern.numpy().tobytes(), []).append(n)
    return [AxisTiles(queries[g], keys[g], offsets[g[0]], seen[g[0]]) for g in groups.values()]


@dataclass(frozen=True)
class TileGroup:
    """Tiles of a map that share a pattern, as indices into the flattened map and the bias table."""

    queries: Tensor  # t T*T
    keys: Tensor  # t R*R
    bias: Tensor  # T*T R*R: the table's last entry is for keys out of sight


@lru_cache(maxsize=32)
def plan_tiles(
    height: int, width: int, kernel: int, tile: int, device: torch.device
) -> tuple[Sequence[TileGroup], Tensor]:
    """Return the groups of a map, and each pixel's first index in their concatenated queries."""
    span = 2 * kernel - 1
    groups = []
    # cached tensors are used in training too, and after an estimate
    with torch.inference_mode(False), compute_values():
        for y in group_tiles(height, kernel, tile):
            for x in group_tiles(width, kernel, tile):
                queries, keys = (
                    (a[:, None, :, None] * width + b[None, :, None, :]).reshape(
                        len(a) * len(b), -1
                    )  # tiles of rows x tiles of columns, rows x columns
                    for a, b in ((y.queries, x.queries), (y.keys, x.keys))
                )
                dy, dx = y.offsets + kernel - 1, x.offsets + kernel - 1
                place = dy[:, None, :, None] * span + dx[None, :, None, :]
                seen = y.seen[:, None, :, None] & x.seen[None, :, None, :]
                bias = torch.where(seen, place, span * span).reshape(queries.shape[1], -1)
                groups.append(TileGroup(queries.to(device), keys.to(device), bias.to(device)))
        order = torch.cat([group.queries.flatten().cpu() for group in groups])
        first = torch.empty(height * width, dtype=torch.long)
        first[order.flip(0)] = torch.arange(len(order)).flip(0)
    return groups, first.to(device)


def attend_neighbourhood(
    q: Tensor, k: Tensor, v: Tensor, table: Tensor | None, *, kernel: int = 7, tile: int = 8
) -> Tensor:
    """Return the attention of q, k, v [N, H, W, heads, d], in the same shape.

    `table` [heads, 2 kernel - 1, 2 kernel - 1] has the bias of logits for each key - query.
    """
    n, height, width, heads, d = q.shape
    if (
        table is None
        and min(height, width) >= kernel
        and q.is_cuda
        and (na2d := load_natten(kernel))
    ):
        return na2d(q, k, v, kernel_size=(kernel, kernel))
    groups, first = plan_tiles(height, width, kernel, tile, q.device)
    table = q.new_zeros(1, (2 * kernel - 1) ** 2) if table is None else table.flatten(1).to(q)
    table = F.pad(table, (0, 1), value=-torch.inf)
    q, k, v = (x.reshape(n, height * width, heads * d) for x in (q, k, v))

    def gather_tiles(x: Tensor, places: Tensor) -> Tensor:
        x = x.index_select(1, places.flatten())
        return x.view(n * len(places), -1, heads, d).transpose(1, 2)  # N*t heads P d

    outputs = []
    for group in groups:
        bias = table.index_select(1, group.bias.flatten()).view(1, -1, *group.bias.shape)
        for queries, keys in zip(
            *(places.split(TILES_AT_ONCE) for places in (group.queries, group.keys)), strict=True
        ):
            out = F.scaled_dot_product_attention(
                gather_tiles(q, queries),
                gather_tiles(k, keys),
                gather_tiles(v, keys),
                bias.expand(n * len(queries), heads, -1, -1),
            )
            outputs.append(out.transpose(1, 2).reshape(n, -1, heads * d))
    return torch.cat(outputs, 1).index_select(1, first).view(n, height, width, heads, d)


@lru_cache
def load_natten(kernel: int) -> Callable[..., Tensor] | None:
    """Return the CUDA kernel of the `natten` package, if it has one and it matches ours."""
    try:
        import natten as package  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    if not getattr(package, "HAS_LIBNATTEN", False):
        return None
    return package.na2d if matches_ours(package.na2d, kernel, torch.device("cuda")) else None


def matches_ours(na2d: Any, kernel: int, device: torch.device) -> bool:
    """Return whether `na2d` gives the same on a small map as our code on a CPU."""
    x = torch.randn(3, 1, 2 * kernel + 1, kernel, 2, 32, generator=torch.Generator().manual_seed(0))
    q, k, v = x
    expected = attend_neighbourhood(q, k, v, None, kernel=kernel)
    found = na2d(*x.to(device), kernel_size=(kernel, kernel)).to(expected)
    return torch.allclose(found, expected, atol=1e-3)


class NeighbourhoodAttention(nn.Module):
    """Attention over features [N, H, W, C], with a learned bias for each relative position."""

    def __init__(
        self, channels: int, *, heads: int, kernel: int = 7, bias: bool = True, tile: int = 8
    ) -> None:
        super().__init__()
        self.heads, self.kernel, self.tile = heads, kernel, tile
        self.qkv = nn.Linear(channels, 3 * channels)
        self.join = nn.Linear(channels, channels)
        self.table = None
        if bias:
            self.table = nn.Parameter(torch.empty(heads, 2 * kernel - 1, 2 * kernel - 1))
            nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        n, height, width, c = x.shape
        q, k, v = self.qkv(x).view(n, height, width, 3, self.heads, c // self.heads).unbind(3)
        out = attend_neighbourhood(q, k, v, self.table, kernel=self.kernel, tile=self.tile)
        return self.join(out.reshape(n, height, width, c))

    def for_export(self) -> nn.Module:
        return UnrolledAttention(self)


class UnrolledAttention(nn.Module):
    """The same `attention` without a plan of tiles: row by row of the kernel, for all queries.

    It is the same at every size, as a file of fixed operators needs it, and slower.
    """

    def __init__(self, attention: NeighbourhoodAttention) -> None:
        super().__init__()
        self.heads, self.kernel = attention.heads, attention.kernel
        self.qkv, self.join, self.table = attention.qkv, attention.join, attention.table

    def forward(self, x: Tensor) -> Tensor:
        n, height, width, _ = x.shape
        q, k, v = self.qkv(x).view(n, height, width, 3, self.heads, -1).unbind(3)
        rows, row_bias, row_offsets = self.seen_keys(height, x)
        columns, column_bias, offsets = self.seen_keys(width, x)

        def gather_row(x: Tensor, step: int) -> Tensor:
            """Return what queries see in a row of their kernels: [N, H, W, kernel, heads, d]."""
            seen = x.index_select(1, rows[:, step]).index_select(2, columns.flatten())
            return seen.view(n, height, width, self.kernel, self.heads, -1)

        scores = []
        for step in range(self.kernel):
            score = (q[:, :, :, None] * gather_row(k, step)).sum(-1) * q.shape[-1] ** -0.5
            if self.table is not None:
                bias = self.table.index_select(1, row_offsets[:, step])
                bias = bias.index_select(2, offsets.flatten()).permute(1, 2, 0)
                score = score + bias.reshape(height, width, self.kernel, self.heads)
            hidden = row_bias[:, step, None, None] + column_bias
            scores.append(score + hidden[..., None])  # N H W kernel heads
        weights = torch.cat(scores, 3).softmax(3).view(n, height, width, *(self.kernel,) * 2, -1)
        parts = [
            (weights[:, :, :, step, ..., None] * gather_row(v, step)).sum(3)
            for step in range(self.kernel)
        ]
        return self.join(torch.stack(parts).sum(0).flatten(3))

    def seen_keys(self, side: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the keys [side, kernel] that a query sees along an axis, their biases and offsets.

        The bias is -inf past the end of an axis that is shorter than the kernel.
        """
        place = torch.arange(side, device=like.device)[:, None]
        last = place[-1:]
        first = (place - self.kernel // 2).clamp(min=0)
        first = first.minimum((last - self.kernel + 1).clamp(min=0))
        step = first + torch.arange(self.kernel, device=like.device)
        bias = torch.zeros_like(step, dtype=like.dtype).masked_fill(step > last, -torch.inf)
        key = step.minimum(last)
        return key, bias, key - place + self.kernel - 1
