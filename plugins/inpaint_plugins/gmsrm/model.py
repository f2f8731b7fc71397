"""GM-SRM (Feng et al., arXiv 2110.00261): an encoder, a generative memory, a decoder.

Equation numbers are of the paper, which contradicts itself in places; equations 6 and 7 are
followed where algorithm 1 has another order. Levels go from the deepest up; at the size of
training, 2^(L + 1), level i is 2^(i + 1) pixels wide. E is the encoder's feature of a level, P the
memory's, G the decoder's on arriving there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from pydantic import Field, NonNegativeFloat, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

from inpaint_cli.api import Settings

from .memory import Memory, up2

Width = Literal["full", "small", "tiny"]
Padding = Literal["zeros", "reflect"]
Pooling = Literal["after", "before"]


@dataclass(frozen=True)
class Widths:
    """Channels by level, deepest first, and of what lies beside the levels."""

    encoder: Sequence[int]
    memory: Sequence[int]
    decoder: Sequence[int]
    code: int
    code_hidden: int
    moments_hidden: int
    head: int
    levels: int  # by default


WIDTHS: dict[Width, Widths] = {
    "full": Widths(
        encoder=(512, 512, 512, 256, 128, 64),
        memory=(512, 512, 512, 512, 256, 128, 64),
        decoder=(512, 512, 256, 128, 64, 64),
        code=512, code_hidden=128, moments_hidden=64, head=64, levels=7,
    ),
    "small": Widths(
        encoder=(256, 256, 256, 128, 64, 32),
        memory=(256, 256, 256, 256, 128, 64, 32),
        decoder=(256, 256, 128, 64, 32, 32),
        code=256, code_hidden=64, moments_hidden=32, head=32, levels=7,
    ),
    "tiny": Widths(
        encoder=(32, 32, 32, 16),
        memory=(32, 32, 32, 32, 16),
        decoder=(32, 32, 16, 16),
        code=64, code_hidden=16, moments_hidden=8, head=16, levels=5,
    ),
}  # fmt: skip


class GMSRMSettings(Settings):
    """The whole network; the switches are those of table IV: Base, GM-BM and GM-CSV lack some."""

    width: Width = "full"  # 83.6 M parameters; small: 20.9 M; tiny, for tests: 0.4 M
    levels: int | None = Field(default=None, ge=3)  # 7 for 256 pixels, 5 for 64: less deep
    memory: bool = True  # False: Base
    noise: Literal["conditional", "random", "none"] = "conditional"  # GM-BM: random
    moments: Literal["scalar", "spatial"] = "scalar"  # of conditional noise: one a level, or a map
    progressive: bool = True  # GM-BM, GM-CSV: False; the code of the deepest level serves all
    temperature: NonNegativeFloat = 1.0  # of conditional noise; 0: always the same picture
    padding: Padding = "zeros"  # of encoder, decoder and head
    attention: Pooling = "after"  # whether it pools after the norm, as printed, or before it

    @model_validator(mode="after")
    def reachable(self) -> Self:
        most = WIDTHS[self.width].levels
        if self.depth > most:
            raise ValueError(f"width '{self.width}' has no more than {most} levels")
        return self

    @property
    def depth(self) -> int:
        """The number of levels."""
        return self.levels or WIDTHS[self.width].levels

    @property
    def multiple(self) -> int:
        """Sides are multiples of it: the encoder halves them between any two levels."""
        return 2 ** (self.depth - 1)


class Out(NamedTuple):
    """A filled picture, and for each level what its noise was drawn from."""

    image: Tensor  # N 3 H W, 0..1
    moments: Sequence[tuple[Tensor, Tensor]]  # mean and log variance, [N, 1, 1, 1] or maps
    codes: Sequence[Tensor]  # c of each level, [N, D]


class Query(NamedTuple):
    """How the memory is asked for a picture of its own, in its pre-training."""

    keep: Tensor | None = None  # [N, 1, 1, 1], 0 for images whose features it must not see
    detached: bool = False  # no gradient into the features that it sees


class Generated(NamedTuple):
    """A picture by the memory alone."""

    image: Tensor  # N 3 H W, about -1..1
    codes: Tensor  # N L D, one copy of the code for each level


class GMSRMNet(nn.Module):
    def __init__(self, settings: GMSRMSettings) -> None:
        super().__init__()
        self.settings = settings
        widths, depth = WIDTHS[settings.width], settings.depth
        E = (*widths.encoder[1 - depth :], 4)
        G = (E[0], *widths.decoder[1 - depth :])
        P = widths.memory[-depth:] if settings.memory else (0,) * depth
        how = settings.padding, settings.attention
        inner = range(depth - 1)
        self.encoder = nn.ModuleList(Block(E[n + 1], E[n], *how, stride=2) for n in inner)
        self.decoder = nn.ModuleList(Block(P[n] + E[n] + G[n], G[n + 1], *how) for n in inner)
        self.head = nn.Sequential(
            nn.Conv2d(P[-1] + G[-1], widths.head, 3, padding=1, padding_mode=settings.padding),
            nn.ReLU(),
            nn.Conv2d(widths.head, 3, 1),
        )
        if not settings.memory:
            return
        self.codes = nn.ModuleList(
            Code(g, widths.code_hidden, widths.code, quiet=n > 0)
            for n, g in enumerate(G[: depth if settings.progressive else 1])
        )
        if settings.noise == "conditional":
            self.moments = nn.ModuleList(
                Moments(e + g, widths.moments_hidden, spatial=settings.moments == "spatial")
                for e, g in zip(E, G, strict=True)
            )
        self.memory = Memory(E, P, widths.code)

    def forward(self, visible: Tensor, mask: Tensor, query: Query | None = None) -> Out | Generated:
        """The hole filled; with a `query`, the picture that the memory makes of what is visible."""
        if query is not None:
            # a slope is differentiated again: in full precision, which its tensors then keep
            reduced = torch.is_autocast_enabled(visible.device.type) and not query.detached
            with torch.autocast(visible.device.type, enabled=reduced):
                return self.generated(self.encoded(visible, mask), query)
        E = self.encoded(visible, mask)
        state, memory = E[0], list[Tensor]()  # G; P where there is a memory
        codes: list[Tensor] = []
        moments: list[tuple[Tensor, Tensor]] = []
        for n, feature in enumerate(E):
            if self.settings.memory:
                codes.append(self.code(n, state, codes))
                if self.settings.noise == "conditional":
                    moments.append(self.moments[n](torch.cat([feature, state], 1)))
                below = memory[0] if memory else None
                memory = [self.recalled(n, below, feature, codes[n], moments[n:])]
            if n < len(self.decoder):
                state = self.decoder[n](up2(torch.cat([*memory, feature, state], 1)))  # eq. 6
        out = self.head(torch.cat([*memory, state], 1))
        return Out((torch.tanh(out) + 1) / 2, moments, codes)

    def encoded(self, visible: Tensor, mask: Tensor) -> list[Tensor]:
        """E, deepest first; the last is the input itself, with -1..1 for the visible pixels."""
        features = [torch.cat([(2 * visible - 1) * (1 - mask), mask], 1)]
        for block in reversed(self.encoder):
            features.insert(0, block(features[0]))
        return features

    def code(self, n: int, state: Tensor, codes: Sequence[Tensor]) -> Tensor:
        """c of level `n`: eq. 3 at the deepest, eq. 7 from there on."""
        if n == 0:
            return self.codes[0](state)
        return codes[-1] + self.codes[n](state) if self.settings.progressive else codes[-1]

    def recalled(
        self,
        n: int,
        below: Tensor | None,
        feature: Tensor,
        code: Tensor,
        moments: Sequence[tuple[Tensor, Tensor]] = (),
    ) -> Tensor:
        """P of level `n`, from the one `below` it (eq. 4 and 8)."""
        level = self.memory.level(n)
        x = self.memory.start(feature) if below is None else up2(below)
        noises = self.noises(feature, moments[0] if moments else None, level.noises)
        return level(x, feature, code, noises)

    def noises(
        self, like: Tensor, moments: tuple[Tensor, Tensor] | None, count: int
    ) -> Sequence[Tensor | None]:
        """Noise [N, 1, H, W] in training, else one [1, 1, H, W] for the whole batch.

        The latter is drawn on the CPU: the same on every device, whatever else is in the batch.
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

    def generated(self, E: Sequence[Tensor], query: Query) -> Generated:
        """What the memory alone makes of the features `E`: its pre-training, and pictures."""
        codes = self.codes[0](E[0])[:, None].repeat(1, len(E), 1)  # N L D
        recalled = image = None
        for n, feature in enumerate(E):
            shown = feature.detach() if query.detached else feature
            if query.keep is not None:
                shown = shown * query.keep
            recalled = self.recalled(n, recalled, shown, codes[:, n])
            image = self.memory.level(n).to_rgb(recalled, codes[:, n], image)
        assert image is not None
        return Generated(image, codes)


