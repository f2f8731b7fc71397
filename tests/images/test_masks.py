"""What is no mask is refused in a sentence, and every mask is cut where its levels say."""

import io

import numpy as np
import pytest
import skimage
from PIL import Image, ImageFilter

from inpaint_cli.errors import ImageError
from inpaint_cli.images import read_mask, to_mask

PHOTO = skimage.data.astronaut()[::4, ::4]  # [128, 128, 3]
HOLE = np.zeros((128, 128), np.bool_)
HOLE[30:60, 40:100] = HOLE[50:90, 45:50] = True
WHITE = HOLE.astype(np.uint8) * 255
STRIPES = np.arange(128) // 16  # eight classes [128]


def saved(pixels: np.ndarray | Image.Image, format: str = "PNG", **settings) -> bytes:
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, format, **settings)
    return out.getvalue()


def coloured(*colour: int) -> np.ndarray:
    return HOLE[..., None] * np.array(colour, np.uint8)


def marked(photo: np.ndarray) -> np.ndarray:
    """A copy of a photo with a red stroke."""
    rgb = np.stack([photo] * 3, -1) if photo.ndim == 2 else photo.copy()
    rgb[60:66] = (255, 0, 0)
    return rgb


def palette(colours: list[int], classes: np.ndarray | None = None) -> Image.Image:
    image = Image.fromarray(HOLE.astype(np.uint8) if classes is None else classes)
    image.putpalette(colours)
    return image


def soft(radius: float) -> Image.Image:
    return Image.fromarray(WHITE).filter(ImageFilter.GaussianBlur(radius))


GRAY = PHOTO.mean(-1).astype(np.uint8)
NIGHT = (PHOTO * (np.hypot(*np.ogrid[-64:64, -64:64]) < 24)[..., None] * 0.6).astype(np.uint8)
CLASSES = np.broadcast_to(STRIPES, (128, 128)).astype(np.uint8)
COLOURS = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
NO_MASKS = {
    "a photo": PHOTO,
    "a gray photo": GRAY,
    "a photo of sixteen bits": GRAY.astype(np.uint16) * 257,
    "a marked-up copy": marked(PHOTO),
    "a marked-up copy of a gray photo": marked(GRAY),
    "a photo with alpha": np.dstack([PHOTO, WHITE]),
    "a photo at night": NIGHT,
    "a gray photo at night": NIGHT.mean(-1).astype(np.uint8),
    "a light photo": 255 - NIGHT.mean(-1).astype(np.uint8),
    "class ids": CLASSES,
    "class ids of sixteen bits": CLASSES.astype(np.uint16),
    "class ids with a border of 255": np.where(HOLE, CLASSES, 255).astype(np.uint8),
    "class ids as grays": CLASSES * 30,
    "a trimap": np.where(HOLE, 128, WHITE[::-1]).astype(np.uint8),
    "classes of a palette": palette(COLOURS.ravel().tolist(), CLASSES),
    "classes as colours": COLOURS[CLASSES],
    "one level that is neither": np.full_like(WHITE, 9),
    "a faint soft mask": (np.asarray(soft(2)) // 4),
}
MASKS = {
    "0 and 1": (WHITE // 255, "the levels 0 and 1"),
    "0 and 1 of sixteen bits": ((WHITE // 255).astype(np.uint16), "the levels 0 and"),
    "0 and 1 of 32 bits": ((WHITE // 255).astype(np.int32), "the levels 0 and"),
    "0 and 100": (WHITE // 255 * 100, "the levels 0 and 100"),
    "200 and 255": (np.maximum(WHITE, 200), "200 and 255 alone: 255 is taken"),
    "black and white": (WHITE, ""),
    "pure red": (coloured(255, 0, 0), "the levels 0 and 76.2"),
    "pure blue": (coloured(0, 0, 255), "the levels 0 and 29.1"),
    "yellow": (coloured(255, 255, 0), ""),
    "a palette of two classes": (palette([0, 0, 0, 128, 0, 0]), "is taken as the hole"),
    "a palette of black and white": (palette([0, 0, 0, 255, 255, 255]), ""),
    "a palette without colours": (palette(np.repeat(np.arange(256), 3).tolist()), "0 and 1"),
    "strokes on nothing": (np.dstack([coloured(255, 0, 0), WHITE]), "in alpha only"),
    "strokes on hidden white": (
        np.dstack([np.where(HOLE[..., None], (255, 0, 0), 255).astype(np.uint8), WHITE]),
        "the levels 0 and 76.2",
    ),
}


@pytest.mark.parametrize("kind", NO_MASKS)
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_what_is_no_mask_is_refused_unless_a_threshold_says_what_it_means(kind: str, format: str):
    pixels = NO_MASKS[kind]
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    exact = image.mode not in ("RGB", "L") or any(word in kind for word in ("class", "one", "tri"))
    if format == "JPEG" and exact:
        pytest.skip("JPEG cannot hold this")
    source = saved(image, format)
    with pytest.raises(ImageError, match=r"so no mask|nothing says what the hole is") as caught:
        read_mask(source, name="m.png")
    assert "masks find markup" in str(caught.value)
    assert "--mask-threshold" in str(caught.value)
    assert read_mask(source, threshold=1).hole.any()


@pytest.mark.parametrize("kind", MASKS)
def test_of_two_levels_the_upper_is_the_hole(kind: str):
    pixels, note = MASKS[kind]
    format = "TIFF" if "32" in kind else "PNG"
    mask = read_mask(saved(pixels, format))
    assert np.array_equal(mask.hole, HOLE)
    assert note in " ".join(mask.notes)
    assert bool(mask.notes) == bool(note)
    assert np.array_equal(read_mask(saved(pixels, format), invert=True).hole, ~HOLE)
    if isinstance(pixels, np.ndarray) and pixels.dtype != np.int32:
        assert np.array_equal(to_mask(pixels).hole, HOLE)


@pytest.mark.parametrize("quality", [50, 90])
@pytest.mark.parametrize("colour", [(255, 255, 255), (255, 255, 0)])
def test_soft_edges_and_jpeg_are_masks_still(quality: int, colour: tuple[int, int, int]):
    for image in (Image.fromarray(coloured(*colour)), soft(3).convert("RGB")):
        mask = read_mask(saved(image, "JPEG", quality=quality))
        assert (mask.hole != HOLE).mean() < 0.03
    blurred = read_mask(saved(soft(4)))
    assert "neither black nor white" in blurred.notes[0]
    assert np.array_equal(read_mask(saved(soft(4)), threshold=128).hole, blurred.hole)


@pytest.mark.parametrize("quality", [50, 90])
def test_a_dark_colour_is_refused_where_compression_blurred_its_level(quality: int):
    with pytest.raises(ImageError, match="without clear black and white"):
        read_mask(saved(coloured(255, 0, 255), "JPEG", quality=quality))


def test_an_empty_mask_is_one_also_as_a_jpeg():
    noise = np.random.default_rng(0).integers(0, 4, (64, 64)).astype(np.uint8)
    for source in (saved(np.zeros_like(WHITE)), saved(noise, "JPEG", quality=95)):
        assert not read_mask(source).hole.any()
    assert read_mask(saved(np.zeros_like(WHITE))).notes == ()
    large = (np.indices((128, 128)).max(0) > 63).astype(np.uint8) * 255
    assert "75%" in read_mask(saved(large)).notes[0]
