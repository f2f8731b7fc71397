"""Exemplar-based filling from coarse to fine: match every patch, let the matches vote, repeat.

The energy is that of Wexler et al. 2007 (every patch that touches the hole should look like one
that is wholly visible), lowered by their alternation of matching and voting; matches spread as in
Barnes et al. 2009, all patches at once instead of in scan order. From Newson et al. 2014 come the
onion-peel start and the texture channels, without which averaged patches draw in ever smoother
ones. Ours: patches are compared by their principal components, 20 numbers instead of 245.

A patch is named by the flat index of its top left pixel, so that `patch + offset` is a pixel of
it; H W stand for the size of a scale, C for its channels (RGB and two of texture).
"""

import math

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional as F

from .seams import blend, cut

PATCH = 7  # pixels a side
COMPONENTS = 20  # principal components by which patches are compared
RADIUS = 8  # pixels from the border to the middle of a hole, at most, at the coarsest scale
TEXTURE = 6.0  # weight of the texture channels beside the colours
DEPTH = 0.9  # a patch is trusted less by this factor a pixel of distance to what is visible
EXACT = 20_000_000  # pairs of patches up to which all are compared


def inpaint(image: Tensor, hole: Tensor, generator: torch.Generator) -> Tensor:
    """Fill `image` [3, H, W] in 0..1 where `hole` [H, W] is True; `generator` is on the CPU."""
    image = image * ~hole
    patch = min(PATCH, *hole.shape)
    patch -= 1 - patch % 2
    while patch > 1 and visible_patches(hole, patch) < 8:
        patch -= 2
    if patch < 3:
        return smooth(image, hole)
    scales = pyramid(torch.cat([image, TEXTURE * texture(image, hole)]), hole, patch)
    scale = Scale(*scales.pop(), patch)
    match = peel(scale, generator)
    improve(scale, match, generator, rounds=6)
    while scales:
        coarse, scale = scale, Scale(*scales.pop(), patch)
        match = refined(match, coarse, scale)
        scale.vote(match, torch.ones(len(scale.queries)))
        improve(scale, match, generator, rounds=min(2 + len(scales), 4))
    source = cut(scale.rows[:, :3], hole, scale.centred(match))
    return blend(scale.rows[:, :3], hole, source)


