"""Photos and masks made here: every mode in every format, and what may go wrong with files."""

import errno
import io
import os
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import ExifTags, Image, ImageCms, ImageFile, PngImagePlugin

from inpaint_cli.errors import ImageError, InpaintError
from inpaint_cli.files import write as files
from inpaint_cli.images import (
    Patch,
    encode,
    feather,
    grow,
    hole_of_regions,
    read_mask,
    read_photo,
    resize_mask,
    same_shape,
    verify,
    write_photo,
)
from inpaint_cli.images.deep import PNG_MAGIC, encode_png, png_chunk
from inpaint_cli.images.exif import turned

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PHOTO = skimage.data.astronaut()[100:133, 200:247]  # [33, 47, 3]
ALPHA = np.linspace(0, 255, 33 * 47).reshape(33, 47).astype(np.uint8)
LOSSLESS = [
    *("PNG 1", "PNG L", "PNG LA", "PNG P", "PNG RGB", "PNG RGBA", "PNG I;16"),
    *("TIFF 1", "TIFF L", "TIFF LA", "TIFF P", "TIFF RGB", "TIFF RGBA", "TIFF CMYK", "TIFF LAB"),
    *("TIFF I;16", "TIFF I", "TIFF F", "BMP 1", "BMP L", "BMP P", "BMP RGB", "GIF L", "GIF P"),
    *("PPM 1", "PPM L", "PPM RGB", "PPM F", "TGA L", "TGA LA", "TGA P", "TGA RGB", "TGA RGBA"),
    *("JPEG2000 L", "JPEG2000 LA", "JPEG2000 RGB", "JPEG2000 RGBA", "WEBP RGB", "WEBP RGBA"),
]


def made(mode: str) -> Image.Image:
    """The photo in a mode of Pillow."""
    rgb = Image.fromarray(PHOTO)
    if mode in ("I;16", "I", "F"):
        values = np.asarray(rgb.convert("L")).astype(np.float32) * 257 + 3
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        return Image.fromarray((values / 65535 if mode == "F" else values).astype(kind))
    if mode in ("LA", "RGBA"):
        image = rgb.convert(mode)
        image.putalpha(Image.fromarray(ALPHA))
        return image
    if mode == "LAB":
        ends = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
        image = ImageCms.applyTransform(rgb, ImageCms.buildTransform(*ends, "RGB", "LAB"))
        assert image is not None
        return image
    return rgb.quantize(64) if mode == "P" else rgb.convert(mode)


def saved(image: Image.Image, format: str, **settings) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **settings)
    return out.getvalue()


def corner(size: tuple[int, int]) -> np.ndarray:
    hole = np.zeros(size, np.bool_)
    hole[3:19, 5:29] = True
    return hole


def oriented(n: int, **more: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = n
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x9286] = b"a comment of the user"
    return exif.tobytes()


