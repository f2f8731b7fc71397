"""Distances between what fills a hole and what was there, by statistics and not pixel by pixel.

A fill is good where nobody sees it, so no measure here asks for the pixels of the truth. All are
taken inside the hole, all but `patches` of luma, and less is better.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]  # H W 3, in 0..1
Grey = NDArray[np.float32]  # H W
Hole = NDArray[np.bool_]  # H W

MEASURES = {
    "gradients": "L1 distance of the histograms of gradient magnitudes (16 geometric bins)",
    "variance": "mean |log ratio| of the sorted local variances (7 x 7)",
    "two-point": "mean difference of the correlation of pixels 1 to 16 apart, at 20 shifts",
    "seam": "|log| of the mean step across the hole's border, beside the truth's",
    "patches": "sliced Wasserstein distance of 7 x 7 patches, mean of three scales, in grey levels",
}
BINS = np.concatenate([[0], np.geomspace(1 / 255, 1.5, 16)])
SIDE = 7  # pixels a side of a patch
SLICES = 64  # directions onto which patches are projected
QUANTILES = np.linspace(0, 1, 256)
SHIFTS = [(y, x) for n in (1, 2, 4, 8, 16) for y, x in ((0, n), (n, 0), (n, n), (n, -n))]
LAPLACE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6


def measure_texture(filled: Picture, truth: Picture, hole: Hole) -> list[float]:
    """The numbers of MEASURES, in their order."""
    ours, theirs = luma(filled), luma(truth)
    return [
        float(np.abs(gradients(ours, hole) - gradients(theirs, hole)).sum()),
        float(np.abs(variances(ours, hole) - variances(theirs, hole)).mean()),
        float(np.abs(correlations(ours, hole) - correlations(theirs, hole)).mean()),
        float(abs(np.log((seam(filled, hole) + 1e-3) / (seam(truth, hole) + 1e-3)))),
        compare_patches(filled, truth, hole),
    ]


def luma(image: Picture) -> Grey:
    return image @ np.array([0.299, 0.587, 0.114], np.float32)


def gradients(grey: Grey, hole: Hole) -> NDArray[np.float64]:
    """The histogram of gradient magnitudes."""
    across, down = np.gradient(grey)
    return np.histogram(np.hypot(across, down)[hole], BINS)[0] / hole.sum()


def variances(grey: Grey, hole: Hole) -> Grey:
    """The sorted logarithms of local variances."""
    mean = cv2.blur(grey, (7, 7))
    variance = np.maximum(cv2.blur(grey * grey, (7, 7)) - mean * mean, 0)
    return np.sort(np.log(variance[hole] + 1e-5))


def correlations(grey: Grey, hole: Hole) -> NDArray[np.float64]:
    """The correlation of pixels of the hole that are apart by each of SHIFTS, 0 without any."""
    height, width = hole.shape
    values = []
    for down, right in SHIFTS:
        left, start = max(-right, 0), max(right, 0)
        here = (slice(0, height - down), slice(left, width - start))
        there = (slice(down, height), slice(start, width - left))
        both = hole[here] & hole[there]
        a, b = grey[here][both].astype(np.float64), grey[there][both].astype(np.float64)
        spread = a.std() * b.std() + 1e-6 if both.any() else 1
        values.append(((a - a.mean()) * (b - b.mean())).mean() / spread if both.any() else 0)
    return np.array(values)


def seam(image: Picture, hole: Hole) -> float:
    """Mean absolute step between neighbours of which one is in the hole."""
    across = np.abs(np.diff(image, axis=1))[hole[:, 1:] != hole[:, :-1]]
    down = np.abs(np.diff(image, axis=0))[hole[1:] != hole[:-1]]
    return float(np.concatenate([across, down]).mean())


def measure_noise(image: Picture, area: Hole) -> float:
    """The noise in `area`, a standard deviation: Immerkaer 1996, by the median, for edges."""
    response = np.abs(cv2.filter2D(luma(image), -1, LAPLACE))
    inner = cv2.erode(area.astype(np.uint8), np.ones((3, 3))) > 0
    return float(np.median(response[inner]) / 0.6745) if inner.any() else 0.0


def compare_patches(filled: Picture, truth: Picture, hole: Hole) -> float:
    """The sliced Wasserstein distance of patches (Rabin et al. 2011; Karras et al. 2018).

    Of the bands of a Laplacian pyramid, so that each scale counts alike. It sees blur, repeated
    grain and broken structure, wants no alignment, and nothing in it was learned.
    """
    rng, distances = np.random.default_rng(0), []
    for _ in range(3):
        smaller = [cv2.pyrDown(image) for image in (filled, truth)]
        size = hole.shape[::-1]
        details = [
            image - cv2.pyrUp(small, dstsize=size)
            for image, small in zip((filled, truth), smaller, strict=True)
        ]
        slices = rng.standard_normal((SLICES, SIDE, SIDE, 3)).astype(np.float32)
        slices /= np.sqrt(np.square(slices).sum(axis=(1, 2, 3), keepdims=True))
        for kernel in slices:
            ours, theirs = (project_patches(detail, kernel, hole) for detail in details)
            distances.append(255 * np.abs(ours - theirs).mean())
        filled, truth = smaller
        area = hole.astype(np.uint8)
        hole = cv2.resize(area, truth.shape[1::-1], interpolation=cv2.INTER_AREA) > 0
        if not hole.any() or min(hole.shape) < 2 * SIDE:
            break
    return float(np.mean(distances))


def project_patches(detail: Picture, kernel: Picture, hole: Hole) -> Grey:
    """Quantiles of the projections of the patches centred in the hole onto `kernel`."""
    planes = zip(cv2.split(detail), cv2.split(kernel), strict=True)
    projected = np.sum([cv2.filter2D(plane, -1, slice_) for plane, slice_ in planes], axis=0)
    return np.quantile(projected[hole], QUANTILES)


def striped_share(source: NDArray[np.intp], hole: Hole, run: int = 24) -> float:
    """The part of `hole` [H, W] in lines of `run` pixels that all step in the same wrong way.

    `source` [H, W] has of each pixel the place that it is a copy of. A copy steps along as its
    pixels do, and so does an untouched photo, a copy of itself; a stripe stands still or creeps.
    """
    place = np.stack(np.divmod(source, source.shape[1]))  # 2 H W
    striped = np.zeros_like(hole)
    for turned in (False, True):
        if turned:
            place, hole, striped = place[::-1].swapaxes(1, 2), hole.T, striped.T
        steps, within = np.diff(place, axis=1), hole[1:] & hole[:-1]
        for step in np.ndindex(3, 3):
            if step != (2, 1):  # one down, none across: a copy
                same = within & (steps == np.reshape(step, (2, 1, 1)) - 1).all(axis=0)
                kept = cv2.morphologyEx(same.view(np.uint8), cv2.MORPH_OPEN, np.ones((run, 1)))
                striped[1:] |= kept > 0
    return float(striped.sum() / hole.sum())


def border_holes(height: int, width: int) -> list[Hole]:
    """Eight holes [height, width] that touch the photo's border: one small and one large a side."""
    holes = []
    for turns in range(4):
        side, depth = (height, width) if turns % 2 == 0 else (width, height)
        for first, last, reach in ((0.25, 0.75, 0.28), (0.3, 1, 0.44)):
            hole = np.zeros((side, depth), bool)
            hole[int(first * side) : int(last * side), : int(reach * depth)] = True
            holes.append(np.ascontiguousarray(np.rot90(hole, turns)))
    return holes
