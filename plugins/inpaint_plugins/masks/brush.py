"""Parts that several families share: directions, flips, and the strokes of DeepFill v2."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inpaint_cli.api import Mask

GRID = 2.0**14


def rounded_cos_sin(angles: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return cosine and sine of `angles`, rounded so that they are equal on every machine."""
    return np.rint(np.cos(angles) * GRID) / GRID, np.rint(np.sin(angles) * GRID) / GRID


def flip_at_random(mask: Mask, rng: np.random.Generator) -> Mask:
    """Return `mask`, flipped horizontally and vertically with a probability of 1/2 each."""
    if rng.random() < 0.5:
        mask = mask[:, ::-1]
    if rng.random() < 0.5:
        mask = mask[::-1]
    return np.ascontiguousarray(mask)


def draw_freeform(
    height: int,
    width: int,
    rng: np.random.Generator,
    *,
    strokes: int,
    turns: tuple[int, int],
    brush: tuple[int, int],
    flips: bool = True,
) -> Mask:
    """Draw strokes as DeepFill v2 does (Yu et al. 2019, appendix), with its flips fixed.

    Without `flips` all is as published: the code flips after each stroke, but throws that away.

    Each stroke has `turns` corners with angles around 2/5 pi, every second one mirrored, segments
    of about an eighth of the diagonal, and a width of `brush` pixels; both ranges exclude their
    upper bound.
    """
    import cv2

    mean, spread = 2 * math.pi / 5, 2 * math.pi / 15
    step = math.sqrt(height * height + width * width) / 8
    canvas = np.zeros((height, width), np.uint8)
    for _ in range(strokes):
        count = int(rng.integers(*turns))
        angles = rng.uniform(mean - rng.uniform(0, spread), mean + rng.uniform(0, spread), count)
        angles[::2] *= -1
        lengths = np.clip(rng.normal(step, step // 2, count), 0, 2 * step)
        lengths = np.rint(lengths * 16) / 16  # the tail of a normal draw goes through libm
        cosines, sines = rounded_cos_sin(angles)
        x, y = int(rng.integers(width)), int(rng.integers(height))
        thickness = int(rng.integers(*brush))
        corners = [(x, y)]
        for dx, dy in zip((lengths * cosines).tolist(), (lengths * sines).tolist(), strict=True):
            x, y = int(min(max(x + dx, 0), width - 1)), int(min(max(y + dy, 0), height - 1))
            corners.append((x, y))
        cv2.polylines(canvas, [np.array(corners, np.int32)], False, 1, thickness)
        if flips:
            canvas = flip_at_random(canvas.view(np.bool_), rng).view(np.uint8)
    return canvas.view(np.bool_)