# -- round trips


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_files_are_exact_outside_and_true_to_their_mode(kind: str, tmp_path: Path):
    format, mode = kind.split()
    settings = {"WEBP": {"lossless": True, "exact": True}}.get(format, {})
    source = saved(made(mode), format, **settings)
    photo = read_photo(source, name="made")
    hole = corner(photo.size)
    colour = np.array([0.8, 0.4, 0.2], np.float32)
    filled = photo.fill(np.broadcast_to(colour, (*photo.size, 3)), hole)
    data, notes = encode(filled)
    again = read_photo(data)
    assert notes == ()
    assert (again.format, again.mode, again.size) == (format, photo.mode, photo.size)
    if mode == "P":
        assert np.array_equal(again.rgb[~hole], photo.rgb[~hole])
    else:
        assert np.array_equal(again.pixels[~hole], photo.pixels[~hole])
    drift = verify(photo, data, hole)
    assert drift.ok
    assert drift.lossless
    assert drift.outside == (~hole).sum()
    shown, luma = again.rgb[hole], colour @ [0.299, 0.587, 0.114]
    if mode in ("RGB", "RGBA", "CMYK", "LAB"):
        assert np.abs(shown - colour).max() < 0.03
    elif photo.mode not in ("1", "P"):
        assert np.abs(shown - luma).max() < 0.004


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
@pytest.mark.parametrize("mode", ["RGB;16", "RGBA;16", "LA;16"])
def test_sixteen_bits_of_colour_keep_their_depth(format: str, mode: str):
    if (format, mode) in {("PPM", "RGBA;16"), ("PPM", "LA;16"), ("TIFF", "LA;16")}:
        pytest.skip("not a thing")
    rng = np.random.default_rng(1)
    frame = saved(Image.new("RGB", (1, 1)), "PNG", dpi=(150, 150), exif=oriented(1))
    pixels = rng.integers(0, 65536, (21, 17, len(mode) - 3), np.uint16)
    first = read_photo(encode_png(pixels, frame))
    assert first.mode == mode
    assert np.array_equal(first.pixels, pixels)
    photo = read_photo(encode(first, format)[0])
    assert (photo.mode, photo.format) == (mode, format)
    assert np.array_equal(photo.pixels, pixels)
    if format != "PPM":
        assert photo.keep["dpi"] == pytest.approx((150, 150), abs=0.1)
        tags = Image.open(io.BytesIO(encode(photo)[0])).getexif()
        assert tags[0x010F] == "Maker"
    hole = corner(photo.size)
    filled = photo.fill(np.full((21, 17, 3), 0.70001, np.float32), hole)
    data, _ = encode(filled)
    again = read_photo(data)
    assert np.array_equal(again.pixels[~hole], pixels[~hole])
    assert (again.pixels[hole][:, 0] == round(0.70001 * 65535)).all()
    assert verify(photo, data, hole).ok
    assert verify(photo, data, ~corner(photo.size)).count == hole.sum()


def test_sixteen_bits_of_gray_keep_their_depth():
    photo = read_photo(saved(made("I;16"), "PNG"))
    assert photo.rgb[0, 0, 0] == pytest.approx(photo.pixels[0, 0] / 65535)
    filled = photo.fill(np.full((*photo.size, 3), 12345 / 65535, np.float32), corner(photo.size))
    assert (read_photo(encode(filled)[0]).pixels[corner(photo.size)] == 12345).all()


def test_filling_with_itself_changes_nothing():
    for kind in LOSSLESS:
        format, mode = kind.split()
        if mode == "LAB":
            continue  # its colours reach beyond those of RGB
        photo = read_photo(saved(made(mode), format))
        hole = np.ones(photo.size, np.bool_)
        again = photo.fill(photo.rgb, hole)
        if mode == "CMYK":
            assert np.abs(again.pixels.astype(int) - photo.pixels).max() <= 1
        else:
            assert np.allclose(photo.rgb, again.rgb, atol=1e-6), kind


def test_values_are_rounded_and_clipped():
    photo = read_photo(saved(Image.new("RGB", (3, 1)), "PNG"))
    filled = np.array([[[0.5, 1.7, -2]] * 3], np.float32)
    pixels = photo.fill(filled, np.array([[True, False, True]])).pixels
    assert pixels.tolist() == [[[128, 255, 0], [0, 0, 0], [128, 255, 0]]]


def test_patches_paste_their_hole_only():
    photo = read_photo(saved(made("RGB"), "PNG"))
    hole = np.zeros((4, 5), np.bool_)
    hole[1:3, 1:4] = True
    ones = np.ones((4, 5, 3), np.float32)
    out = photo.paste([Patch(10, 20, ones, hole), Patch(29, 42, 0 * ones, hole)])
    assert (out.pixels[11:13, 21:24] == 255).all()
    assert (out.pixels[30:32, 43:46] == 0).all()
    assert (out.pixels != photo.pixels).any(-1).sum() <= 12
    with pytest.raises(ValueError, match="patch"):
        photo.paste([Patch(31, 0, ones, hole)])
    assert np.array_equal(photo.crop(10, 20, 4, 5), photo.rgb[10:14, 20:25])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5000), (5000, 1), (2, 3)])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP", "GIF"])
def test_thin_photos(width: int, height: int, format: str):
    mode = "L" if format == "GIF" else "RGB"
    photo = read_photo(saved(Image.new(mode, (width, height), "gray"), format))
    hole = np.zeros((height, width), np.bool_)
    hole[0, 0] = True
    data, _ = encode(photo.fill(np.ones((height, width, 3), np.float32), hole))
    again = read_photo(data)
    assert again.size == (height, width)
    assert again.mode == photo.mode
    assert again.pixels.ravel()[0] > 180 or format == "GIF"  # its palette is gray only


