"""Label maps of CelebAMask-HQ as its authors distribute them: one black and white file a class.

They are in folders of 2,000 faces, as `CelebAMask-HQ-mask-anno/14/28000_l_eye.png`.
"""

import io
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from inpaint_cli.api import DataError

from .files import list_images, read_stored

PARTS = (  # classes 1 to 18 in the order of the data set's own script; later ones lie on top
    *("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth"),
    *("u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)
PART_NAME = re.compile(rf"(?:.*/)?(\d{{5}})_({'|'.join(PARTS)})\.png")


@lru_cache(maxsize=4)
def find_label_parts(root: Path) -> dict[int, dict[str, str]]:
    """Return the file of each class of each image by its number.

    Raises `DataError` if there are two of one class.
    """
    found: dict[int, dict[str, str]] = {}
    for name in list_images(root):
        if match := PART_NAME.fullmatch(name):
            parts = found.setdefault(int(match[1]), {})
            if parts.setdefault(match[2], name) != name:
                raise DataError(
                    f"{root} has the class {match[2]} of image {match[1]} twice: "
                    f"{parts[match[2]]} and {name}; leave only one there"
                )
    return found


def merge_label_parts(root: Path, parts: Mapping[str, str]) -> bytes:
    """Return the label map, a PNG of class numbers, of the files of an image's classes."""
    from PIL import Image

    from inpaint_cli.api import read_mask

    numbers = None
    for number, part in enumerate(PARTS, 1):
        if part not in parts:
            continue
        hole = read_mask(read_stored(root, parts[part]), name=parts[part]).hole
        if numbers is None:
            numbers = np.zeros(hole.shape, np.uint8)
        if hole.shape != numbers.shape:
            raise DataError(
                f"{parts[part]} has another size than the other classes of its image; get it again"
            )
        numbers[hole] = number
    file = io.BytesIO()
    assert numbers is not None  # an image without parts has no label map
    Image.fromarray(numbers).save(file, "PNG", compress_level=1)
    return file.getvalue()
