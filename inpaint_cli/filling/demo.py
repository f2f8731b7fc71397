"""A first picture without any file of one's own: a photo, a hole, the photo filled, a sheet."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from skimage import data

from .. import images
from ..files.write import atomic_path, check_free
from ..models.choose import load_model
from ..reports import contact_sheet as sheets
from .fill import Notify, fill_photo
from .hole import find_hole
from .options import HoleOptions

# fmt: off
SPOON = [
    (372, 245), (392, 190), (402, 150), (412, 110), (396, 100), (400, 64), (428, 66), (426, 100),
    (412, 150), (398, 205), (388, 250),
]
# fmt: on
SPOON_BOWL = (322, 232, 412, 332)  # left, top, right, bottom
SCRATCHES = (
    [(20, 250), (140, 330), (250, 372)],
    [(470, 20), (560, 120), (590, 210)],
    [(440, 330), (520, 300), (596, 330)],
)


def run_demo(folder: Path, *, overwrite: bool, notify: Notify) -> list[Path]:
    """Write four pictures into `folder` and return their paths: photo, mask, result, sheet.

    The photo is scikit-image's cup of coffee (Rachel Michetti, CC0); the hole is the spoon on its
    saucer and three scratches over the picture.
    """
    photo, mask, result, page = (
        folder / name for name in ("photo.png", "mask.png", "photo.filled.png", "sheet.png")
    )
    for path in (photo, mask, result, page):
        check_free(path, overwrite=overwrite)
    coffee = Image.fromarray(data.coffee())
    for path, picture in ((photo, coffee), (mask, draw_demo_mask(coffee.size))):
        with atomic_path(path) as temporary:
            picture.save(temporary)
    source = images.read_photo(photo)
    hole = find_hole(source, mask, HoleOptions())
    model = load_model()
    notify(f"filling with {model.name}")
    filled = fill_photo(model, source, hole, notify=notify)
    filled.save(result, overwrite=True, verify=True, notify=notify)
    before = np.asarray(coffee)
    row = [
        (before, "photo"),
        (sheets.overlay_hole(before, hole.area), f"hole, {hole.area.mean():.0%} of it"),
        (images.to_bytes(images.read_photo(result).rgb), f"filled with {model.name}"),
    ]
    with atomic_path(page) as temporary:
        sheets.contact_sheet([row], cell=600).save(temporary)
    return [photo, mask, result, page]


def draw_demo_mask(size: tuple[int, int]) -> Image.Image:
    """The mask: white over the spoon and along the scratches."""
    mask = Image.new("1", size)
    draw = ImageDraw.Draw(mask)
    draw.ellipse(SPOON_BOWL, fill=1)
    draw.polygon(SPOON, fill=1)
    for scratch in SCRATCHES:
        draw.line(scratch, fill=1, width=7, joint="curve")
    return mask