# -- what stands beside the pixels


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("n", range(1, 9))
def test_orientation_is_applied_and_reset(format: str, n: int):
    exif = oriented(n)
    lossless = {"WEBP": {"lossless": True}}.get(format, {})
    photo = read_photo(saved(made("RGB"), format, exif=exif, icc_profile=SRGB, **lossless))
    assert photo.size == ((33, 47) if n < 5 else (47, 33))
    assert np.abs(photo.pixels - turned(PHOTO, n).astype(float)).mean() < 8
    data, _ = encode(photo)
    image = Image.open(io.BytesIO(data))
    image.load()
    found = image.getexif()
    assert found.get(0x0112, 1) == 1
    assert found[0x010F] == "Maker"
    assert image.info["icc_profile"] == SRGB
    assert image.size[::-1] == photo.size


def test_turning_agrees_with_pillow():
    from PIL import ImageOps

    for n in range(1, 9):
        image = Image.open(io.BytesIO(saved(made("RGB"), "PNG", exif=oriented(n))))
        assert np.array_equal(turned(PHOTO, n), np.asarray(ImageOps.exif_transpose(image)))


def test_the_exif_preview_goes_for_it_shows_what_was_removed():
    preview = saved(Image.new("RGB", (16, 16), "red"), "JPEG")
    first = b"II*\0\x08\0\0\0" + b"\1\0" + bytes.fromhex("1201 0300 01000000 0600 0000")
    second = (26).to_bytes(4, "little") + b"\2\0"
    second += bytes.fromhex("0102 0400 01000000") + (56).to_bytes(4, "little")
    second += bytes.fromhex("0202 0400 01000000") + len(preview).to_bytes(4, "little")
    block = b"Exif\0\0" + first + second + bytes(4) + preview
    source = saved(made("RGB"), "JPEG", exif=block)
    assert preview in source
    data, _ = encode(read_photo(source))
    assert preview[:40] not in data[2:]
    with Image.open(io.BytesIO(data)) as image:
        assert not image.getexif().get_ifd(ExifTags.IFD.IFD1)
    assert read_photo(data).size == read_photo(source).size == (47, 33)


