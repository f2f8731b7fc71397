"""Bring a second picture of a scene onto the pixels of the first. uint8 arrays [H, W, 3] only."""

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # [H, W, 3]
Transform = NDArray[np.float64]  # [3, 3], of points (x, y, 1)

SIDE = 1000  # pixels at which points are matched
SMALLEST = 48  # pixels a side, in fewer of which no points are looked for
POINTS = 3000
LEAST = 12  # matches that agree, fewer of which say nothing


def shrink(rgb: Picture, side: int) -> tuple[Picture, float]:
    """Return `rgb` at no more than `side` pixels a side, and its scale."""
    import cv2

    scale = min(1.0, side / max(rgb.shape[:2]))
    if scale == 1:
        return rgb, 1.0
    size = [max(1, round(length * scale)) for length in rgb.shape[1::-1]]
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def match_pictures(rgb: Picture, other: Picture, *, rigid: bool) -> Transform | None:
    """Return where points of `other` are in `rgb`, or None where too few match.

    `rigid`: moved, turned and scaled alone; else in perspective.
    """
    import cv2

    if min(*rgb.shape[:2], *other.shape[:2]) < SMALLEST:
        return None
    parts = []
    for picture in (rgb, other):
        small, scale = shrink(picture, SIDE)
        gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        points, marks = cv2.ORB_create(POINTS).detectAndCompute(gray, None)  # pyright: ignore
        if marks is None or len(marks) < LEAST:
            return None
        parts.append((np.array([p.pt for p in points]) / scale, marks))
    (places, marks), (others, other_marks) = parts
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(other_marks, marks)
    if len(pairs) < LEAST:
        return None
    start = np.array([others[p.queryIdx] for p in pairs], np.float32)
    end = np.array([places[p.trainIdx] for p in pairs], np.float32)
    reach = 3 * max(1.0, max(rgb.shape) / SIDE)
    if rigid:
        found, kept = cv2.estimateAffinePartial2D(start, end, ransacReprojThreshold=reach)
        found = None if found is None else np.vstack([found, [0, 0, 1]])
    else:
        found, kept = cv2.findHomography(start, end, cv2.RANSAC, reach)
    if found is None or np.count_nonzero(kept) < LEAST:
        return None
    return refine(found, start, end, kept, rigid)


def refine(found, start, end, kept, rigid: bool) -> Transform:
    """Return `found`, or a plain scale and shift where the turn is too small to matter."""
    turn = abs(np.arctan2(found[1, 0], found[0, 0]))
    if not rigid or turn > 0.01:
        return np.asarray(found, np.float64)
    a, b = start[kept[:, 0] > 0], end[kept[:, 0] > 0]
    scale = (np.ptp(b, 0).sum() + 1e-9) / (np.ptp(a, 0).sum() + 1e-9)
    spread_a, spread_b = a - a.mean(0), b - b.mean(0)
    scale = float((spread_a * spread_b).sum() / max((spread_a**2).sum(), 1e-9))
    shift = b.mean(0) - scale * a.mean(0)
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]], np.float64)


def differ(rgb: Picture, other: Picture, reach: int = 1) -> NDArray[np.uint8]:
    """Return how far `rgb` is from `other` [H, W], in levels of 8-bit CIELAB.

    What is found within `reach` pixels counts as the same, for resampling moves edges.
    """
    import cv2

    one, two = (cv2.cvtColor(picture, cv2.COLOR_RGB2Lab) for picture in (rgb, other))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    far = cv2.subtract(one, cv2.dilate(two, kernel))
    far = cv2.max(far, cv2.subtract(cv2.erode(two, kernel), one))
    return np.asarray(far.max(-1), np.uint8)


def keep_strong(
    levels: NDArray[np.uint8], low: float, high: float, least: int, length: float = 0
) -> NDArray[np.bool_]:
    """Return parts above `low`, of `least` pixels or more, that hold something above `high`.

    Their boxes have a diagonal of `length` or more.
    """
    import cv2

    weak = (levels > low).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(weak, connectivity=8)
    labels = np.asarray(parts, np.int32)
    keep = np.zeros(count, np.bool_)
    keep[np.unique(labels[levels > high])] = True
    keep &= stats[:, cv2.CC_STAT_AREA] >= least
    keep &= np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) >= length
    keep[0] = False
    return keep[labels]
