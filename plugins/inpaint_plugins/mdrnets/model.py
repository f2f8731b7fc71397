"""The network: a coarse face, its regions, what a memory holds of each, and a refinement by them.

ShowFace (BMVC 2022). With M the hole and X the visible pixels: R = coarse(X), P = X outside the
hole and clip(R) in it; regions S of P; style features F_s of P; per region the means Q (of all
cells) and V (of known cells), Q answered by the memory as Qhat; F = Qhat_S in the hole, V_S
elsewhere; F_f = F after masked correlation; Y = refined(P, M | F_f).
"""

import math
from typing import Literal, NamedTuple

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from inpaint_cli.api import GatedConv2d, InpaintError, PartialUNet, Settings, Share, SpadeBlock

from .memory import Memory, pool, spread
from .regions import REGIONS, BiSeNet, Merge, Parser, Template

CHUNK = 64 * 2**20  # bytes of the correlations that inference holds at once
MOST = 1024  # patches that training correlates: their gradients keep all correlations


class MDRNetSettings(Settings):
    """`mrem` and `dmm` off are the ablations of the paper's Table 2."""

    levels: PositiveInt = 7  # of the coarse U-Net
    coarse_width: PositiveInt = 64
    width: PositiveInt = 64  # of the refinement; its features have 4 times as many channels
    parser: Literal["bisenet", "template"] = "bisenet"
    classes: Literal[14, 19] = 14  # that the parser tells apart
    merge: Merge = "A"  # of 19 classes into 14: A joins the lips, B the jewellery to ear and neck
    parser_size: PositiveInt = 512  # pixels a side at which the parser looks
    parser_width: PositiveInt = 64
    dmm: bool = True  # the memory
    slots: PositiveInt = 10  # of it, for each region
    momentum: Share = 0.99
    temperature: PositiveFloat = 1.0
    enough: PositiveInt = 4  # known cells from which a mean is worth remembering
    query: Literal["region", "hole"] = "region"  # what Q is the mean of
    mrem: bool = True  # broadcast to regions, and masked correlation
    patch: PositiveInt = 4  # cells a side of what is correlated
    keys: Literal["all", "known"] = "all"  # which patches may be attended to


