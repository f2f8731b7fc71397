"""Contact sheets: images in a grid, with captions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

HOLE_COLOUR = (255, 0, 128)  # rare in photos

SheetImage = Image.Image | NDArray[np.uint8]


def contact_sheet(
    rows: Sequence[Sequence[tuple[SheetImage, str]]], *, cell: int = 256, heading: str = ""
) -> Image.Image:
    """Return a sheet of `rows` of (image, caption), each image in `cell` x `cell` pixels.

    Larger images are reduced, smaller ones enlarged by integer factors. Captions are below the
    images, and a row is as high as its highest image.
    """
    font = ImageFont.load_default(13)
    gap, line = 8, 20
    small = [[(fit_cell(picture, cell), caption) for picture, caption in row] for row in rows]
    heights = [max((picture.height for picture, _ in row), default=0) for row in small]
    y = 2 * line if heading else gap
    columns = max((len(row) for row in rows), default=1)
    size = (gap + columns * (cell + gap), y + sum(height + line + gap for height in heights))
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    draw.text((gap, gap), heading, "black", font)
    for row, height in zip(small, heights, strict=True):
        for column, (picture, caption) in enumerate(row):
            x = gap + column * (cell + gap)
            page.paste(picture, (x + (cell - picture.width) // 2, y + height - picture.height))
            draw.text((x, y + height + 2), shorten_text(caption, font, cell), "black", font)
        y += height + line + gap
    return page


def overlay_hole(image: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return `image` [H, W, 3] with `hole` [H, W] tinted, and its outline in `HOLE_COLOUR`."""
    out = image.copy()
    out[hole] = (image[hole] * 0.45 + np.array(HOLE_COLOUR) * 0.55).astype(np.uint8)
    inner = hole.copy()
    inner[1:] &= hole[:-1]
    inner[:-1] &= hole[1:]
    inner[:, 1:] &= hole[:, :-1]
    inner[:, :-1] &= hole[:, 1:]
    out[hole & ~inner] = HOLE_COLOUR
    return out


def fit_cell(picture: SheetImage, cell: int) -> Image.Image:
    """Return `picture` as RGB, scaled to fit into `cell` x `cell` pixels."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image = image.convert("RGB")
    longest = max(image.size)
    if longest <= cell:
        factor = cell // longest
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    width, height = (max(1, round(side * cell / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def shorten_text(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """Return `text`, cut to at most `width` pixels."""
    kept = len(text)
    while kept and font.getlength(text[:kept] + "…") > width:
        kept -= 1
    return text if font.getlength(text) <= width else text[:kept] + "…"
