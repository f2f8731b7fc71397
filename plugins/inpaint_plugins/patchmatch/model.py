"""Exemplar-based filling from coarse to fine: match every patch, let the matches vote, repeat.

The energy is that of Wexler et al. 2007 (every patch that touches the hole should look like one
that is wholly visible), lowered by their alternation of matching and voting; matches spread as in
Barnes et al. 2009, all patches at once instead of in scan order. From Newson et al. 2014 come the
onion-peel start and the texture channels, without which averaged patches draw in ever smoother
ones, from Kaspar et al. 2015 the price of a source that is used again and again, and from He and
Sun 2012 the offsets at which a photo repeats itself: boards, windows and railings go on by these.
Ours: patches are compared by their principal components, 20 numbers instead of 245.

A patch is named by the flat index of its top left pixel, so that `patch + offset` is a pixel of
it; H W stand for the size of a scale, C for its channels (RGB and two of texture), P for the side
of a patch, Q and S for the number of patches that touch the hole and of those that do not.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from .products import bands, multiply
from .seams import blend_gradients, cut_seams

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]
Hole = NDArray[np.bool_]

PATCH = 7  # pixels a side
FINE = 5  # the same at the two finest scales, where texture counts and structure stands already
COMPONENTS = 20  # principal components by which patches are compared
RADIUS = 14  # pixels from the border to the middle of a hole, at most, at the coarsest scale
TEXTURE = 9.0  # weight of the texture channels beside the colours
DEPTH = 0.8  # a patch is trusted less by this factor a pixel of distance to what is visible
EXAMPLES = 2000  # patches from which principal components are computed
EXACT = 5_000_000  # pairs of patches up to which all are compared
MANY = 30_000  # patches from which on one short round has to do, as a coarser scale led to them
HUGE = 100_000  # from which on seams alone are moved
FREE = 6  # uses of a source that cost nothing, or twice its fair share where that is more
REUSE = 4.0  # what each further use costs, in medians of the distance that patches keep
SAMPLES = 400, 2000  # patches that are looked for, and among which, to find offsets
OFFSETS = 12  # the most frequent ones that are used
FAVOUR = 0.75  # the part of a distance that a source at such an offset need not pay
BAND = 256  # patches handled at once, so that they stay in the processor's cache


def inpaint(rgb: Floats, hole: Hole, rng: np.random.Generator) -> Floats:
    """Fill `rgb` [H, W, 3] in 0..1 where `hole` [H, W] is True; all hole gives mid-grey."""
    if hole.all():
        return np.full_like(rgb, 0.5)
    rgb = np.where(hole[..., None], np.float32(0), rgb)
    patch = fitting_patch(hole)
    if patch < 3 or not hole.any():
        return fill_smoothly(rgb, hole)
    source = find_sources(rgb, hole, patch, rng)
    return blend_gradients(rgb.reshape(-1, 3), hole, source)


def find_sources(rgb: Floats, hole: Hole, patch: int, rng: np.random.Generator) -> Indices:
    """The pixel [HW] of which each is a copy, for `rgb` [H, W, 3] that is 0 in `hole` [H, W]."""
    picture = np.concatenate([rgb, TEXTURE * measure_texture(rgb, hole)], axis=2)
    pyramid = enumerate(build_pyramid(picture, hole, patch))
    scales = [(*level, min(patch, FINE) if n < 2 else patch) for n, level in pyramid]
    scale = Scale(*scales.pop())
    match = peel_onion(scale, rng)
    improve_matches(scale, match, rng, rounds=4, coarsest=True)
    while scales:
        coarse, scale = scale, Scale(*scales.pop())
        match = refine_matches(match, coarse, scale)
        scale.rows[scale.pixels] = scale.rows[scale.centred(match)[scale.pixels]]
        size = len(scale.queries)
        rounds = 0 if size > HUGE else 1 if size > MANY else min(2 + len(scales), 4)
        if rounds:
            improve_matches(scale, match, rng, rounds=rounds)
    colours = np.ascontiguousarray(scale.rows[:, :3])
    return cut_seams(colours, hole, scale.centred(match))


class Scale:
    """A picture at one scale; its hole holds the present guess."""

    def __init__(self, picture: Floats, hole: Hole, patch: int) -> None:
        self.patch = patch
        self.height, self.width = hole.shape
        self.hole = hole
        self.rows = picture.reshape(hole.size, -1)  # HW C
        self.pixels = np.flatnonzero(hole)
        square = np.arange(patch)
        self.offsets = (square[:, None] * self.width + square).ravel()
        inside = np.zeros(hole.shape, bool)
        inside[: self.height - patch + 1, : self.width - patch + 1] = True
        touching = touching_patches(hole, patch)
        visible = inside & ~touching
        self.queries = np.flatnonzero(inside & touching)  # Q
        self.sources = np.flatnonzero(visible)  # S
        self.nearest = nearest_rank(visible).ravel()  # HW: which source is nearest
        centres = self.queries + patch // 2 * (self.width + 1)
        self.trust = DEPTH ** measure_depth(hole).take(centres)

    def patches(self, where: Indices) -> Floats:
        """The patches [N, P * P * C] at `where` [N]."""
        step, side = self.rows.strides[0], self.patch  # a line of a patch is one item to be copied
        lines = np.ndarray(len(self.rows) - side + 1, f"V{step * side}", self.rows, strides=(step,))
        return lines[where[:, None] + self.offsets[::side]].view(np.float32).reshape(len(where), -1)

    def describe(self, where: Indices, basis: Floats) -> Floats:
        """The components [N, K] of the patches at `where` [N], for `basis` [P * P * C, K]."""
        components = np.empty((len(where), basis.shape[1]), np.float32)
        for some in bands(len(where), BAND):
            components[some] = multiply(self.patches(where[some]), basis)
        return components

    def vote(self, match: Indices, weight: Floats) -> None:
        """Make each pixel of the hole the mean of what the patches over it say it is.

        `match` [HW] is the source of each patch, `weight` [Q] what its vote counts.
        """
        every = np.zeros(len(self.rows), np.float32)
        every[self.queries] = weight * self.trust + np.float32(1e-9)
        guess = np.empty((len(self.pixels), 1, self.rows.shape[1]), np.float32)
        for some in bands(len(self.pixels), BAND):
            # A patch that starts before the image wraps to an index where none starts: weight 0.
            patch = self.pixels[some, None] - self.offsets
            share = every.take(patch, mode="wrap")
            share /= share.sum(axis=1, keepdims=True)
            pixel = match.take(patch, mode="wrap") + self.offsets
            np.matmul(share[:, None], self.rows.take(pixel, axis=0, mode="clip"), out=guess[some])
        self.rows[self.pixels] = guess[:, 0]

    def covering(self, pixels: Indices) -> Indices:
        """The patch that is centred on each of `pixels`, as far as the image allows."""
        y, x = np.divmod(pixels, self.width)
        top = (y - self.patch // 2).clip(0, self.height - self.patch)
        left = (x - self.patch // 2).clip(0, self.width - self.patch)
        return top * self.width + left

    def centred(self, match: Indices) -> Indices:
        """The pixel [HW] that each is a copy of: in the hole, by the patch centred on it."""
        patch = self.covering(self.pixels)
        source = np.arange(len(match))
        source[self.pixels] = match[patch] + self.pixels - patch
        return source


def touching_patches(hole: Hole, patch: int) -> Hole:
    """Which patches [H, W] hold a pixel of the hole, by their top left pixel."""
    square = np.ones((patch, patch), np.uint8)
    return cv2.dilate(hole.astype(np.uint8), square, anchor=(0, 0)) > 0


def count_sources(hole: Hole, patch: int) -> int:
    """How many patches are wholly visible."""
    height, width = hole.shape
    touching = touching_patches(hole, patch)[: height - patch + 1, : width - patch + 1]
    return int((~touching).sum())


def fitting_patch(hole: Hole) -> int:
    """The side of the largest patch of which eight are visible: odd, at most PATCH, or 1."""
    patch = min(PATCH, *hole.shape)
    patch -= 1 - patch % 2
    while patch > 1 and count_sources(hole, patch) < 8:
        patch -= 2
    return patch


def measure_depth(hole: Hole) -> Floats:
    """The distance [H, W] of each pixel to the nearest visible one; the image's edge is none."""
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(depth, np.float32)


