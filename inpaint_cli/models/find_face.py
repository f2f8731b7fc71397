"""Find a face seen from the front, also behind a hole: by a cascade of local binary patterns.

Viola and Jones 2001 with the features of Liao et al. 2007; the cascade is the one that OpenCV
trained and scikit-image ships. It is evaluated here, as importing scikit-image for it takes longer
than a small fill, and OpenCV 5 has none.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

CASCADE_SIDE = 24  # pixels of the cascade's window
FACE_SCALES = [1.2**-n for n in range(1, 12)]  # from faces of 29 pixels on
ALIKE = 5  # windows that must agree on a face
# of the 8 blocks around the middle one, the highest bit first: row and column
CLOCKWISE = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))

Grey = NDArray[np.uint8]  # H W


class Face(NamedTuple):
    """A square in pixels that a face takes up, from brow to chin."""

    top: int
    left: int
    side: int


class BoostedStage(NamedTuple):
    """One sum of features, which has to reach a threshold."""

    threshold: float
    rectangles: NDArray[np.intp]  # [N, 4]: x, y, width and height of the first of 3 x 3 blocks
    leaves: NDArray[np.float32]  # [N, 256]: what each binary pattern adds


def find_face(grey: Grey) -> Face | None:
    """Return the face on whose place most windows of all scales agree, or None."""
    found = [
        np.rint(np.column_stack([places, np.full(len(places), CASCADE_SIDE)]) / scale)
        for scale in FACE_SCALES
        if len(places := find_windows(grey, scale))
    ]
    boxes = np.concatenate(found) if found else np.empty((0, 3))
    middles, sides = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2]
    near = np.abs(middles[:, None] - middles).max(axis=2) < 0.2 * sides
    near &= np.maximum(sides[:, None], sides) < 1.5 * np.minimum(sides[:, None], sides)
    counts = near.sum(axis=1)
    if counts.max(initial=0) < ALIKE:
        return None
    top, left, side = np.rint(boxes[near[counts.argmax()]].mean(axis=0)).astype(int)
    return Face(int(top), int(left), int(side))


def find_windows(grey: Grey, scale: float) -> NDArray[np.intp]:
    """Return top and left [N, 2] of the windows that show a face, in `grey` reduced to `scale`."""
    if round(scale * min(grey.shape)) < CASCADE_SIDE:
        return np.empty((0, 2), np.intp)
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    sums = cv2.integral(small)
    places = np.indices([length - CASCADE_SIDE + 1 for length in small.shape]).reshape(2, -1)
    for stage in read_cascade():
        total = np.zeros(places.shape[1], np.float32)
        for (x, y, width, height), leaves in zip(stage.rectangles, stage.leaves, strict=True):
            rows = places[0] + y + height * np.arange(4)[:, None]
            columns = places[1] + x + width * np.arange(4)[:, None]
            corners = sums[rows[:, None], columns[None]]
            blocks = np.diff(np.diff(corners, axis=0), axis=1)  # 3 3 N
            pattern = np.zeros(len(total), np.intp)
            for row, column in CLOCKWISE:
                pattern = 2 * pattern + (blocks[row, column] >= blocks[1, 1])
            total += leaves[pattern]
        places = places[:, total >= stage.threshold]
    return places.T


@cache
def read_cascade() -> list[BoostedStage]:
    """Read the cascade of scikit-image without importing that."""
    from xml.etree import ElementTree

    package = find_spec("skimage")
    assert package
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0], "data/lbpcascade_frontalface_opencv.xml")
    root = ElementTree.parse(path).getroot()[0]
    rectangles = [read_numbers(rect.text) for rect in root.iterfind("features/_/rect")]
    stages = []
    for stage in root.iterfind("stages/_"):
        trees = stage.findall("weakClassifiers/_")
        nodes = [read_numbers(tree.findtext("internalNodes")) for tree in trees]
        leaves = [read_numbers(tree.findtext("leafValues")) for tree in trees]
        bits = np.array([node[3:] for node in nodes]).astype(np.int64)[..., None] >> np.arange(32)
        chosen = np.array(leaves, np.float32)
        each = np.where(bits.reshape(len(trees), 256) & 1, chosen[:, :1], chosen[:, 1:])
        where = np.array([rectangles[int(node[2])] for node in nodes], np.intp)
        threshold = read_numbers(stage.findtext("stageThreshold"))[0]
        stages.append(BoostedStage(threshold - 1e-5, where, each))
    return stages


def read_numbers(text: str | None) -> list[float]:
    """Parse numbers between blanks."""
    return [float(word) for word in (text or "").split()]
