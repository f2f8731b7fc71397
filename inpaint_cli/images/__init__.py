"""Photos and masks as files: read, filled, written back with everything else as it was.

Inside the program images are float RGB in 0..1 and a hole is True where it is; files, palettes,
inks, alpha, sixteen bits, orientation and metadata exist only in here. Nothing in here knows
torch, networks or the command line.
"""

from .canvas import extend
from .masks import (
    ReadMask,
    feather,
    grow,
    hole_of_regions,
    hole_to_image,
    read_mask,
    resize_mask,
    same_shape,
)
from .memory import to_array, to_image, to_mask, to_photo
from .photo import Patch, Photo, rgb_bytes, to_bytes
from .read import read_photo
from .write import Drift, encode, verify, write_photo

__all__ = [
    "Drift",
    "Patch",
    "Photo",
    "ReadMask",
    "encode",
    "extend",
    "feather",
    "grow",
    "hole_of_regions",
    "hole_to_image",
    "read_mask",
    "read_photo",
    "resize_mask",
    "rgb_bytes",
    "same_shape",
    "to_array",
    "to_bytes",
    "to_image",
    "to_mask",
    "to_photo",
    "verify",
    "write_photo",
]
