"""GM-SRM: an encoder, a generative memory and a decoder.

Feng et al., "Generative Memory-Guided Semantic Reasoning Model for Image Inpainting", arXiv
2110.00261, section III. Equation numbers are the paper's; where algorithm 1 has another order,
equations 6 and 7 are followed. Levels are counted from the deepest; at the training size of
2^(L + 1), level i is 2^(i + 1) pixels wide. E is the encoder's feature of a level, P the memory's,
G the decoder's input at that level.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import is_exporting

from .memory import GenerativeMemory, double_size
from .settings import NETWORK_WIDTHS, GMSRMSettings, PaddingMode, PoolingOrder


class GMSRMOutput(NamedTuple):
    """A filled image, and for each level the moments of its noise and its code."""

    image: Tensor  # N 3 H W, 0..1
    moments: Sequence[tuple[Tensor, Tensor]]  # mean and log variance, [N, 1, 1, 1] or maps
    codes: Sequence[Tensor]  # c of each level, [N, D]


class MemoryQuery(NamedTuple):
    """A request for an image by the memory alone, as in its training."""

    keep: Tensor | None = None  # [N, 1, 1, 1], 0 for images whose features it does not see
    detached: bool = False  # no gradient to the features that it sees


class MemoryImage(NamedTuple):
    """An image by the memory alone."""

    image: Tensor  # N 3 H W, about -1..1
    codes: Tensor  # N L D, one copy of the code for each level


def init_zero(layer: nn.Linear | nn.Conv2d) -> None:
    """Make the layer output 0."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


class AttentionBlock(nn.Module):
    """a + CA(ReLU(IN(conv a))) with a = ReLU(IN(conv x)), strided if wanted (eq. 2 and 6)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        padding: PaddingMode,
        pooling: PoolingOrder,
        *,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.first = nn.Conv2d(
            inputs, outputs, 3, stride, padding=1, bias=False, padding_mode=padding
        )
        self.first_norm = nn.InstanceNorm2d(outputs, affine=True)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False, padding_mode=padding)
        self.second_norm = nn.InstanceNorm2d(outputs, affine=True)
        hidden = max(outputs // 16, 4)
        self.attention = nn.Sequential(  # squeeze and excitation
            nn.Linear(outputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.first_norm(self.first(x)))
        raw = self.second(a)
        b = F.relu(self.second_norm(raw))
        pooled = (b if self.pooling == "after" else raw).mean((2, 3))
        return a + b * self.attention(pooled)[..., None, None]


def pool_at_most(x: Tensor, most: int) -> Tensor:
    """Average `x` [N, C, H, W] to at most `most` places a side."""
    height, width = x.shape[-2:]
    if is_exporting():
        return pool_by_matrices(x, *(torch.arange(n)[:most] for n in (height, width)))
    if max(height, width) <= most:
        return x
    return F.adaptive_avg_pool2d(x, (min(height, most), min(width, most)))


def pool_by_matrices(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Average `x` [N, C, H, W] to the numbered `rows` and `columns`, as adaptive pooling does.

    It is for files of fixed operators, which pool to other sizes than they were written with.
    """
    matrices = []
    for old, new in zip(x.shape[-2:], (rows, columns), strict=True):
        place, pixel, count = new[:, None], torch.arange(old), new[-1] + 1
        first, end = place * old // count, ((place + 1) * old + count - 1) // count
        inside = ((pixel >= first) & (pixel < end)).to(x)
        matrices.append(inside / inside.sum(1, keepdim=True))
    return matrices[0] @ x @ matrices[1].T


class CodeMapper(nn.Module):
    """f of eq. 3 and 7, which maps features of any size to a code [N, D]; `quiet`: it starts as 0.

    The paper has one f for all levels, whose features differ in width: each has its own [choice].
    Features are pooled to at most 32 pixels a side, and to 4 x 4 after the convolution [choice].
    """

    def __init__(self, inputs: int, hidden: int, code: int, *, quiet: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.linear = nn.Linear(16 * hidden, code)
        if quiet:
            init_zero(self.linear)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv(pool_at_most(x, 32)), 0.2)
        four = torch.arange(4)
        whole = pool_by_matrices(x, four, four) if is_exporting() else F.adaptive_avg_pool2d(x, 4)
        return self.linear(whole.flatten(1))


