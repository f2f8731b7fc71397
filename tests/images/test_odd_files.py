"""Every awkward file is filled true to its mode or refused with a reason; nothing in between."""

from pathlib import Path

import numpy as np
import pytest
from places import SHARED

from inpaint_cli.errors import ImageError
from inpaint_cli.images import Photo, read_photo, verify, write_photo

FOLDER = SHARED / "odd-files"
FILES = sorted(FOLDER.iterdir()) if FOLDER.is_dir() else []
REFUSED = {
    "12bit.cropped.tif": "12 bits a channel",
    "broken.png": "not a picture, or damaged",
    "broken_data_stream.png": "get the file again",
    "decompression_bomb.gif": "65535x66601",
    "png_decompression_dos.png": "too large",
    "skimage-truncated.jpg": "get the file again",
    "tiff_16bit_RGBa.tiff": "multiplied by alpha",
    "truncated_end_chunk.png": "get the file again",
    "truncated_image.png": "truncated",
    "truncated_jpeg.jpg": "truncated",
    "zero_width.gif": "not a picture, or damaged",
}
UPRIGHT = {"exif-landscape": (300, 450), "exif-portrait": (450, 300)}


@pytest.mark.skipif(not FILES, reason="the awkward files are not on this machine")
def test_the_list_of_refusals_is_of_files_there():
    assert {path.name for path in FILES} >= set(REFUSED)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_filled_true_to_its_mode_or_refused(path: Path, tmp_path: Path):
    if path.name in REFUSED:
        with pytest.raises(ImageError, match=REFUSED[path.name]) as caught:
            read_photo(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
        return
    photo = read_photo(path)
    height, width = photo.size
    hole = np.zeros(photo.size, np.bool_)
    hole[: height // 3 + 1, : width // 3 + 1] = True
    colour = np.array([0.5, 0.25, 0.1], np.float32)
    filled = photo.fill(np.broadcast_to(colour, (height, width, 3)), hole, opaque=True)
    assert np.array_equal(filled.pixels[~hole], photo.pixels[~hole])
    written = tmp_path / path.name
    notes = write_photo(filled, written)
    assert all("compressed again" in note for note in notes)
    assert bool(notes) == (photo.format == "WEBP" and not photo.lossless)
    again = read_photo(written)
    traits = ("format", "mode", "size", "lossless", "key")
    assert [getattr(again, t) for t in traits] == [getattr(photo, t) for t in traits]
    assert again.keep.get("icc_profile") == photo.keep.get("icc_profile")
    for trait in ("exif", "xmp", "dpi", "comment", "chunks", "qtables", "subsampling", "extra"):
        assert again.keep.get(trait) == photo.keep.get(trait), trait
    if "tags" in photo.keep:
        ends = [tags(p) for p in (again, photo)]
        assert ends[0] == ends[1]
    drift = verify(photo, written, hole)
    assert drift.ok
    assert drift.lossless == photo.lossless
    assert drift.mean < 4 or drift.outside == 1
    if photo.lossless:
        assert verify(filled, written, np.zeros_like(hole)).count == 0
    shown = again.crop(0, 0, height // 4 + 1, width // 4 + 1).mean((0, 1))
    luma = colour @ np.array([0.299, 0.587, 0.114], np.float32)
    if photo.mode in ("RGB", "RGBA", "CMYK", "LAB", "RGB;16") and min(photo.size) > 2:
        assert shown == pytest.approx(colour, abs=0.04)
    elif photo.mode in ("L", "LA", "I", "F", "I;16"):
        assert shown == pytest.approx(np.repeat(luma, 3), abs=0.02)


def tags(photo: Photo) -> dict:
    """The tags of a TIFF, with those of the camera in place of where in the file they lie."""
    found = dict(photo.keep["tags"])
    return found | {n: photo.keep["tags"].get_ifd(n) for n in (0x8769, 0x8825) if n in found}


@pytest.mark.parametrize("kind", UPRIGHT)
@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.skipif(not FILES, reason="the awkward files are not on this machine")
def test_all_orientations_look_alike(kind: str, orientation: int):
    first, turned = (read_photo(FOLDER / f"{kind}_{n}.jpg") for n in (1, orientation))
    assert turned.size == first.size == UPRIGHT[kind]
    assert np.abs(turned.rgb - first.rgb).mean() < 0.04  # they differ in the number printed on them