def test_a_damaged_exif_block_is_left_out_with_a_note():
    photo = read_photo(saved(made("RGB"), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"))
    assert "EXIF" in photo.notes[0]
    assert "exif" not in Image.open(io.BytesIO(encode(photo)[0])).info


def test_png_text_gamma_and_density_are_kept():
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "A title")
    info.add_itxt("Author", "Ä", "de", "Autor")
    info.add(b"gAMA", (45455).to_bytes(4, "big"))
    source = saved(made("RGB"), "PNG", pnginfo=info, dpi=(300, 300), icc_profile=SRGB)
    image = Image.open(io.BytesIO(encode(read_photo(source))[0]))
    image.load()
    assert image.text == {"Title": "A title", "Author": "Ä"}  # type: ignore[attr-defined]
    assert image.info["gamma"] == 0.45455
    assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def jpeg(mode: str, subsampling: int, progressive: bool) -> bytes:
    return saved(
        made(mode),
        "JPEG",
        quality=71,
        subsampling=subsampling,
        progressive=progressive,
        comment=b"hello",
        dpi=(72, 72),
        exif=oriented(1),
        icc_profile=SRGB,
    )


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_keeps_tables_and_subsampling(
    subsampling: int, mode: str, progressive: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "jpeglib", None)  # as if the extra were not installed
    photo = read_photo(jpeg(mode, subsampling, progressive))
    hole = corner(photo.size)
    data, _ = encode(photo.fill(np.zeros((*photo.size, 3), np.float32), hole))
    again = read_photo(data)
    for trait in ("qtables", "progressive", "comment", "dpi", "exif", "icc_profile"):
        assert again.keep[trait] == photo.keep[trait]
    assert again.keep["subsampling"] == photo.keep["subsampling"]
    assert photo.keep["subsampling"] == subsampling
    drift = verify(photo, data, hole)
    assert not drift.lossless
    assert drift.ok
    assert 0 < drift.mean < 6
    coarse, _ = encode(photo, quality=5)
    assert verify(photo, coarse, hole).mean > 1.5 * drift.mean


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_blocks_without_a_hole_are_untouched(subsampling: int, mode: str, progressive: bool):
    jpeglib = pytest.importorskip("jpeglib")
    photo = read_photo(jpeg(mode, subsampling, progressive))
    hole = np.zeros(photo.size, np.bool_)
    hole[17:20, 17:23] = True
    data, _ = encode(photo.fill(np.zeros((*photo.size, 3), np.float32), hole))
    block = np.zeros_like(hole)  # and a pixel around it, into which coarse chroma is smoothed
    block[15:33, 15:33] = True
    assert verify(photo, data, block).count == 0
    assert verify(photo, data, hole).count > 0
    again = read_photo(data)
    for trait in ("qtables", "subsampling", "comment", "dpi", "exif", "icc_profile"):
        assert again.keep.get(trait) == photo.keep[trait] or (
            mode == "L" and trait == "subsampling"
        )
    assert np.abs(again.rgb[18, 18:22]).max() < 0.25
    assert encode(photo)[0] != data
    unchanged = read_photo(encode(photo)[0])
    assert np.array_equal(unchanged.pixels, photo.pixels)
    assert jpeglib.__version__


def test_a_source_that_jpeglib_cannot_take_is_encoded_anew():
    photo = read_photo(jpeg("RGB", 2, False))
    hole = corner(photo.size)
    filled = photo.fill(np.zeros((*photo.size, 3), np.float32), hole)
    for source in (b"\xff\xd8", jpeg("L", 0, False), jpeg("RGB", 0, False)):
        other = replace(filled, keep={**filled.keep, "source": source})
        assert verify(filled, encode(other)[0], hole).mean < 6


@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize("place", [(0, 0), (30, 41), (47, 62)])
def test_only_blocks_with_a_changed_pixel_are_encoded_again(sampling, place):
    """Wherever the hole is, up to the last blocks, which end beyond the photo."""
    photo = read_photo(jpeg("RGB", sampling, False))
    height, width = photo.size
    hole = np.zeros(photo.size, np.bool_)
    hole[min(place[0], height - 1), min(place[1], width - 1)] = True
    written = read_photo(encode(photo.fill(np.ones((*photo.size, 3), np.float32), hole))[0])
    unit = 8 * np.array([[1, 1], [1, 2], [2, 2]])[sampling]
    row, column = (int(n) for n in np.argwhere(hole)[0] // unit * unit)
    near = np.zeros(photo.size, np.bool_)
    near[max(row - 1, 0) : row + unit[0] + 1, max(column - 1, 0) : column + unit[1] + 1] = True
    assert np.array_equal(written.pixels[~near], photo.pixels[~near])
    assert not np.array_equal(written.pixels[near], photo.pixels[near])


@pytest.mark.parametrize("band", [1, 2, 64])
def test_holes_in_several_bands_are_encoded_as_in_one(band: int, monkeypatch: pytest.MonkeyPatch):
    photo = read_photo(jpeg("RGB", 2, False))
    hole = np.zeros(photo.size, np.bool_)
    hole[[0, 20, -1], [3, 30, -1]] = True
    filled = photo.fill(np.ones((*photo.size, 3), np.float32), hole)
    expected = read_photo(encode(filled)[0]).pixels
    monkeypatch.setattr("inpaint_cli.images.jpeg.BAND", band)
    assert np.array_equal(read_photo(encode(filled)[0]).pixels, expected)


def test_transparency_is_kept_unless_the_hole_is_to_be_opaque():
    photo = read_photo(saved(made("RGBA"), "PNG"))
    filled = np.zeros((*photo.size, 3), np.float32)
    hole = photo.hole_from_alpha()
    assert np.array_equal(hole, ALPHA < 255)
    assert np.array_equal(photo.hole_from_alpha(77), ALPHA < 77)
    assert np.array_equal(photo.fill(filled, hole).pixels[..., 3], ALPHA)
    opaque = photo.fill(filled, hole, opaque=True).pixels[..., 3]
    assert np.array_equal(opaque, np.where(hole, 255, ALPHA))


def test_palette_and_key_transparency():
    image = made("P")
    source = saved(image, "PNG", transparency=int(np.asarray(image)[0, 0]))
    photo = read_photo(source)
    hole = photo.hole_from_alpha()
    assert hole[0, 0]
    white = np.ones((*photo.size, 3), np.float32)
    assert np.array_equal(photo.fill(white, hole).pixels, photo.pixels)
    opaque = read_photo(encode(photo.fill(white, hole, opaque=True))[0])
    assert not opaque.hole_from_alpha().any()
    keyed = read_photo(saved(made("RGB"), "PNG", transparency=(255, 255, 255)))
    everything = np.ones(keyed.size, np.bool_)
    new = read_photo(encode(keyed.fill(white, everything, opaque=True))[0])
    assert not new.hole_from_alpha().any()
    assert new.key == (255, 255, 255)


def test_a_photo_without_alpha_has_no_hole_to_give():
    with pytest.raises(ImageError, match="no transparency"):
        read_photo(saved(made("RGB"), "PNG")).hole_from_alpha()


def test_cmyk_fill_uses_black_ink_as_its_surroundings_do():
    inks = np.zeros((20, 20, 4), np.uint8)
    inks[..., 3] = np.linspace(80, 200, 20)
    photo = read_photo(saved(Image.frombytes("CMYK", (20, 20), inks.tobytes()), "TIFF"))
    new = photo.fill(np.full((20, 20, 3), 0.5, np.float32), corner((20, 20))).pixels
    assert new[5, 8].tolist() == pytest.approx([0, 0, 0, 128], abs=2)
    photo = read_photo(saved(Image.fromarray(PHOTO).convert("CMYK"), "TIFF"))
    new = photo.fill(np.full((33, 47, 3), 0.25, np.float32), corner((33, 47))).pixels
    assert new[5, 8].tolist() == [191, 191, 191, 0]


def test_floats_keep_their_range_and_what_is_no_number():
    values = np.linspace(-3, 9, 30 * 30).reshape(30, 30).astype(np.float32)
    values[0, 0], values[0, 1] = np.nan, np.inf
    photo = read_photo(saved(Image.fromarray(values), "TIFF"))
    assert (photo.black, photo.white) == (values[0, 2], 9)
    assert np.isfinite(photo.rgb).all()
    data, _ = encode(photo.fill(np.ones((30, 30, 3), np.float32), corner((30, 30))))
    assert read_photo(data).pixels[5, 8] == pytest.approx(9)
    assert verify(photo, data, corner((30, 30))).ok


def test_of_several_frames_the_first_is_read_with_a_note():
    frames = [made("P"), made("P").transpose(Image.Transpose.ROTATE_180)]
    for format in ("GIF", "TIFF", "WEBP", "PNG"):
        photo = read_photo(saved(frames[0], format, save_all=True, append_images=frames[1:]))
        assert "2 frames" in photo.notes[0], format


# -- other formats


@pytest.mark.parametrize(
    ("mode", "suffix", "note"),
    [
        ("RGBA", ".jpg", "transparency"),
        ("I;16", ".jpg", "8 bits"),
        ("RGB", ".gif", "256 colours"),
        ("P", ".jpg", ""),
        ("LA", ".webp", ""),
        ("CMYK", ".png", ""),
        ("F", ".png", "16 bits"),
        ("1", ".jpg", ""),
        ("RGBA", ".bmp", ""),
        ("I;16", ".bmp", "8 bits"),
        ("RGBA", ".ppm", "transparency"),
        ("LAB", ".webp", ""),
    ],
)
def test_another_suffix_converts_and_says_what_is_lost(
    mode: str, suffix: str, note: str, tmp_path: Path
):
    photo = read_photo(saved(made(mode), "TIFF"))
    path = tmp_path / f"photo{suffix}"
    notes = write_photo(photo, path)
    assert bool(notes) == bool(note)
    assert note in " ".join(notes)
    again = read_photo(path)
    assert again.size == photo.size
    shown = photo.rgb if photo.alpha is None else photo.rgb[photo.alpha > 0.5]
    seen = again.rgb if photo.alpha is None else again.rgb[photo.alpha > 0.5]
    assert np.abs(shown - seen).mean() < 0.02


def test_metadata_follows_into_formats_that_hold_it(tmp_path: Path):
    source = read_photo(saved(made("RGB"), "TIFF", exif=oriented(6), icc_profile=SRGB))
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        assert write_photo(source, tmp_path / f"a{suffix}") == ()
        with Image.open(tmp_path / f"a{suffix}") as image:
            assert image.getexif()[0x010F] == "Maker", suffix
            assert image.info["icc_profile"] == SRGB
    assert "colour profile" in write_photo(source, tmp_path / "a.bmp")[0]
    gray = read_photo(saved(made("RGB"), "PNG", icc_profile=SRGB))
    cmyk = read_photo(saved(made("CMYK"), "TIFF", icc_profile=SRGB))  # a profile that cannot be
    assert gray.keep["icc_profile"] == SRGB
    assert encode(cmyk, "PNG")


def test_a_profile_that_no_longer_fits_goes():
    profile = SRGB[:16] + b"GRAY" + SRGB[20:]
    photo = read_photo(saved(made("L"), "TIFF", icc_profile=profile))
    assert read_photo(encode(photo, "PNG")[0]).keep["icc_profile"] == profile
    assert "icc_profile" not in read_photo(encode(photo, "WEBP")[0]).keep


def test_density_turns_with_the_photo():
    photo = read_photo(saved(made("RGB"), "JPEG", dpi=(300, 150), exif=oriented(6)))
    assert read_photo(encode(photo)[0]).keep["dpi"] == (150, 300)


def test_an_unknown_suffix_is_refused(tmp_path: Path):
    with pytest.raises(ImageError, match=r"a\.xyz has no suffix of a picture"):
        write_photo(read_photo(saved(made("RGB"), "PNG")), tmp_path / "a.xyz")


# -- bad input


def test_bad_files_are_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    png = saved(made("RGB"), "PNG")
    cases = {
        "empty.png": (b"", "empty"),
        "text.png": (b"hello, this is no picture", "not a picture"),
        "cut.png": (png[: len(png) // 2], "cannot be read"),
        "flat.gif": (b"GIF89a" + bytes(7), "no"),
        "zero.bmp": (saved(made("RGB"), "BMP").replace(b"\x2f\0\0\0", bytes(4), 1), "zero.bmp"),
    }
    for name, (data, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        for read in (read_photo, read_mask):
            with pytest.raises(ImageError, match=message) as caught:
                read(path)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)
    with pytest.raises(ImageError, match="is a folder"):
        read_photo(tmp_path)
    with pytest.raises(ImageError, match="does not exist"):
        read_photo(tmp_path / "none.png")
    with pytest.raises(ImageError, match="cannot be read"):
        read_photo(Path("a\0b"))
    monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(PermissionError()))
    with pytest.raises(ImageError, match="may not be read"):
        read_photo(tmp_path / "text.png")


def test_files_that_would_be_cut_to_eight_bits_are_refused():
    values = np.arange(32 * 32 * 3, dtype=np.uint16).reshape(32, 32, 3) * 20
    flat, four = values[..., 0], np.repeat(values[..., :1], 4, 2)
    cases = {
        "16 bits": cv2.imencode(".jp2", values)[1].tobytes(),
        "16 bits a": tiff(four, photometric="separated"),
        "white is 0": tiff(flat, photometric="miniswhite"),
        "multiplied by alpha": tiff(four, photometric="rgb", extrasamples=["assocalpha"]),
    }
    for message, data in cases.items():
        with pytest.raises(ImageError, match=message):
            read_photo(data)
    assert read_photo(cv2.imencode(".jp2", (values >> 8).astype(np.uint8))[1].tobytes())
    assert np.array_equal(read_photo(tiff(values, photometric="rgb")).pixels, values)


def tiff(pixels: np.ndarray, **settings) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, **settings)
    return out.getvalue()


@given(st.data())
def test_no_damage_gets_past_as_anything_but_an_image_error(data: st.DataObject):
    format, mode = data.draw(st.sampled_from([*LOSSLESS, "JPEG RGB", "AVIF RGB"])).split()
    source = bytearray(saved(made(mode), format))
    for at in data.draw(st.lists(st.integers(0, min(len(source), 400) - 1), max_size=4)):
        source[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(1, len(source)))
    try:
        photo = read_photo(bytes(source[:end]), name="damaged")
    except ImageError as error:
        assert str(error).startswith("damaged")  # noqa: PT017 - either way is right
    else:
        assert photo.rgb.shape == (*photo.size, 3)


def test_a_bomb_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch):
    header = (30000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    with pytest.raises(ImageError, match="900 MP"):
        read_photo(PNG_MAGIC + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b""))
    monkeypatch.setenv("INPAINT_MAX_PIXELS", "1000")
    with pytest.raises(ImageError, match="INPAINT_MAX_PIXELS"):
        read_photo(saved(made("RGB"), "PNG"))
    monkeypatch.setenv("INPAINT_MAX_PIXELS", "many")
    with pytest.raises(ImageError, match="whole number"):
        read_photo(saved(made("RGB"), "PNG"))


def test_pillow_is_left_as_it_was_and_large_photos_pass():
    limit = Image.MAX_IMAGE_PIXELS
    large = saved(Image.new("1", (20000, 10000)), "PNG")  # Pillow alone refuses this
    assert read_photo(large).size == (10000, 20000)
    assert limit == Image.MAX_IMAGE_PIXELS
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_threads_do_not_disturb_each_other():
    sources = [saved(made("RGB"), "JPEG"), saved(made("P"), "PNG"), b"no picture"]
    before = (Image.MAX_IMAGE_PIXELS, list(warnings.filters))

    def work():
        for source in sources * 5:
            try:
                encode(read_photo(source))
            except ImageError:
                continue

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert before == (Image.MAX_IMAGE_PIXELS, list(warnings.filters))


def test_nothing_is_overwritten_or_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    photo = read_photo(saved(made("RGB"), "PNG"))
    path = tmp_path / "out.png"
    path.write_bytes(b"precious")
    with pytest.raises(InpaintError, match="exists already"):
        write_photo(photo, path)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(full))
    with pytest.raises(InpaintError, match="No space left"):
        write_photo(photo, path, overwrite=True)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]
    assert path.read_bytes() == b"precious"
    assert files.atomic_path
    write_photo(photo, path, overwrite=True)
    assert read_photo(path).size == photo.size