class Block(nn.Module):
    """a = ReLU(IN(conv x)); a + CA(ReLU(IN(conv a))) (eq. 2 and 6); the first conv may stride."""

    def __init__(
        self, inputs: int, outputs: int, padding: Padding, pooling: Pooling, *, stride: int = 1
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


class Code(nn.Module):
    """f of eq. 3 and 7: features of any size to a code [N, D]; `quiet`: it starts as 0.

    Pooled to 32 pixels a side at most and to 4 x 4 after the convolution [choice].
    """

    def __init__(self, inputs: int, hidden: int, code: int, *, quiet: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.linear = nn.Linear(16 * hidden, code)
        if quiet:
            zeroed(self.linear)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if max(height, width) > 32:
            x = F.adaptive_avg_pool2d(x, (min(height, 32), min(width, 32)))
        x = F.leaky_relu(self.conv(x), 0.2)
        return self.linear(F.adaptive_avg_pool2d(x, 4).flatten(1))


class Moments(nn.Module):
    """h of eq. 8: mean and log variance of a level's noise; it starts as N(0, 1)."""

    def __init__(self, inputs: int, hidden: int, *, spatial: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.last = nn.Conv2d(hidden, 2, 1) if spatial else nn.Linear(hidden, 2)
        zeroed(self.last)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.leaky_relu(self.conv(x), 0.2)
        if isinstance(self.last, nn.Linear):
            moments = self.last(x.mean((2, 3)))[..., None, None]  # N 2 1 1
        else:
            moments = self.last(x)  # N 2 H W
        mean, log_variance = moments.chunk(2, 1)
        return mean, log_variance.clamp(-10, 10)


def zeroed(layer: nn.Linear | nn.Conv2d) -> None:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
