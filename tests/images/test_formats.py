"""HEIC, what is not read at all, and notes on formats that are compressed again."""

import io
import sys

import numpy as np
import pytest
import skimage
import tifffile
from PIL import Image

from inpaint_cli.errors import DataError, ImageError
from inpaint_cli.files.pairs import pair_files
from inpaint_cli.files.pictures import UNREAD_SUFFIXES
from inpaint_cli.filling.folder import fill_folder
from inpaint_cli.images import encode, read_photo, verify, write_photo
from inpaint_cli.images.read import enable_heif

PHOTO = skimage.data.astronaut()[:64, 100:196]


def saved(format: str, **settings) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PHOTO).save(out, format, **settings)
    return out.getvalue()


def heic(orientation: int = 1) -> bytes:
    enable_heif("a test")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    return saved("HEIF", exif=exif.tobytes(), quality=90)


@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_is_read_upright_and_written_with_its_metadata(orientation: int, tmp_path):
    photo = read_photo(heic(orientation))
    assert photo.size == ((64, 96) if orientation == 1 else (96, 64))
    hole = np.zeros(photo.size, np.bool_)
    hole[8:24, 8:24] = True
    filled = photo.fill(np.zeros((*photo.size, 3), np.float32), hole)
    notes = write_photo(filled, tmp_path / "a.heic")
    assert "compressed again as HEIF" in " ".join(notes)
    again = read_photo(tmp_path / "a.heic")
    assert (again.format, again.size) == ("HEIF", photo.size)
    assert b"Maker" in again.keep["exif"]
    drift = verify(photo, tmp_path / "a.heic", hole)
    assert drift.ok
    assert 0 < drift.mean < 6
    assert write_photo(filled, tmp_path / "a.png") == ()
    assert verify(photo, tmp_path / "a.png", hole).count == 0


def test_without_its_package_heic_is_told_from_what_is_damaged(monkeypatch):
    data = heic()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"a\.HEIC is HEIC: install the package pillow-heif"):
        read_photo(data, name="a.HEIC")


@pytest.mark.parametrize("suffix", [".CR2", ".dng", ".psd", ".svg"])
def test_what_is_not_read_is_told_with_the_way_out(suffix: str, tmp_path):
    path = tmp_path / f"a{suffix}"
    raw = suffix.lower() in (".cr2", ".dng")
    path.write_bytes(tiff() if raw else b"anything")
    with pytest.raises(ImageError, match=r"is not read: (develop|export|convert) it"):
        read_photo(path)
    with pytest.raises(ImageError, match="is not read"):
        write_photo(read_photo(saved("PNG")), tmp_path / f"b{suffix}")


def tiff(**settings) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, PHOTO, photometric="rgb", metadata=None, **settings)
    return out.getvalue()


def test_contents_count_where_the_suffix_is_another():
    starts = [b"8BPS\0\1", b"II*\0\x10\0\0\0CR\2\0"]
    for data in (*starts, tiff(extratags=[(50706, 1, 4, b"\1\4\0\0", True)])):
        with pytest.raises(ImageError, match=r"photo\.tif is .*, which is not read"):
            read_photo(data, name="photo.tif")
    assert read_photo(saved("JPEG"), name="a.psd").format == "JPEG"
    assert read_photo(tiff(), name="a.tif").format == "TIFF"


def test_a_folder_job_lists_what_it_does_not_read(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(saved("PNG"))
    for name in ("b.CR2", "c.psd", "notes.txt", ".hidden.dng"):
        (photos / name).write_bytes(b"anything")
    (photos / "linked").symlink_to(tmp_path)
    assert [*pair_files(photos, None).unread] == ["b.CR2", "c.psd", "linked"]
    report = fill_folder(photos, None, tmp_path / "out", regions=[(5, 5, 9, 9)], model="telea")
    assert report is not None
    assert (report.filled, report.complete) == (1, False)
    assert [*report.failed] == ["b.CR2", "c.psd", "linked"]
    (photos / "a.png").unlink()
    with pytest.raises(DataError, match=r"no photo in .* can be read: .*b\.CR2 is camera raw"):
        pair_files(photos, None)
    assert all(suffix == suffix.lower() for suffix in UNREAD_SUFFIXES)


def test_a_folder_in_another_format_and_quality(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(saved("PNG"))
    (photos / "b.heic").write_bytes(heic())
    sizes = []
    for quality in (40, 95):
        how = {"regions": [(5, 5, 9, 9)], "model": "telea", "format": "JPG", "quality": quality}
        report = fill_folder(photos, None, tmp_path / "out", **how)
        assert report is not None
        assert (report.filled, report.complete) == (2, True)
        assert sorted(p.name for p in (tmp_path / "out").glob("*.*g")) == ["a.jpg", "b.jpg"]
        sizes.append((tmp_path / "out" / "a.jpg").stat().st_size)
    assert sizes[0] < sizes[1] / 2
    (photos / "a.bmp").write_bytes(saved("BMP"))
    with pytest.raises(DataError, match=r"a\.bmp and a\.png would both become .*a\.jpg"):
        fill_folder(photos, None, tmp_path / "out", **how)
    with pytest.raises(ImageError, match="has no suffix of a picture"):
        fill_folder(photos, None, tmp_path / "new", regions=[(5, 5, 9, 9)], format="xyz")


def test_lossy_formats_but_jpeg_say_that_all_is_compressed_anew(monkeypatch):
    for format, settings in {"AVIF": {}, "WEBP": {}, "JPEG": {}, "PNG": {}}.items():
        _, notes = encode(read_photo(saved(format, **settings)))
        assert ("compressed again" in " ".join(notes)) == (format in ("AVIF", "WEBP")), format
    assert encode(read_photo(saved("WEBP", lossless=True)))[1] == ()
    monkeypatch.setitem(sys.modules, "jpeglib", None)
    _, notes = encode(read_photo(saved("JPEG")))
    assert "with the package jpeglib" in " ".join(notes)
