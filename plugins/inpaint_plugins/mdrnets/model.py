"""The network: a coarse face, its regions, a memory of each region, and a refinement.

ShowFace (BMVC 2022, section 3), implemented from the paper's main text; its supplement is not
available, and what the text leaves open is marked [choice]. With M the hole and X the visible
pixels: R = coarse(X); P = X outside the hole and clip(R) in it; S are the regions of P, F_s its
style features; for each region, Q is the mean over all cells and V over known cells, Qhat the
memory's answer to Q; F = Qhat_S in the hole and V_S elsewhere; F_f is F after masked correlation;
Y = refinement(P, M | F_f).
"""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import GatedConv2d, InpaintError, PartialUNet, SpadeBlock, is_exporting

from .memory import RegionMemory, pool_regions, spread_to_cells
from .regions import REGION_COUNT, BiSeNet, FaceParser, FaceTemplate
from .settings import MDRNetSettings

CORRELATION_BYTES = 64 * 2**20  # of correlations that inference holds at once
MOST_PATCHES = 1024  # that training correlates: gradients keep all correlations


def shrink_hole(mask: Tensor) -> Tensor:
    """Reduce the hole to a quarter of its size: a cell is known only if all of its pixels are."""
    return F.max_pool2d(mask, 4)


def mirror_to_multiple(image: Tensor, step: int) -> Tensor:
    """Mirror `image` [..., H, W] at its right and bottom to multiples of `step`."""
    for dim in (-2, -1):
        side = image.shape[dim]
        extra = -side % step
        if is_exporting() or extra:  # a file of fixed operators is for all sizes
            turn = max(2 * side - 2, 1)
            index = torch.arange(side + extra, device=image.device) % turn
            image = image.index_select(dim, torch.minimum(index, turn - index))
    return image


def shrink_regions(regions: Tensor) -> Tensor:
    """Reduce regions [N, H, W] to a quarter of their size."""
    small = F.interpolate(regions[:, None].float(), scale_factor=0.25)  # nearest
    return small[:, 0].long()


