"""The decoder: pixels as a function of their place between features (section 4.2 of the paper).

After Chen et al., "Learning Continuous Image Representation with Local Implicit Image Function",
CVPR 2021. Output sample i of a layer is at u = (i + 0.5) step - 0.5 in feature pixels; with the
encoder's step of 1/2 at every size, nothing drifts relative to the image ("anchored").
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from .settings import Coordinates, Interpolation


@dataclass(frozen=True)
class AxisSampling:
    """The two features next to each output sample along one axis."""

    step: float  # feature pixels from sample to sample: the paper's cell (eq. 3)
    near: Sequence[Tensor]  # twice [n]: which feature
    offset: Sequence[Tensor]  # twice [n]: from that feature to the sample, in feature pixels
    weight: Sequence[Tensor]  # twice [n]: of that feature, by the opposite area; the two sum to 1

    def select(self, some: slice) -> "AxisSampling":
        """Return the samples `some` only."""
        parts = ([t[some] for t in ts] for ts in (self.near, self.offset, self.weight))
        return AxisSampling(self.step, *parts)


def sample_axis(features: int, samples: int, step: float, device: torch.device) -> AxisSampling:
    """Locate `samples` between `features`; computed in float64, stored in float32."""
    u = (torch.arange(samples, dtype=torch.float64) + 0.5) * step - 0.5
    floor = u.floor()
    last = torch.as_tensor(features - 1)
    near = [(floor + corner).clamp(min=0).minimum(last) for corner in (0, 1)]
    return AxisSampling(
        step,
        [i.long().to(device, non_blocking=True) for i in near],
        [(u - i).float().to(device, non_blocking=True) for i in near],
        [w.float().to(device, non_blocking=True) for w in (1 - (u - floor), u - floor)],
    )


class INRB(nn.Module):
    """Implicit neural representation block: a feature map at another size.

    A sample is the sum over its four nearest features l of w_l GELU(A_l + U rho_l), rho_l the
    offset (eq. 2), followed by an MLP that also takes the cell (eq. 4). A is a 3 x 3 convolution at
    the features' own size. The `bilinear` form, for comparison, is the sum of w_l A_l.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        *,
        form: Interpolation = "implicit",
        rows: int = 64,
    ) -> None:
        super().__init__()
        self.form, self.rows = form, rows
        self.features = nn.Conv2d(inputs, hidden, 3)
        self.offset = nn.Linear(2, hidden, bias=False) if form == "implicit" else None
        self.first = nn.Linear(hidden + 2, hidden)
        self.last = nn.Linear(hidden, outputs)

    def forward(
        self,
        x: Tensor,
        size: tuple[int, int],
        step: tuple[float, float],
        head: nn.Module | None = None,
    ) -> Tensor:
        """Map features [N, C, h, w] to [N, outputs, *size], then apply `head` if given.

        Everything but the convolution is pointwise and computed for some rows at a time, so no
        hidden layer ever has the full size. In training, hidden layers are computed twice.
        """
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        x = a = self.features(x).permute(0, 2, 3, 1)  # N h w hidden; its input may be freed
        sides = zip(a.shape[1:3], size, step, strict=True)
        y, x_ = (sample_axis(n, samples, s, a.device) for n, samples, s in sides)
        parts = [slice(top, top + self.rows) for top in range(0, size[0], self.rows)]
        if torch.is_grad_enabled():
            blocks = [
                self.compute_with_gradient(a, y.select(some), x_, head, once=len(parts) == 1)
                for some in parts
            ]
            return torch.cat(blocks, 1).permute(0, 3, 1, 2)
        out = None
        for some in parts:
            block = self.compute_rows(a, y.select(some), x_, head)
            if out is None:  # separate blocks would fragment memory
                out = block.new_empty(len(x), *size, block.shape[-1])
            out[:, some] = block
        assert out is not None
        return out.permute(0, 3, 1, 2)

    def for_export(self) -> nn.Module:
        return WholeINRB(self)

    def compute_with_gradient(
        self, a: Tensor, y: AxisSampling, x: AxisSampling, head: nn.Module | None, *, once: bool
    ) -> Tensor:
        """Call `compute_rows` with gradients; hidden layers are kept if `once`, else recomputed."""
        if once:
            return self.compute_rows(a, y, x, head)
        return checkpoint(
            self.compute_rows, a, y, x, head, use_reentrant=False, preserve_rng_state=False
        )

    def compute_rows(
        self, a: Tensor, y: AxisSampling, x: AxisSampling, head: nn.Module | None
    ) -> Tensor:
        """Return the rows `y` [N, rows, W, outputs]."""
        features = self.interpolate_features(a, y, x)
        hidden = features.shape[-1]  # the cell is constant: its term joins the bias
        down, across = self.first.weight[:, hidden:].unbind(1)
        bias = self.first.bias + down * y.step + across * x.step
        out = self.last(F.gelu(F.linear(features, self.first.weight[:, :hidden], bias)))
        return out if head is None else head(out)

    def interpolate_features(self, a: Tensor, y: AxisSampling, x: AxisSampling) -> Tensor:
        """Evaluate eq. 2 at rows `y` and columns `x` of features [N, h, w, C]."""
        total = None
        for i in (0, 1):
            rows = a.index_select(1, y.near[i])  # N rows w C
            if self.offset is not None:
                rows = rows + self.offset.weight[:, 0] * y.offset[i][:, None, None]
            for j in (0, 1):
                corner = rows.index_select(2, x.near[j])  # N rows W C
                if self.offset is not None:
                    corner = F.gelu(corner + self.offset.weight[:, 1] * x.offset[j][:, None])
                area = y.weight[i][:, None, None] * x.weight[j][:, None]
                total = corner * area if total is None else total.addcmul_(corner, area)
        assert total is not None
        return total.to(a.dtype)