def nearest_rank(visible: Hole) -> NDArray[np.int32]:
    """The rank [H, W] of the nearest True pixel among all True pixels, in reading order."""
    distant = (~visible).astype(np.uint8)
    labels = cv2.distanceTransformWithLabels(
        distant, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )[1]
    return labels - 1


def halve(picture: Floats, hole: Hole, least: float = 0.5) -> tuple[Floats, Hole]:
    """Means of what is visible in each 2 x 2 pixels; a hole where that is a part below `least`."""
    height, width = hole.shape
    seen = (~hole).astype(np.float32)[..., None]
    both = np.concatenate([picture * seen, seen], axis=2)
    both = cv2.copyMakeBorder(both, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    both = cv2.resize(both, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    visible = both[..., -1:]
    smaller = visible < least
    means = both[..., :-1] * ~smaller / np.maximum(visible, 0.25)
    return np.asarray(means, np.float32), smaller[..., 0]


def build_pyramid(picture: Floats, hole: Hole, patch: int) -> list[tuple[Floats, Hole]]:
    """`picture` and `hole`, then halved as long as the hole is deep and sources remain."""
    scales = [(picture, hole)]
    while measure_depth(hole).max() > RADIUS and min(hole.shape) >= 4 * patch:
        picture, hole = halve(picture, hole)
        if count_sources(hole, patch) < 64:
            break
        scales.append((picture, hole))
    return scales


def fill_smoothly(rgb: Floats, hole: Hole) -> Floats:
    """Fill with local means, for a photo that shows no whole patch: pull down, push up."""
    if not hole.any():
        return rgb
    height, width = hole.shape
    smaller = fill_smoothly(*halve(rgb, hole, least=0.25))
    larger = cv2.resize(smaller, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(hole[..., None], larger, rgb)


def measure_texture(rgb: Floats, hole: Hole) -> Floats:
    """Mean horizontal and vertical slope [H, W, 2] in 9 x 9 pixels (Newson et al., section 3.3)."""
    grey = cv2.transform(rgb, np.full((1, 3), 1 / 3, np.float32))
    visible = (~hole).astype(np.float32)
    across, down = np.zeros(hole.shape, np.float32), np.zeros(hole.shape, np.float32)
    across[:, :-1] = np.abs(grey[:, 1:] - grey[:, :-1]) * visible[:, 1:] * visible[:, :-1]
    down[:-1] = np.abs(grey[1:] - grey[:-1]) * visible[1:] * visible[:-1]
    share = visible / np.maximum(sum_around(visible), np.float32(1e-3))
    slopes = np.stack([sum_around(across) * share, sum_around(down) * share], axis=2)
    return np.asarray(slopes, np.float32)


def sum_around(picture: Floats) -> Floats:
    """The sum [H, W] of the 9 x 9 pixels around each, as far as the image goes."""
    sums = cv2.boxFilter(picture, -1, (9, 9), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(sums, np.float32)


def peel_onion(scale: Scale, rng: np.random.Generator) -> Indices:
    """Fill ring after ring from outside, each pixel from the source that best fits what is there.

    Returns the source of each patch, [HW]: its own place where no pixel chose one.
    """
    most = min(max(256, EXACT // 2 // len(scale.pixels)), 20_000)
    sources = pick(scale.sources, most, rng)
    examples = scale.patches(sources)
    squares = np.square(examples).reshape(len(sources), len(scale.offsets), -1).sum(axis=2)
    table = np.concatenate([squares, -2 * examples], axis=1).T  # P*P + P*P*C S
    match = np.arange(len(scale.rows))
    hole = scale.hole.copy()
    while hole.any():
        eroded = cv2.erode(hole.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        pixels = np.flatnonzero(hole & ~eroded)
        patches = scale.covering(pixels)
        visible = (~hole).astype(np.float32).ravel()
        for some in bands(len(pixels), max(1, EXACT // 4 // len(sources))):
            seen = visible.take(patches[some, None] + scale.offsets)  # n P*P
            wanted = scale.patches(patches[some]) * np.repeat(seen, scale.rows.shape[1], axis=1)
            misfit = multiply(np.concatenate([seen, wanted], axis=1), table)
            match[patches[some]] = sources[misfit.argmin(axis=1)]
        scale.rows[pixels] = scale.rows[match[patches] + pixels - patches]
        hole = eroded
    return match


def pick(values: Indices, most: int, rng: np.random.Generator) -> Indices:
    """At most so many of `values`, at random."""
    if len(values) <= most:
        return values
    return rng.choice(values, most, replace=False, shuffle=False)


def refine_matches(match: Indices, coarse: Scale, fine: Scale) -> Indices:
    """The matches of a coarse scale, carried over to the next finer one."""
    y, x = np.divmod(fine.queries, fine.width)
    parent = match[y // 2 * coarse.width + x // 2]
    top = (parent // coarse.width * 2 + y % 2).clip(max=fine.height - 1)
    left = (parent % coarse.width * 2 + x % 2).clip(max=fine.width - 1)
    refined = np.arange(len(fine.rows))
    refined[fine.queries] = fine.sources[fine.nearest[top * fine.width + left]]
    return refined


def improve_matches(
    scale: Scale,
    match: Indices,
    rng: np.random.Generator,
    *,
    rounds: int,
    coarsest: bool = False,
) -> None:
    """Match and vote by turns; `match` [HW] and the picture of `scale` are changed in place.

    At the coarsest scale sources at the offsets at which the picture repeats itself are favoured.
    """
    basis = principal_axes(scale.patches(pick(scale.sources, EXAMPLES, rng)), rng)
    known = Descriptions(scale, basis)
    offsets = frequent_offsets(scale, known, rng) if coarsest else []
    for left in reversed(range(rounds)):
        wanted = scale.describe(scale.queries, basis)
        known.price += price_reuse(scale, match, wanted, known)
        known.price *= np.float32(0.5)
        if len(wanted) * len(scale.sources) <= EXACT:
            cost = match_exhaustively(scale, match, wanted, known)
        else:
            cost = propagate_matches(scale, match, wanted, known, rng, wide=rounds > 1)
        if offsets:
            favour_offsets(scale, match, wanted, known, offsets, cost)
        if left:
            middle = max(np.median(cost[:: 1 + len(cost) // 10_000]), 1e-8)
            scale.vote(match, np.exp(-cost / np.float32(2 * middle)))


class Descriptions:
    """The components of a scale's sources, computed when first asked for: they never change."""

    def __init__(self, scale: Scale, basis: Floats) -> None:
        self.scale = scale
        self.basis = basis
        self.table = np.empty((len(scale.sources), basis.shape[1]), np.float32)
        self.detail = measure_detail(scale)
        self.price = np.zeros(len(scale.sources), np.float32)
        self.done = np.zeros(len(scale.sources), bool)

    def of(self, ranks: NDArray[np.integer]) -> Floats:
        """The table [S, K] of all, in which the rows `ranks` are valid."""
        missing = ranks[~self.done.take(ranks)]
        if len(missing):
            self.table[missing] = self.scale.describe(self.scale.sources[missing], self.basis)
            self.done[missing] = True
        return self.table


def measure_detail(scale: Scale) -> Floats:
    """The summed squared distance of the colours of each source [S] from their mean."""
    picture = scale.rows[:, :3].reshape(scale.height, scale.width, 3)
    size, anchor = (scale.patch, scale.patch), (0, 0)
    sums = cv2.boxFilter(picture, -1, size, anchor=anchor, normalize=False)
    energy = np.einsum("hwc,hwc->hw", picture, picture)
    detail = cv2.boxFilter(energy, -1, size, anchor=anchor, normalize=False)
    detail -= np.einsum("hwc,hwc->hw", sums, sums) / np.float32(scale.patch**2)
    return np.maximum(detail.take(scale.sources), np.float32(0))


def price_reuse(scale: Scale, match: Indices, wanted: Floats, known: Descriptions) -> Floats:
    """What each source [S] costs beside its distance, because `match` uses it too often.

    The occurrence map of Kaspar et al. 2015. Without it a hole at the border of the photo, where
    nothing opposite contradicts, ends in stripes: the mean of the patches of a row that all have
    the same source is a stripe, and to a stripe that source is nearest again. A source costs no
    more than its detail: a flat one draws no stripes, and what it is needed for, such as a cheek
    of which little is visible, has nothing else that fits.
    """
    uses = np.bincount(match[scale.queries], minlength=len(match)).astype(np.float32)
    uses = cv2.blur(uses.reshape(scale.hole.shape), (3, 3), borderType=cv2.BORDER_CONSTANT)
    some = np.arange(0, len(wanted), 1 + len(wanted) // 2000)
    rank = scale.nearest[match[scale.queries[some]]]
    middle = np.median(compare_patches(wanted, known.of(rank), some, rank))
    fair = max(FREE, 2 * len(scale.queries) / len(scale.sources))
    excess = np.maximum(uses.take(scale.sources) - np.float32(fair), 0)
    return np.minimum(excess * np.float32(REUSE * middle), known.detail)


def principal_axes(examples: Floats, rng: np.random.Generator) -> Floats:
    """The directions [D, K] in which `examples` [N, D] differ most, by subspace iteration.

    Only the space that they span matters, and few rounds come close to it (Halko et al. 2011).
    """
    examples = examples - examples.mean(axis=0)
    width = examples.shape[1]
    spread = np.zeros((width, width), np.float32)
    for some in bands(len(examples), BAND):
        spread += multiply(examples[some].T, examples[some])
    axes = rng.standard_normal((width, min(COMPONENTS, width)), np.float32)
    for _ in range(8):
        axes = np.linalg.qr(multiply(spread, axes))[0]
    return axes


def compare_patches(
    wanted: Floats, known: Floats, rows: Indices, candidates: NDArray[np.integer]
) -> Floats:
    """The squared distance [N] of `rows` [N] of `wanted` to the `candidates` [N] in `known`."""
    cost = np.empty(len(rows), np.float32)
    for some in bands(len(rows), 4 * BAND):
        gap = known.take(candidates[some], axis=0)
        gap -= wanted.take(rows[some], axis=0)
        np.einsum("nk,nk->n", gap, gap, out=cost[some])
    return cost


def match_exhaustively(scale: Scale, match: Indices, wanted: Floats, known: Descriptions) -> Floats:
    """Set `match` to the best of all sources; returns the distance [Q] that each patch keeps."""
    table = known.of(np.arange(len(scale.sources)))
    squares = np.square(table).sum(axis=1, keepdims=True) + known.price[:, None]
    columns = np.concatenate([-2 * table, squares], axis=1).T
    rows = np.concatenate([wanted, np.ones_like(wanted[:, :1])], axis=1)
    best = [multiply(rows[some], columns).argmin(axis=1) for some in bands(len(rows), BAND)]
    rank = np.concatenate(best)
    match[scale.queries] = scale.sources[rank]
    return compare_patches(wanted, table, np.arange(len(rank)), rank)


def propagate_matches(
    scale: Scale,
    match: Indices,
    wanted: Floats,
    known: Descriptions,
    rng: np.random.Generator,
    *,
    wide: bool,
) -> Floats:
    """Improve `match` by what neighbours found, and by chance in ever smaller windows.

    Unless `wide` only neighbours and places beside its own are tried. Returns the
    distance [Q] that each patch keeps.
    """
    queries = scale.queries
    place = match[queries]
    rank = scale.nearest[place]
    cost = compare_patches(wanted, known.of(rank), np.arange(len(queries)), rank)
    cost += known.price[rank]

    def attempt(candidate: Indices) -> None:
        tried = np.flatnonzero(candidate != place)
        rank = scale.nearest.take(candidate[tried], mode="clip")
        its_cost = compare_patches(wanted, known.of(rank), tried, rank) + known.price[rank]
        better = its_cost < cost[tried]
        chosen = tried[better]
        cost[chosen] = its_cost[better]
        place[chosen] = scale.sources[rank[better]]
        match[queries[chosen]] = place[chosen]

    widest = max(scale.height, scale.width) // 2
    radii = (widest, math.isqrt(widest), 3, 1) if wide else (1,)
    for jump in (1, 4) if wide else (1,):
        for step in (jump, jump * scale.width, -jump, -jump * scale.width):
            attempt(match.take(queries - step, mode="clip") + step)
    for radius in radii:
        shift = rng.integers(-radius, radius + 1, (2, len(queries)))
        attempt(place + shift[0] * scale.width + shift[1])
    return cost - known.price[scale.nearest[place]]


def frequent_offsets(
    scale: Scale, known: Descriptions, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """The offsets (down, right) at which sources most often find what is most like them.

    He and Sun 2012, section 3: of a sample, all but the nearest sources being compared.
    """
    every = np.arange(len(scale.sources))
    ours, theirs = (pick(every, most, rng) for most in SAMPLES)
    table = known.of(np.concatenate([ours, theirs]))
    y, x = np.divmod(scale.sources, scale.width)
    down, right = y[theirs] - y[ours, None], x[theirs] - x[ours, None]
    gap = np.square(table[theirs]).sum(axis=1) - 2 * multiply(table[ours], table[theirs].T)
    gap[np.maximum(abs(down), abs(right)) < max(scale.hole.shape) / 15] = np.inf
    best = np.arange(len(ours)), gap.argmin(axis=1)
    found = np.stack([down[best], right[best]])
    found = found[:, np.isfinite(gap[best])]
    height, width = scale.hole.shape
    counts = np.zeros((2 * height + 1, 2 * width + 1), np.float32)
    for sign in (1, -1):  # what is like this to the right has this to its left
        np.add.at(counts, (height + sign * found[0], width + sign * found[1]), 1)
    counts = cv2.GaussianBlur(counts, (0, 0), math.sqrt(2))
    peaks = (counts == cv2.dilate(counts, np.ones((5, 5)))) & (counts > counts.max() / 10)
    rows, columns = np.nonzero(peaks)
    order = np.argsort(-counts[rows, columns], kind="stable")[:OFFSETS]
    return [(int(rows[n]) - height, int(columns[n]) - width) for n in order]


def favour_offsets(
    scale: Scale,
    match: Indices,
    wanted: Floats,
    known: Descriptions,
    offsets: list[tuple[int, int]],
    cost: Floats,
) -> None:
    """Let patches take the source at one of `offsets` where it costs little more than theirs.

    `match` and the distance `cost` [Q] that each patch keeps are changed in place.
    """
    y, x = np.divmod(scale.queries, scale.width)
    for down, right in offsets:
        inside = (y + down >= 0) & (y + down < scale.height)
        inside &= (x + right >= 0) & (x + right < scale.width)
        place = np.where(inside, scale.queries + down * scale.width + right, 0)
        rank = scale.nearest[place]
        tried = np.flatnonzero(inside & (scale.sources[rank] == place))
        its_cost = compare_patches(wanted, known.of(rank[tried]), tried, rank[tried])
        its_cost = (its_cost + known.price[rank[tried]]) * np.float32(1 - FAVOUR)
        better = its_cost < cost[tried]
        cost[tried[better]] = its_cost[better]
        match[scale.queries[tried[better]]] = place[tried[better]]