class Scale:
    """A picture at one scale; its hole holds the present guess."""

    def __init__(self, picture: Tensor, hole: Tensor, patch: int) -> None:
        self.patch = patch
        self.height, self.width = hole.shape
        self.hole = hole
        self.rows = picture.flatten(1).T.contiguous()  # HW C
        self.pixels = hole.flatten().nonzero()[:, 0]  # of the hole
        self.offsets = [y * self.width + x for y in range(patch) for x in range(patch)]
        inside = torch.zeros(hole.shape, dtype=torch.bool)
        inside[: self.height - patch + 1, : self.width - patch + 1] = True
        touching = torch.zeros_like(inside)
        touching[inside] = F.max_pool2d(hole[None].float(), patch, 1).flatten() > 0.5
        visible = inside & ~touching
        self.queries = touching.flatten().nonzero()[:, 0]
        self.sources = visible.flatten().nonzero()[:, 0]
        y, x = np.asarray(
            distance_transform_edt(~visible.numpy(), return_distances=False, return_indices=True)
        )
        self.nearest = torch.from_numpy(y.astype(np.int64) * self.width + x).flatten()  # source
        centres = self.queries + patch // 2 * (self.width + 1)
        self.trust = DEPTH ** depth(hole).flatten()[centres]

    def describe(self, basis: Tensor) -> Tensor:
        """The components of all patches, [HW, K], for `basis` [K, C, P, P]."""
        picture = self.rows.T.reshape(1, -1, self.height, self.width)
        components = F.conv2d(picture, basis)[0]  # K H-P+1 W-P+1
        components = F.pad(components, (0, self.patch - 1, 0, self.patch - 1))
        return components.flatten(1).T.contiguous()

    def patches(self, where: Tensor) -> Tensor:
        """The patches [N, P * P, C] at `where` [N]."""
        return self.rows[where[:, None] + torch.tensor(self.offsets)]

    def vote(self, match: Tensor, weight: Tensor) -> None:
        """Make each pixel of the hole the mean of what the patches over it say it is.

        `match` [HW] is the source of each patch, `weight` [queries] what its vote counts.
        """
        every = torch.zeros(len(self.rows))
        every[self.queries] = weight * self.trust + 1e-9
        total = torch.zeros(len(self.pixels), self.rows.shape[1])
        count = torch.zeros(len(self.pixels), 1)
        for offset in self.offsets:
            # A patch that starts before the image wraps to an index where none starts: weight 0.
            patch = (self.pixels - offset) % len(every)
            share = every[patch][:, None]
            pixel = (match[patch] + offset).clamp_(max=len(every) - 1)
            total.addcmul_(self.rows.index_select(0, pixel), share)
            count += share
        self.rows[self.pixels] = total / count

    def centred(self, match: Tensor) -> Tensor:
        """The pixel [HW] that each is a copy of: in the hole, by the patch centred on it."""
        y, x = self.pixels // self.width, self.pixels % self.width
        top = (y - self.patch // 2).clamp(0, self.height - self.patch)
        left = (x - self.patch // 2).clamp(0, self.width - self.patch)
        patch = top * self.width + left
        source = torch.arange(len(match))
        source[self.pixels] = match[patch] + self.pixels - patch
        return source


def visible_patches(hole: Tensor, patch: int) -> int:
    return int((F.max_pool2d(hole[None].float(), patch, 1) < 0.5).sum())


def depth(hole: Tensor) -> Tensor:
    """The distance [H, W] of each pixel to the nearest visible one; the image's edge is none."""
    return torch.from_numpy(distance_transform_edt(hole.numpy())).float()


def halved(picture: Tensor, hole: Tensor, least: float = 0.5) -> tuple[Tensor, Tensor]:
    """Means of what is visible in each 2 x 2 pixels; a hole where that is a part below `least`."""
    visible = F.avg_pool2d((~hole)[None].float(), 2, ceil_mode=True)
    means = F.avg_pool2d(picture * ~hole, 2, ceil_mode=True) / visible.clamp(min=0.25)
    smaller = visible[0] < least
    return means * ~smaller, smaller


def pyramid(picture: Tensor, hole: Tensor, patch: int) -> list[tuple[Tensor, Tensor]]:
    """`picture` and `hole`, then halved as long as the hole is deep and sources remain."""
    scales = [(picture, hole)]
    while depth(hole).max() > RADIUS and min(hole.shape) >= 4 * patch:
        picture, hole = halved(picture, hole)
        if visible_patches(hole, patch) < 64:
            break
        scales.append((picture, hole))
    return scales


def smooth(image: Tensor, hole: Tensor) -> Tensor:
    """Fill with local means, for a photo that shows no whole patch: pull down, push up."""
    if not hole.any():
        return image
    smaller = smooth(*halved(image, hole, least=0.25))
    larger = F.interpolate(smaller[None], hole.shape, mode="bilinear", align_corners=False)[0]
    return torch.where(hole, larger, image)


def texture(image: Tensor, hole: Tensor) -> Tensor:
    """Mean horizontal and vertical slope [2, H, W] in 9 x 9 pixels (Newson et al., section 3.3)."""
    grey, visible = image.mean(0), (~hole).float()
    across = F.pad(grey.diff(dim=1).abs() * visible[:, 1:] * visible[:, :-1], (0, 1))
    down = F.pad(grey.diff(dim=0).abs() * visible[1:] * visible[:-1], (0, 0, 0, 1))
    sums = F.avg_pool2d(torch.stack([across, down, visible]), 9, 1, 4)
    return sums[:2] / sums[2:].clamp(min=1e-3) * visible


def peel(scale: Scale, generator: torch.Generator) -> Tensor:
    """Fill ring after ring from outside, each pixel from the source that best fits what is there.

    Returns the source of each patch, [HW]: its own place where no pixel chose one.
    """
    most = min(max(256, EXACT // 2 // len(scale.pixels)), 20_000)
    sources = sample(scale.sources, most, generator)
    wanted = scale.patches(sources).flatten(1).T  # C*P*P S
    squares = wanted.square()
    match = torch.arange(len(scale.rows))
    hole = scale.hole.clone()
    while hole.any():
        ring = hole & (F.max_pool2d((~hole)[None].float(), 3, 1, 1)[0] > 0.5)
        pixels = ring.flatten().nonzero()[:, 0]
        y, x = pixels // scale.width, pixels % scale.width
        top = (y - scale.patch // 2).clamp(0, scale.height - scale.patch)
        left = (x - scale.patch // 2).clamp(0, scale.width - scale.patch)
        patches = top * scale.width + left
        for some in patches.split(max(1, EXACT // 4 // len(sources))):
            seen = ~hole.flatten()[some[:, None] + torch.tensor(scale.offsets)]  # n P*P
            seen = seen[..., None].expand(-1, -1, scale.rows.shape[1]).flatten(1).float()
            misfit = seen @ squares - 2 * (seen * scale.patches(some).flatten(1)) @ wanted
            match[some] = sources[misfit.argmin(1)]
        scale.rows[pixels] = scale.rows[match[patches] + pixels - patches]
        hole &= ~ring
    return match


def sample(values: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """At most so many of `values`, at random."""
    return values[torch.randperm(len(values), generator=generator)[:most]]


def refined(match: Tensor, coarse: Scale, fine: Scale) -> Tensor:
    """The matches of a coarse scale, carried over to the next finer one."""
    y = torch.arange(fine.height)[:, None]
    x = torch.arange(fine.width)
    parent = match[y // 2 * coarse.width + x // 2]  # H W
    top = (parent // coarse.width * 2 + y % 2).clamp_(max=fine.height - 1)
    left = (parent % coarse.width * 2 + x % 2).clamp_(max=fine.width - 1)
    carried = (top * fine.width + left).flatten()[fine.queries]
    match = torch.arange(len(fine.rows))
    match[fine.queries] = fine.nearest[carried]
    return match


def improve(scale: Scale, match: Tensor, generator: torch.Generator, *, rounds: int) -> None:
    """Match and vote by turns; `match` [HW] and the picture of `scale` are changed in place."""
    examples = scale.patches(sample(scale.sources, 4000, generator)).flatten(1)  # n P*P*C
    examples -= examples.mean(0)
    axes = torch.linalg.eigh(examples.T @ examples)[1][:, -COMPONENTS:]
    basis = axes.T.unflatten(1, (scale.patch, scale.patch, -1)).permute(0, 3, 1, 2).contiguous()
    known = scale.describe(basis)  # what is visible never changes
    for n in range(rounds):
        wanted = (scale.describe(basis) if n else known)[scale.queries]
        if len(scale.queries) * len(scale.sources) <= EXACT:
            match[scale.queries] = best_of_all(wanted, known, scale.sources)
        else:
            spread(scale, match, wanted, known, generator)
        cost = (wanted - known[match[scale.queries]]).square_().sum(1)
        middle = cost[:: 1 + len(cost) // 10_000].median().clamp(min=1e-8)
        scale.vote(match, torch.exp(-cost / (2 * middle)))


def best_of_all(wanted: Tensor, known: Tensor, sources: Tensor) -> Tensor:
    """The best of all `sources` for each row of `wanted`."""
    table = known[sources]
    half = table.square().sum(1) / 2
    rows = wanted.split(max(1, EXACT // 4 // len(sources)))
    return torch.cat([sources[torch.addmm(half, q, table.T, alpha=-1).argmin(1)] for q in rows])


def spread(
    scale: Scale, match: Tensor, wanted: Tensor, known: Tensor, generator: torch.Generator
) -> None:
    """Improve `match` by what neighbours found, and by chance in ever smaller windows."""
    queries, last = scale.queries, len(match) - 1
    best = match[queries]
    cost = (wanted - known[best]).square_().sum(1)

    def attempt(candidate: Tensor) -> None:
        nonlocal best, cost
        candidate = scale.nearest[candidate.clamp_(0, last)]
        its_cost = (wanted - known.index_select(0, candidate)).square_().sum(1)
        best = torch.where(its_cost < cost, candidate, best)
        cost = torch.minimum(its_cost, cost)

    for jump in (1, 4):
        for step in (jump, jump * scale.width, -jump, -jump * scale.width):
            attempt(match[(queries - step).clamp_(0, last)] + step)
            match[queries] = best
    widest = max(scale.height, scale.width) // 2
    for radius in (widest, math.isqrt(widest), 3, 1):
        shift = torch.randint(-radius, radius + 1, (2, len(queries)), generator=generator)
        attempt(best + shift[0] * scale.width + shift[1])
    match[queries] = best