class StyleEncoder(nn.Module):
    """F_s in -1..1 [N, 4w, H/4, W/4] of a picture in 0..1; layers as SEAN's [choice]."""

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
    """MCM: patches of the hole become mixtures of patches like them.

    [choice] The third branch is F itself, the similarities are scaled and go through a softmax,
    patches do not overlap. Inference holds `CHUNK` bytes of similarities at once, whatever the
    size; training refuses more than `MOST` patches.
    """

    def __init__(self, channels: int, *, patch: int, keys: Literal["all", "known"]) -> None:
        super().__init__()
        self.patch, self.keys = patch, keys
        self.theta = nn.Conv2d(channels, channels // 4, 1)
        self.phi = nn.Conv2d(channels, channels // 4, 1)

    def forward(self, x: Tensor, hole: Tensor) -> Tensor:
        """F [N, C, h, w] and its hole [N, 1, h, w] to F_f, which is F outside the hole."""
        p, (height, width) = self.patch, x.shape[-2:]
        extra = (0, -width % p, 0, -height % p)
        whole, gone = F.pad(x, extra), F.pad(hole, extra)
        query, key, value = (self.patches(f(whole)) for f in (self.theta, self.phi, nn.Identity()))
        count = query.shape[1]
        if torch.is_grad_enabled() and count > MOST:
            raise InpaintError(
                f"training would correlate {count} patches, more than {MOST}; set model.patch "
                f"to {math.ceil(p * (count / MOST) ** 0.5)} or train on smaller images"
            )
        barred = None
        if self.keys == "known":
            known = F.max_pool2d(gone, p).flatten(1)[:, None] == 0  # N 1 patches
            barred = ~known & known.any(-1, keepdim=True)
        rows = max(CHUNK // (4 * count * len(x)), 1)
        mixed = [self.weights(q, key, barred) @ value for q in query.split(rows, 1)]
        size = whole.shape[-2:]
        update = F.fold(torch.cat(mixed, 1).mT, size, p, stride=p)[..., :height, :width]
        return torch.where(hole > 0, x + update, x)

    def patches(self, x: Tensor) -> Tensor:
        return F.unfold(x, self.patch, stride=self.patch).mT  # N patches C*p*p

    def weights(self, query: Tensor, key: Tensor, barred: Tensor | None = None) -> Tensor:
        """Phi [N, queries, patches], whose rows sum to 1."""
        similarity = query @ key.mT / query.shape[-1] ** 0.5
        if barred is not None:
            similarity = similarity.masked_fill(barred, -torch.inf)
        return similarity.softmax(-1)


class GatedBlock(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = GatedConv2d(channels, channels, dilation=dilation)
        self.second = GatedConv2d(channels, channels, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


class Refinement(nn.Module):
    """GRN: gated convolutions of P and the hole, guided by SPADE to what belongs where [choice]."""

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
        """Y [N, 3, H, W] in 0..1 of P, the hole and the condition [N, C, H/4, W/4]."""
        x = self.encoder(torch.cat([2 * coarse - 1, mask], 1))
        for block in self.blocks[:-1]:
            x = block(x, condition)
        x = self.blocks[-1](F.interpolate(x, scale_factor=2), condition)  # N 2w H/2
        x = self.last(F.interpolate(x, scale_factor=2))  # N w H
        return (torch.tanh(self.image(x)) + 1) / 2


class Trace(NamedTuple):
    """What a picture went through on its way."""

    image: Tensor  # Y
    coarse: Tensor  # P
    regions: Tensor  # S at a quarter of the size [N, h, w]
    present: Tensor  # [N, 14]
    weights: Tensor | None  # of the memory's slots [N, 14, m]


class MDRNet(nn.Module):
    """Y in 0..1; or a part of the way to it, for the stages that train that part."""

    def __init__(self, settings: MDRNetSettings) -> None:
        super().__init__()
        s, channels = settings, 4 * settings.width
        self.settings = s
        self.step = 2 ** max(s.levels, 3)  # of the sides that its layers take
        self.coarse = PartialUNet(s.levels, s.coarse_width)
        self.parser: Parser
        if s.parser == "template":
            self.parser = Template(s.merge)
        else:
            self.parser = BiSeNet(s.classes, s.merge, size=s.parser_size, width=s.parser_width)
        self.style = StyleEncoder(s.width)
        if s.dmm:
            self.memory = Memory(
                REGIONS, s.slots, channels, momentum=s.momentum, temperature=s.temperature
            )
        if s.mrem:
            self.correlation = Correlation(channels, patch=s.patch, keys=s.keys)
        self.refinement = Refinement(s.width, channels)

    def refines(self) -> list[str]:
        """The parts that learn together once the coarse network and the parser have."""
        parts = {"style": True, "memory": self.settings.dmm, "correlation": self.settings.mrem}
        return [*(part for part, there in parts.items() if there), "refinement"]

    def forward(
        self, visible: Tensor, mask: Tensor, part: Literal["all", "coarse", "parser"] = "all"
    ) -> Tensor | tuple[Tensor | None, ...]:
        """Y and the way to it; for a part, R or what the parser gives."""
        if part == "coarse":
            height, width = mask.shape[-2:]
            padded = (mirrored(x, self.step) for x in (visible, mask))
            return self.coarse(*padded)[..., :height, :width]
        if part == "parser":
            return self.parser(visible)
        return self.trace(visible, mask)

    def trace(self, visible: Tensor, mask: Tensor) -> Trace:
        """Of any size: it is continued by its mirror, and so are the regions of what it shows."""
        height, width = mask.shape[-2:]
        visible, mask = (mirrored(x, self.step) for x in (visible, mask))
        with torch.no_grad():  # frozen wherever the rest learns
            coarse = torch.where(mask > 0, self.coarse(visible, mask).float().clamp(0, 1), visible)
            regions = self.parser.regions(coarse[..., :height, :width])
            regions = at_grid(mirrored(regions, self.step))
        features = self.style(coarse)  # N C H/4 W/4
        hole = grid_hole(mask)
        condition, present, weights = self.condition(features, regions, hole)
        image = self.refinement(coarse, mask, condition)
        image, coarse = image[..., :height, :width], coarse[..., :height, :width]
        regions = regions[:, : -(-height // 4), : -(-width // 4)]
        return Trace(image, coarse, regions, present, weights)

    def condition(
        self, features: Tensor, regions: Tensor, hole: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """F_f, or what an ablation has in its place; which regions there are; slots read."""
        s = self.settings
        everything = torch.ones_like(hole)
        asked = hole if s.query == "hole" else everything
        query, _ = pool(features, regions, asked, REGIONS)
        value, known = pool(features, regions, 1 - hole, REGIONS)
        _, cells = pool(hole, regions, everything, REGIONS)
        answer, weights = query, None
        if s.dmm:
            if self.memory.training:
                self.memory.update(query, value, known >= s.enough)
            answer, weights = self.memory(query)
        elif not s.mrem:
            return features, cells > 0, None
        fused = torch.where(hole > 0, spread(answer, regions), spread(value, regions))
        return (self.correlation(fused, hole) if s.mrem else fused), cells > 0, weights


def grid_hole(mask: Tensor) -> Tensor:
    """The hole at a quarter of the size: a cell is known only where all of its pixels are."""
    return F.max_pool2d(mask, 4)


def mirrored(image: Tensor, step: int) -> Tensor:
    """`image` [..., H, W] continued to the right and below to multiples of `step`."""
    for dim in (-2, -1):
        side = image.shape[dim]
        if extra := -side % step:
            turn = max(2 * side - 2, 1)
            index = torch.arange(side + extra, device=image.device) % turn
            image = image.index_select(dim, torch.minimum(index, turn - index))
    return image


def at_grid(regions: Tensor) -> Tensor:
    """Regions [N, H, W] at a quarter of the size."""
    small = F.interpolate(regions[:, None].float(), scale_factor=0.25)  # nearest
    return small[:, 0].long()