def test_verify_finds_a_single_changed_pixel():
    photo = read_photo(saved(made("RGB"), "PNG"))
    pixels = photo.pixels.copy()
    pixels[30, 40, 1] ^= 8
    data = saved(Image.fromarray(pixels), "PNG")
    drift = verify(photo, data, corner(photo.size))
    assert (drift.count, drift.largest, drift.ok) == (1, 8, False)
    assert drift.mean == pytest.approx(8 / 3 / drift.outside)
    elsewhere = np.zeros(photo.size, np.bool_)
    elsewhere[30, 40] = True
    assert verify(photo, data, elsewhere).ok
    with pytest.raises(ImageError, match="another size"):
        verify(photo, saved(Image.fromarray(pixels[1:]), "PNG"), elsewhere)


# -- masks


def shape() -> np.ndarray:
    return corner((33, 47))


def gray(hole: np.ndarray) -> Image.Image:
    return Image.fromarray(hole.astype(np.uint8) * 255)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA", "I;16", "CMYK"])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_masks_of_all_modes(mode: str, format: str):
    image = gray(shape())
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    source = saved(image, "TIFF" if mode == "CMYK" else format)
    mask = read_mask(source)
    assert np.array_equal(mask.hole, shape())
    assert mask.notes == ()
    assert np.array_equal(read_mask(source, invert=True).hole, ~shape())


