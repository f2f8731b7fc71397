"""JPEG XL: read as the JPEG that it holds, or as its pixels; no pixel before its header."""

import io
import sys

import numpy as np
import pillow_jxl
import pytest
import skimage
from PIL import Image

from inpaint_cli.errors import ImageError
from inpaint_cli.files.pictures import filled_name
from inpaint_cli.files.stores import list_pictures
from inpaint_cli.filling.folder import fill_folder
from inpaint_cli.images import read_photo, write_photo
from inpaint_cli.images.jxl import CODESTREAM, CONTAINER, read_header
from inpaint_cli.images.read import image_size

PHOTO = skimage.data.astronaut()[:64, 100:196]
NO_LIMIT = 10**9


def packed(array, **settings) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, "JXL", lossless=True, **settings)
    return out.getvalue()


@pytest.fixture
def held(tmp_path):
    """A JPEG, and a JPEG XL that holds it."""
    path = tmp_path / "held.jpg"
    Image.fromarray(PHOTO).save(path, quality=90)
    with Image.open(path) as image, pytest.warns(UserWarning, match="reconstruction"):
        image.save(tmp_path / "held.jxl")
    return path, tmp_path / "held.jxl"


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("array", [PHOTO, PHOTO[..., 0], np.dstack([PHOTO, PHOTO[..., 0]])])
def test_pixels_are_read_as_they_are(array, container, tmp_path):
    path = tmp_path / "a.jxl"
    path.write_bytes(packed(array, use_container=container))
    photo = read_photo(path)
    assert np.array_equal(photo.pixels, array)
    assert image_size(path) == photo.size == (64, 96)
    assert photo.notes == ()


def test_gray_of_16_bits_is_read_with_all_of_them():
    deep = PHOTO[..., 0].astype(np.uint16) * 257 + 3
    assert np.array_equal(read_photo(packed(deep)).pixels, deep)


def test_metadata_is_kept_but_for_the_orientation():
    """The decoder turns the picture."""
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = 6, "Maker"
    photo = read_photo(packed(PHOTO, exif=tags.tobytes()))
    assert photo.size == (64, 96)
    assert b"Maker" in photo.keep["exif"]
    assert "sideways" not in photo.keep
    damaged = read_photo(packed(PHOTO, exif=b"MM\0*nothing"))
    assert "EXIF block of the photo is damaged" in " ".join(damaged.notes)


def test_a_jpeg_in_it_is_that_jpeg(held, tmp_path):
    jpeg, path = held
    one, two = read_photo(jpeg), read_photo(path)
    assert two.format == "JPEG"
    assert two.keep["source"] == jpeg.read_bytes()
    assert np.array_equal(one.pixels, two.pixels)
    hole = np.zeros(two.size, np.bool_)
    hole[8:24, 8:24] = True
    for photo, name in ((one, "one.jpg"), (two, "two.jpg")):
        write_photo(photo.fill(np.zeros((*photo.size, 3), np.float32), hole), tmp_path / name)
    assert (tmp_path / "one.jpg").read_bytes() == (tmp_path / "two.jpg").read_bytes()


def test_it_is_written_as_png(held, tmp_path):
    _, path = held
    with pytest.raises(ImageError, match=r"b\.jxl is JPEG XL, which is read, but not written"):
        write_photo(read_photo(path), tmp_path / "b.jxl")
    assert filled_name(path) == "held.filled.png"
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.JXL").write_bytes(packed(PHOTO))
    assert [*list_pictures(photos)] == ["a.JXL"]
    report = fill_folder(photos, None, tmp_path / "out", regions=[(5, 5, 9, 9)], model="telea")
    assert report is not None
    assert report.complete
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert np.array_equal(np.asarray(image)[20:], PHOTO[20:])


def test_without_its_package_the_way_out_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(ImageError, match=r"a\.jxl is JPEG XL: install the package"):
        read_photo(packed(PHOTO), name="a.jxl")


def test_a_header_that_claims_too_much_is_not_decoded(monkeypatch):
    monkeypatch.setenv("INPAINT_MAX_PIXELS", "6143")
    monkeypatch.setattr(pillow_jxl, "Decoder", lambda: pytest.fail("it is decoded"))
    with pytest.raises(ImageError, match=r"claims 96x64 \(0 MP\), more than"):
        read_photo(packed(PHOTO))


@pytest.mark.parametrize("cut", [13, 40, -30])
def test_what_is_damaged_is_told(cut):
    for data in (packed(PHOTO), packed(PHOTO, use_container=True)):
        with pytest.raises(ImageError, match="damaged JPEG XL"):
            read_photo(data[:cut])


@pytest.mark.parametrize("size", [0, 3, 2**63])
def test_boxes_of_any_size_are_no_traceback(size):
    length = size.to_bytes(4, "big") if size < 2**32 else b"\0\0\0\1"
    body = size.to_bytes(8, "big") if size >= 2**32 else b""
    with pytest.raises(ImageError, match="damaged JPEG XL"):
        read_photo(CONTAINER + length + b"free" + body)


def header(*fields) -> bytes:
    """A codestream of (bits, value), the lowest bit first."""
    number = at = 0
    for count, value in fields:
        number, at = number | value << at, at + count
    return CODESTREAM + number.to_bytes(62, "little")


SMALL = (1, 1), (5, 7)  # a height of 8 x 8 pixels
LARGE = (1, 0), (2, 1), (13, 2999)
USUAL = ((1, 1),)
MORE = (1, 0), (1, 1), (3, 0), (1, 0), (1, 0)  # no orientation, other size or preview


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ((*SMALL, (3, 0), (5, 11), *USUAL), (96, 64, "")),
        ((*SMALL, (3, 1), *USUAL), (64, 64, "")),
        ((*SMALL, (3, 7), *USUAL), (128, 64, "")),
        ((*LARGE, (3, 3), *USUAL), (4000, 3000, "")),
        ((*LARGE, (3, 0), (2, 3), (30, 2**30 - 1), *USUAL), (2**30, 3000, "")),
        ((*SMALL, (3, 1), (1, 0), (1, 0), (1, 0), (2, 0)), (64, 64, "")),
        ((*SMALL, (3, 1), (1, 0), (1, 0), (1, 0), (2, 3), (6, 15)), (64, 64, "16 bits")),
        ((*SMALL, (3, 1), (1, 0), (1, 0), (1, 0), (2, 1)), (64, 64, "10 bits")),
        ((*SMALL, (3, 1), *MORE, (1, 1)), (64, 64, "several frames")),
        ((*SMALL, (3, 1), *MORE, (1, 0), (1, 0), (2, 2)), (64, 64, "12 bits")),
        ((*SMALL, (3, 1), *MORE[:3], (1, 1), *LARGE, (3, 1), *MORE[4:], (1, 1)),
         (64, 64, "several frames")),
        ((*SMALL, (3, 1), *MORE[:4], (1, 1), (1, 0)), (64, 64, "")),
    ],
)  # fmt: skip
def test_a_header_is_read_by_its_bits(fields, found):
    width, height, notes = read_header(header(*fields), "a")
    assert (width, height, bool(notes)) == (*found[:2], bool(found[2]))
    assert found[2] in " ".join(notes)