class StyleEncoder(nn.Module):
    """F_s [N, 4w, H/4, W/4] in -1..1 of an image in 0..1; layers as in SEAN [choice]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [3, width // 2, width, 2 * width, 4 * width, 4 * width]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride, padding=1, padding_mode="reflect")
            for a, b, stride in zip(widths[:-1], widths[1:], (1, 2, 2, 1, 1), strict=True)
        )

    def forward(self, image: Tensor) -> Tensor:
        x = 2 * image - 1
        for conv in self.convs[:-1]:
            x = F.leaky_relu(F.instance_norm(conv(x)), 0.2)
        return torch.tanh(self.convs[-1](x))


class Correlation(nn.Module):
    """MCM: to patches of the hole, mixtures of similar patches are added.

    [choice] The third branch is F itself; similarities are scaled and go through a softmax; patches
    do not overlap. Inference holds `CORRELATION_BYTES` of similarities at once; training refuses
    more than `MOST_PATCHES`.
    """

    def __init__(self, channels: int, *, patch: int, keys: Literal["all", "known"]) -> None:
        super().__init__()
        self.patch, self.keys = patch, keys
        self.theta = nn.Conv2d(channels, channels // 4, 1)
        self.phi = nn.Conv2d(channels, channels // 4, 1)

    def forward(self, x: Tensor, hole: Tensor) -> Tensor:
        """Map F [N, C, h, w] with its hole [N, 1, h, w] to F_f, which is F outside the hole."""
        p, (height, width) = self.patch, x.shape[-2:]
        extra = (0, -width % p, 0, -height % p)
        whole, gone = F.pad(x, extra), F.pad(hole, extra)
        query, key, value = (
            self.cut_patches(f(whole)) for f in (self.theta, self.phi, nn.Identity())
        )
        count = query.shape[1]
        if torch.is_grad_enabled() and count > MOST_PATCHES:
            side = math.ceil(p * (count / MOST_PATCHES) ** 0.5)
            raise InpaintError(
                f"training would correlate {count} patches, more than {MOST_PATCHES}; set "
                f"model.patch to {side} or train on smaller images"
            )
        excluded = None
        if self.keys == "known":
            known = F.max_pool2d(gone, p).flatten(1)[:, None] == 0  # N 1 patches
            excluded = ~known & known.any(-1, keepdim=True)
        rows = max(CORRELATION_BYTES // (4 * count * len(x)), 1)
        parts = [query] if is_exporting() else query.split(rows, 1)
        mixed = [self.attention_weights(q, key, excluded) @ value for q in parts]
        patches = (
            torch.cat(mixed, 1)
            .transpose(1, 2)
            .unflatten(2, (whole.shape[-2] // p, whole.shape[-1] // p))
        )
        update = F.pixel_shuffle(patches, p)[..., :height, :width]
        return torch.where(hole > 0, x + update, x)

    def cut_patches(self, x: Tensor) -> Tensor:
        """Cut [N, C, h, w] into patches [N, patches, C * patch * patch]."""
        return F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)

    def attention_weights(
        self, query: Tensor, key: Tensor, excluded: Tensor | None = None
    ) -> Tensor:
        """Return Phi [N, queries, patches], whose rows sum to 1."""
        similarity = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
        if excluded is not None:
            similarity = similarity.masked_fill(excluded, -torch.inf)
        return similarity.softmax(-1)


class GatedBlock(nn.Module):
    """x + two gated convolutions, the first of them dilated."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = GatedConv2d(channels, channels, dilation=dilation)
        self.second = GatedConv2d(channels, channels, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


class Refinement(nn.Module):
    """GRN: gated convolutions of P and the hole, conditioned through SPADE [choice]."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        w = width
        self.encoder = nn.Sequential(
            GatedConv2d(4, w, kernel=5),  # N w H
            GatedConv2d(w, 2 * w, stride=2),  # N 2w H/2
            GatedConv2d(2 * w, 2 * w),
            GatedConv2d(2 * w, 4 * w, stride=2),  # N 4w H/4
            *(GatedBlock(4 * w, dilation) for dilation in (1, 2, 4, 8)),
        )
        self.blocks = nn.ModuleList(
            SpadeBlock(a, b, condition, hidden=2 * w, spectral=True, resize="bilinear")
            for a, b in ((4 * w, 4 * w), (4 * w, 4 * w), (4 * w, 2 * w))
        )
        self.last = GatedConv2d(2 * w, w)
        self.image = nn.Conv2d(w, 3, 3, padding=1)

    def forward(self, coarse: Tensor, mask: Tensor, condition: Tensor) -> Tensor:
        """Return Y [N, 3, H, W] in 0..1 from P, the hole and the condition [N, C, H/4, W/4]."""
        x = self.encoder(torch.cat([2 * coarse - 1, mask], 1))
        for block in self.blocks[:-1]:
            x = block(x, condition)
        x = self.blocks[-1](F.interpolate(x, scale_factor=2), condition)  # N 2w H/2
        x = self.last(F.interpolate(x, scale_factor=2))  # N w H
        return (torch.tanh(self.image(x).float()) + 1) / 2  # 8 bits of bf16 are too few


class Trace(NamedTuple):
    """A fill and its intermediate results."""

    image: Tensor  # Y
    coarse: Tensor  # P
    regions: Tensor  # S at a quarter of the size [N, h, w]
    present: Tensor  # [N, 14]
    weights: Tensor | None  # of the memory's slots [N, 14, m]


class MDRNet(nn.Module):
    """The whole network; its parts can be run alone by the stages that train them."""

    def __init__(self, settings: MDRNetSettings) -> None:
        super().__init__()
        s, channels = settings, 4 * settings.width
        self.settings = s
        self.step = 2 ** max(s.levels, 3)  # sides are padded to multiples of it
        self.coarse = PartialUNet(s.levels, s.coarse_width)
        self.parser: FaceParser
        if s.parser == "template":
            self.parser = FaceTemplate(s.merge)
        else:
            self.parser = BiSeNet(s.classes, s.merge, size=s.parser_size, width=s.parser_width)
        self.style = StyleEncoder(s.width)
        if s.dmm:
            self.memory = RegionMemory(
                REGION_COUNT, s.slots, channels, momentum=s.momentum, temperature=s.temperature
            )
        if s.mrem:
            self.correlation = Correlation(channels, patch=s.patch, keys=s.keys)
        self.refinement = Refinement(s.width, channels)

    def parts_to_refine(self) -> list[str]:
        """List the submodules trained together, after the coarse network and the parser."""
        parts = {"style": True, "memory": self.settings.dmm, "correlation": self.settings.mrem}
        return [*(part for part, there in parts.items() if there), "refinement"]

    def forward(
        self, visible: Tensor, mask: Tensor, part: Literal["all", "coarse", "parser"] = "all"
    ) -> Tensor | tuple[Tensor | None, ...]:
        """Return a `Trace`; for a part, R or the output of the parser."""
        if part == "coarse":
            height, width = mask.shape[-2:]
            padded = (mirror_to_multiple(x, self.step) for x in (visible, mask))
            return self.coarse(*padded)[..., :height, :width]
        if part == "parser":
            return self.parser(visible)
        return self.fill_traced(visible, mask)

    def fill_traced(self, visible: Tensor, mask: Tensor) -> Trace:
        """Fill an image of any size, mirrored to multiples of `step` like its regions."""
        height, width = mask.shape[-2:]
        visible, mask = (mirror_to_multiple(x, self.step) for x in (visible, mask))
        with torch.no_grad():  # frozen when the rest is trained
            coarse = torch.where(mask > 0, self.coarse(visible, mask).float().clamp(0, 1), visible)
            regions = self.parser.parse_regions(coarse[..., :height, :width])
            regions = shrink_regions(mirror_to_multiple(regions, self.step))
        features = self.style(coarse)  # N C H/4 W/4
        hole = shrink_hole(mask)
        condition, present, weights = self.make_condition(features, regions, hole)
        image = self.refinement(coarse, mask, condition)
        image, coarse = image[..., :height, :width], coarse[..., :height, :width]
        regions = regions[:, : -(-height // 4), : -(-width // 4)]
        return Trace(image, coarse, regions, present, weights)

    def make_condition(
        self, features: Tensor, regions: Tensor, hole: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return F_f (or its replacement in an ablation), the regions present, and slot weights."""
        s = self.settings
        everything = torch.ones_like(hole)
        asked = hole if s.query == "hole" else everything
        query, heard = pool_regions(features, regions, asked, REGION_COUNT)
        value, known = pool_regions(features, regions, 1 - hole, REGION_COUNT)
        _, cells = pool_regions(hole, regions, everything, REGION_COUNT)
        answer, weights = query, None
        if s.dmm:
            if self.memory.training:
                self.memory.update_slots(query, value, (known >= s.enough) & (heard > 0))
            answer, weights = self.memory(query)
        elif not s.mrem:
            return features, cells > 0, None
        fused = torch.where(
            hole > 0, spread_to_cells(answer, regions), spread_to_cells(value, regions)
        )
        return (self.correlation(fused, hole) if s.mrem else fused), cells > 0, weights
