"""Hide the seams between pieces of a photo that were copied into its hole.

A copy is a flat index map `source` [HW]: pixel p shows what is at `source[p]`; where the photo is
visible, that is p itself. `rows` [HW, 3] are the colours of the photo.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]
Hole = NDArray[np.bool_]

KEEP = 0.1  # how much a copied colour counts beside the slope to its neighbours


def cut_seams(rows: Floats, hole: Hole, source: Indices, *, rounds: int = 3) -> Indices:
    """Move the borders between pieces to where they show least, and return the new map.

    The seam cost of Kwatra et al. 2003, eq. 1, lowered pixel by pixel (Besag's iterated
    conditional modes): each takes over a neighbour's piece where that makes for smaller seams.
    Pixels of one colour of a chessboard do not meet, so that half of them move at once.
    """
    planes = np.ascontiguousarray(rows.T)
    source = source.copy()
    pixels = np.flatnonzero(hole)
    y, x = np.divmod(pixels, hole.shape[1])
    halves = [pixels[(x + y) % 2 == n] for n in range(2)]
    for _ in range(rounds):
        for half in halves:
            move_seams(planes, hole, source, half)
    return source


def move_seams(planes: Floats, hole: Hole, source: Indices, pixels: Indices) -> None:
    """Let each of `pixels` [N] keep its piece or take over a neighbour's, in `source`.

    `planes` [3, HW] are the colours of the photo.
    """
    height, width = hole.shape
    y, x = np.divmod(pixels, width)
    inside = np.stack([x < width - 1, x > 0, y < height - 1, y > 0])  # 4 N
    steps = np.array([1, -1, width, -width])[:, None]
    theirs = source.take(pixels + steps, mode="clip")  # 4 N
    pieces = np.where(inside, theirs - steps, source[pixels]).clip(0, hole.size - 1)
    meeting = (pieces != source[pixels]).any(axis=0)  # all others are of one piece: no seam
    pixels, inside = pixels[meeting], inside[:, meeting]
    theirs, pieces = theirs[:, meeting], pieces[:, meeting]
    origins = np.concatenate([source[pixels][None], pieces])  # 5 N
    cost = np.float32(1e3) * hole.ravel().take(origins)
    ours = planes.take(origins, axis=1)  # 3 5 N
    for n, step in enumerate(steps[:, 0]):
        seam = colour_gap(ours, ours[:, None, n + 1])
        beside = planes.take(origins + step, axis=1, mode="clip")
        seam += colour_gap(beside, planes.take(theirs[None, n], axis=1))
        cost += seam * inside[n]
    source[pixels] = np.take_along_axis(origins, cost.argmin(axis=0)[None], axis=0)[0]


def colour_gap(a: Floats, b: Floats) -> Floats:
    """The distance of the colours `a` [3, ...] and `b` [3, ...]."""
    gap = np.square(a - b)
    gap[0] += gap[1]
    gap[0] += gap[2]
    return np.sqrt(gap[0])


def blend_gradients(rows: Floats, hole: Hole, source: Indices, *, rounds: int = 30) -> Floats:
    """Return the photo [H, W, 3] whose hole has the slopes of what was copied, without seams.

    A screened Poisson equation (Bhat et al. 2008, eq. 5; Pérez et al. 2003 for the border),
    solved for what is to be added to the copied colours.
    """
    height, width = hole.shape
    grid = source.reshape(height, width)
    image = rows.take(grid, axis=0)
    box = surrounding_box(hole)
    grid, inner = grid[box], np.repeat(hole[box][..., None], 3, axis=2).astype(np.float32)
    across = slope_errors(rows, hole, grid[:, :-1], grid[:, 1:], 1)
    down = slope_errors(rows, hole, grid[:-1], grid[1:], width)
    residual = np.zeros_like(inner)
    residual[:, :-1] -= across
    residual[:, 1:] += across
    residual[:-1] -= down
    residual[1:] += down
    residual *= inner
    image[box] += solve_screened(residual, inner, rounds)
    return image.clip(0, 1)


def surrounding_box(hole: Hole) -> tuple[slice, slice]:
    """The rows and columns of the hole and of the pixels beside it."""
    left, top, width, height = cv2.boundingRect(hole.astype(np.uint8))
    return slice(max(top - 1, 0), top + height + 1), slice(max(left - 1, 0), left + width + 1)


def slope_errors(rows: Floats, hole: Hole, here: Indices, there: Indices, step: int) -> Floats:
    """What a copy's slopes [h, w, 3] lack of those of its pieces, from pixels to their neighbours.

    `here` and `there` [h, w] are the origins of pixels that are `step` apart. Across a seam the
    slope is to be the mean of what both pieces show there, as far as that is visible.
    """
    last = len(rows) - 1
    visible = ~hole.ravel()[:, None]
    errors = np.zeros((*here.shape, 3), np.float32)
    seam = here + step != there
    here, there = here[seam], there[seam]
    after, before = np.minimum(here + step, last), np.maximum(there - step, 0)
    a, b = visible[after], visible[before]
    ours, theirs = rows.take(here, axis=0), rows.take(there, axis=0)
    total = (rows.take(after, axis=0) - ours) * a + (theirs - rows.take(before, axis=0)) * b
    errors[seam] = total / np.maximum(a + np.float32(1) * b, 1) - (theirs - ours)
    return errors


def solve_screened(residual: Floats, inner: Floats, rounds: int) -> Floats:
    """Solve KEEP u - laplacian(u) = `residual` for u [h, w, 3], which is 0 where `inner` is 0.

    By Chebyshev iteration (Golub and Varga 1961), which needs no sums over the picture: the
    eigenvalues are within KEEP and KEEP + 8. Slopes across the border of the picture are 0.
    """
    middle, half = KEEP + 4, 4
    solution = np.zeros_like(residual)
    direction = residual / np.float32(middle)
    ratio = half / middle
    for _ in range(rounds):
        solution += direction
        change = cv2.Laplacian(direction, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REPLICATE)
        change = cv2.addWeighted(change, 1, direction, -KEEP, 0)
        residual += cv2.multiply(change, inner)
        previous, ratio = ratio, 1 / (2 * middle / half - ratio)
        direction = cv2.addWeighted(direction, ratio * previous, residual, 2 * ratio / half, 0)
    return solution