class NoiseMoments(nn.Module):
    """h of eq. 8: mean and log variance of a level's noise; it starts as N(0, 1)."""

    def __init__(self, inputs: int, hidden: int, *, spatial: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.last = nn.Conv2d(hidden, 2, 1) if spatial else nn.Linear(hidden, 2)
        init_zero(self.last)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.leaky_relu(self.conv(x), 0.2)
        if isinstance(self.last, nn.Linear):
            moments = self.last(x.mean((2, 3)))[..., None, None]  # N 2 1 1
        else:
            moments = self.last(x)  # N 2 H W
        mean, log_variance = moments.chunk(2, 1)
        return mean, log_variance.clamp(-10, 10)


class GMSRMNet(nn.Module):
    """The whole network; the sides of its input are multiples of `settings.multiple`."""

    def __init__(self, settings: GMSRMSettings) -> None:
        super().__init__()
        self.settings = settings
        widths, depth = NETWORK_WIDTHS[settings.width], settings.depth
        E = (*widths.encoder[1 - depth :], 4)
        G = (E[0], *widths.decoder[1 - depth :])
        P = widths.memory[-depth:] if settings.memory else (0,) * depth
        how = settings.padding, settings.attention
        inner = range(depth - 1)
        self.encoder = nn.ModuleList(AttentionBlock(E[n + 1], E[n], *how, stride=2) for n in inner)
        self.decoder = nn.ModuleList(
            AttentionBlock(P[n] + E[n] + G[n], G[n + 1], *how) for n in inner
        )
        self.head = nn.Sequential(
            nn.Conv2d(P[-1] + G[-1], widths.head, 3, padding=1, padding_mode=settings.padding),
            nn.ReLU(),
            nn.Conv2d(widths.head, 3, 1),
        )
        if not settings.memory:
            return
        self.codes = nn.ModuleList(
            CodeMapper(g, widths.code_hidden, widths.code, quiet=n > 0)
            for n, g in enumerate(G[: depth if settings.progressive else 1])
        )
        if settings.noise == "conditional":
            self.moments = nn.ModuleList(
                NoiseMoments(e + g, widths.moments_hidden, spatial=settings.moments == "spatial")
                for e, g in zip(E, G, strict=True)
            )
        self.memory = GenerativeMemory(E, P, widths.code)

    def forward(
        self, visible: Tensor, mask: Tensor, query: MemoryQuery | None = None
    ) -> GMSRMOutput | MemoryImage:
        """Fill the hole; with a `query`, return the memory's own image of the visible part."""
        if query is not None:
            # path lengths are differentiated twice: in full precision
            reduced = torch.is_autocast_enabled(visible.device.type) and not query.detached
            with torch.autocast(visible.device.type, enabled=reduced):
                return self.generate_image(self.encode_image(visible, mask), query)
        E = self.encode_image(visible, mask)
        state, memory = E[0], list[Tensor]()  # G; P where there is a memory
        codes: list[Tensor] = []
        moments: list[tuple[Tensor, Tensor]] = []
        for n, feature in enumerate(E):
            if self.settings.memory:
                codes.append(self.map_code(n, state, codes))
                if self.settings.noise == "conditional":
                    moments.append(self.moments[n](torch.cat([feature, state], 1)))
                below = memory[0] if memory else None
                memory = [self.recall_level(n, below, feature, codes[n], moments[n:])]
            if n < len(self.decoder):
                state = self.decoder[n](
                    double_size(torch.cat([*memory, feature, state], 1))
                )  # eq. 6
        out = self.head(torch.cat([*memory, state], 1))
        return GMSRMOutput((torch.tanh(out) + 1) / 2, moments, codes)

    def encode_image(self, visible: Tensor, mask: Tensor) -> list[Tensor]:
        """Return E, deepest first; the last is the input itself, visible pixels in -1..1."""
        features = [torch.cat([(2 * visible - 1) * (1 - mask), mask], 1)]
        for block in reversed(self.encoder):
            features.insert(0, block(features[0]))
        return features

    def map_code(self, n: int, state: Tensor, codes: Sequence[Tensor]) -> Tensor:
        """Return c of level `n`: eq. 3 at the deepest, eq. 7 at the others."""
        if n == 0:
            return self.codes[0](state)
        return codes[-1] + self.codes[n](state) if self.settings.progressive else codes[-1]

    def recall_level(
        self,
        n: int,
        below: Tensor | None,
        feature: Tensor,
        code: Tensor,
        moments: Sequence[tuple[Tensor, Tensor]] = (),
    ) -> Tensor:
        """Return P of level `n`, from the level `below` it (eq. 4 and 8)."""
        level = self.memory.level(n)
        x = self.memory.start_features(feature) if below is None else double_size(below)
        noises = self.draw_noises(feature, moments[0] if moments else None, level.noises)
        return level(x, feature, code, noises)

    def draw_noises(
        self, like: Tensor, moments: tuple[Tensor, Tensor] | None, count: int
    ) -> Sequence[Tensor | None]:
        """Draw noise [N, 1, H, W] in training, else [1, 1, H, W] for the whole batch.

        The latter is drawn on the CPU, so it depends on neither the device nor the batch size.
        """
        if self.settings.noise == "none":
            return [None] * count
        shape = 1, *like.shape[-2:]
        if self.encoder.training:  # not `self.training`: other parts may be frozen
            drawn = [torch.randn(len(like), *shape, device=like.device) for _ in range(count)]
        else:
            drawn = [torch.randn(1, *shape).to(like.device) for _ in range(count)]
        if moments is None:
            return drawn
        mean, log_variance = moments
        spread = self.settings.temperature * (log_variance / 2).exp()
        return [mean + spread * noise for noise in drawn]

    def generate_image(self, E: Sequence[Tensor], query: MemoryQuery) -> MemoryImage:
        """Return the memory's image from the features `E`, for its training and for `explain`."""
        codes = self.codes[0](E[0])[:, None].repeat(1, len(E), 1)  # N L D
        recalled = image = None
        for n, feature in enumerate(E):
            shown = feature.detach() if query.detached else feature
            if query.keep is not None:
                shown = shown * query.keep
            recalled = self.recall_level(n, recalled, shown, codes[:, n])
            image = self.memory.level(n).to_rgb(recalled, codes[:, n], image)
        assert image is not None
        return MemoryImage(image, codes)