def test_a_mask_is_turned_as_its_photo_is():
    assert np.array_equal(
        read_mask(saved(gray(shape()), "PNG", exif=oriented(6))).hole, turned(shape(), 6)
    )


def test_a_shape_in_alpha_only_is_found():
    for colour in (0, 255):
        image = Image.new("RGBA", (47, 33), (colour, colour, colour, 0))
        image.putalpha(gray(shape()))
        mask = read_mask(saved(image, "PNG"))
        assert np.array_equal(mask.hole, shape())
        assert "alpha" in mask.notes[0]
        assert np.array_equal(read_mask(saved(image, "PNG"), channel="alpha").hole, shape())
        assert read_mask(saved(image, "PNG"), channel="gray").hole.all() == bool(colour)
    image = Image.new("RGBA", (47, 33), "white")
    image.paste("black", (0, 0, 10, 33))
    image.putalpha(gray(shape()))
    hole = shape()
    hole[:, :10] = False
    assert np.array_equal(read_mask(saved(image, "PNG")).hole, hole)  # transparent is black
    with pytest.raises(ImageError, match="no alpha"):
        read_mask(saved(gray(shape()), "PNG"), channel="alpha")


def test_the_threshold_is_exact():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for threshold in (1, 127, 128, 200, 255):
        for image in (
            Image.fromarray(levels),
            Image.fromarray(levels.astype(np.uint16) * 257),
            Image.fromarray(np.repeat(levels[..., None], 3, 2)),
        ):
            mask = read_mask(saved(image, "PNG"), threshold=threshold)
            assert np.array_equal(mask.hole, levels >= threshold)