class WholeINRB(nn.Module):
    """The same `block` for all rows at once, as a file of fixed operators has it."""

    def __init__(self, block: INRB) -> None:
        super().__init__()
        self.block = block

    def forward(
        self, x: Tensor, size: tuple[int, int], step: tuple[float, float], head: nn.Module | None
    ) -> Tensor:
        a = self.block.features(F.pad(x, (1, 1, 1, 1), mode="replicate")).permute(0, 2, 3, 1)
        sides = zip((x.shape[-2], x.shape[-1]), size, step, strict=True)
        y, x_ = (sample_axis(n, samples, s, a.device) for n, samples, s in sides)
        return self.block.compute_rows(a, y, x_, head).permute(0, 3, 1, 2)


class Pyramid(nn.Module):
    """One INRB a level, each at twice the size of the one before (section 4.2.3), and a head.

    Without the pyramid, one layer as narrow as the last goes to the full size [choice].
    """

    def __init__(
        self,
        widths: Sequence[int],  # of the features, then of each level up
        *,
        pyramid: bool = True,
        form: Interpolation = "implicit",
        grid: Coordinates = "anchored",
        rows: int = 64,
    ) -> None:
        super().__init__()
        steps = zip(widths, widths, [*widths[1:], widths[-1]], strict=True)
        layers = list(steps) if pyramid else [(widths[0], widths[-1], widths[-1])]
        self.layers = nn.ModuleList(INRB(*c, form=form, rows=rows) for c in layers)
        self.step = 0.5 if pyramid else 0.5 ** len(widths)
        self.grid: Coordinates = grid
        self.head = nn.Linear(widths[-1], 3)

    def forward(self, x: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Map features [N, C, h, w] through `sizes` to an image [N, 3, *sizes[-1]] in 0..1."""
        for n, layer in enumerate(self.layers):
            height, width = x.shape[-2:]
            last = n == len(self.layers) - 1
            size = sizes[-1] if last else sizes[n]
            step = (self.step, self.step)
            if self.grid == "normalised":
                step = (height / size[0], width / size[1])
            x = layer(x, size, step, self.head if last else None)
        return torch.sigmoid(x.float())