holes = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda size: arrays(np.bool_, size)
)


def far(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest of `b`, by trying them all."""
    points = np.argwhere(b)
    at = np.argwhere(np.ones_like(a))
    if not len(points):
        return np.full(a.shape, np.inf)
    away = ((at[:, None] - points[None]) ** 2).sum(-1).min(1)
    return np.sqrt(away).reshape(a.shape)


@given(holes, st.integers(-4, 4))
def test_growing_is_by_distance(hole: np.ndarray, pixels: int):
    before = hole.copy()
    grown = grow(hole, pixels)
    assert np.array_equal(hole, before)
    expected = far(hole, hole) <= pixels if pixels >= 0 else far(hole, ~hole) > -pixels
    assert np.array_equal(grown, expected & hole if pixels < 0 else expected)


@given(holes, st.integers(0, 5), st.integers(0, 3))
def test_feathering_stays_inside_and_spares_the_core(hole: np.ndarray, pixels: int, by: int):
    grown = grow(hole, by)
    weights = feather(grown, pixels, core=hole)
    assert weights.dtype == np.float32
    assert ((weights > 0) == grown).all()
    assert (weights[hole] == 1).all()
    assert weights.max(initial=0) <= 1
    alone = feather(grown, pixels)
    expected = np.minimum(far(grown, ~grown) / (pixels + 1), 1) if pixels else grown
    assert np.allclose(alone, expected, atol=1e-5)


@given(holes, st.integers(1, 30), st.integers(1, 30))
def test_resizing_takes_the_nearest_pixel(hole: np.ndarray, height: int, width: int):
    out = resize_mask(hole, (height, width))
    assert out.shape == (height, width)
    for row in range(height):
        for column in range(width):
            y, x = (
                int((row + 0.5) * hole.shape[0] / height),
                int((column + 0.5) * hole.shape[1] / width),
            )
            assert out[row, column] == hole[y, x]
    assert np.array_equal(resize_mask(hole, hole.shape), hole)


@given(
    st.lists(
        st.tuples(*[st.integers(-5, 25)] * 2, *[st.integers(1, 30)] * 2), min_size=1, max_size=4
    )
)
def test_regions_are_cut_at_the_borders(regions: list[tuple[int, int, int, int]]):
    inside = [r for r in regions if r[0] + r[2] > 0 and r[1] + r[3] > 0 and r[0] < 17 and r[1] < 13]
    if inside != regions:
        with pytest.raises(ImageError, match="marks nothing"):
            hole_of_regions((13, 17), regions)
        return
    hole = hole_of_regions((13, 17), regions)
    for y in range(13):
        for x in range(17):
            within = (a <= x < a + w and b <= y < b + h for a, b, w, h in regions)
            assert hole[y, x] == any(within)


def test_a_region_without_area_is_refused():
    for region in ((1, 1, 0, 5), (1, 1, 5, -1)):
        with pytest.raises(ImageError, match="marks nothing"):
            hole_of_regions((10, 10), [region])


def test_the_same_shape_is_to_a_pixel_whichever_is_smaller():
    assert same_shape((783, 765), (604, 591))
    assert same_shape((604, 591), (783, 765))
    assert same_shape((3, 5), (601, 1000))
    assert not same_shape((40, 60), (60, 40))
    assert not same_shape((610, 591), (783, 765))
