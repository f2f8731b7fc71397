"""A larger canvas: the margin is filled, and nothing of the photo changes."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

import inpaint_cli as inpaint
from inpaint_cli import images
from inpaint_cli.cli import main
from inpaint_cli.errors import ImageError, InpaintError
from inpaint_cli.filling.options import HoleOptions

INVOKE = CliRunner().invoke
SUBJECT_AREA = 0x9214
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    b' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    b' xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
    b' xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"'
    b' xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Description rdf:about=""'
    b' exif:PixelXDimension="40" tiff:ImageLength="30" dc:format="kept">'
    b"<exif:PixelYDimension>30</exif:PixelYDimension>"
    b'<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:Name>face</mwg-rs:Name></mwg-rs:Regions>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


def add_exif(order="<"):
    exif = Image.Exif()
    exif.endian = order
    exif[ExifTags.Base.Make] = "camera"
    exif[ExifTags.Base.ImageWidth] = 40
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.ExifImageWidth: 40,
            ExifTags.Base.ExifImageHeight: 30,
            SUBJECT_AREA: (20, 10, 4, 4),
            ExifTags.Base.LensModel: "lens",
        }
    )
    return exif


def test_the_margin_is_filled_and_the_photo_stays(rgb):
    mask = np.zeros(rgb.shape[:2], np.bool_)
    mask[10:12, 20:24] = True
    filled = inpaint.fill(rgb, mask, extend=(5, "10%", 0, 7), model="telea")
    assert filled.array.shape == (30 + 3 + 7, 40 + 5, 3)
    inside = filled.array[3:33, 5:]
    assert np.array_equal(inside[~mask], rgb[~mask]), "the photo itself changed"
    assert filled.hole.area.sum() == filled.hole.area.size - (~mask).sum()
    assert filled.hole.area[3:33, 5:].sum() == mask.sum()


def test_no_mask_is_needed_and_a_mask_is_of_the_photo_as_it_was(rgb):
    assert inpaint.fill(rgb, extend=(0, 0, 9, 0), model="telea").array.shape == (30, 49, 3)
    with pytest.raises(ImageError, match="proportions differ"):
        inpaint.fill(rgb, np.zeros((30, 49), np.bool_), extend=(0, 0, 9, 0), model="telea")
    with pytest.raises(InpaintError, match="or what to extend"):
        inpaint.fill(rgb)


def test_growing_blends_the_margin_into_the_photo(rgb):
    filled = inpaint.fill(rgb, extend=(0, 0, 9, 0), grow=3, feather=3, model="telea")
    assert filled.hole.area[:, 37:].all()
    assert not filled.hole.area[:, :37].any()
    assert np.array_equal(filled.array[:, :37], rgb[:, :37])


def test_finders_look_at_the_photo_alone(rgb):
    found = inpaint.fill(rgb, extend=(100, 0, 0, 0), find=["polygon:points=0,0,8,0,0,8"],
                         model="telea").hole  # fmt: skip
    assert found.area[0, 101]
    assert not found.area[20, 101]
    (share,) = found.found.values()
    assert share == pytest.approx(found.area[:, 100:].mean(), abs=1e-4)


@pytest.mark.parametrize(
    "extend", [(1, 2, 3), (1, 2, 3, -4), (1, 2, 3, 4.5), ("a", 0, 0, 0), "1,2,3,4", (True, 0, 0, 0)]
)
def test_sides_that_are_none_are_refused(extend):
    with pytest.raises(InpaintError, match="give left,top,right,bottom"):
        HoleOptions(extend=extend)


def test_a_canvas_beyond_the_limit_is_refused_before_any_work(rgb, monkeypatch):
    monkeypatch.setenv("INPAINT_MAX_PIXELS", "2000")
    with pytest.raises(ImageError, match="would have 90x30 pixels when extended, more than 0 MP"):
        inpaint.fill(rgb, extend=(50, 0, 0, 0), model="telea")


def test_a_margin_larger_than_a_window_is_filled_in_windows(rgb):
    filled = inpaint.fill(rgb, extend=(0, 0, 150, 20), window=64, model="telea")
    assert len(filled.windows) > 1
    assert filled.array.shape == (50, 190, 3)
    assert filled.array[:, 40:].std(0).any()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("1", "png"), ("L", "png"), ("P", "png"), ("LA", "png"), ("RGBA", "png"), ("I;16", "png"),
     ("CMYK", "jpg"), ("L", "jpg"), ("RGB", "webp"), ("RGBA", "tif")],
)  # fmt: skip
def test_every_kind_of_file_is_extended(rgb, tmp_path, mode, kind):
    image = Image.fromarray(rgb).convert("L" if mode == "I;16" else mode.replace("P", "RGB"))
    if mode == "P":
        image = image.quantize(16)
        image.info["transparency"] = image.getpixel((0, 0))
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(np.tile(np.arange(40, dtype=np.uint8), (30, 1))))
    image.convert(mode).save(path := tmp_path / f"a.{kind}")
    result = INVOKE(
        main, ["fill", f"{path}", "--extend", "4,0,0,6", "--model", "telea", "--verify"]
    )
    assert result.exit_code == 0, result.output
    before, after = (images.read_photo(tmp_path / name) for name in (path, f"a.filled.{kind}"))
    assert (after.size, after.mode) == ((36, 44), before.mode)
    if after.lossless:
        assert np.array_equal(after.pixels[:30, 4:], before.pixels)
    if after.alpha is not None:
        assert min(after.alpha[:, :4].min(), after.alpha[30:].min()) == 1, "a clear margin"


@pytest.mark.parametrize("order", "<>")
def test_metadata_says_the_new_size_and_no_places(rgb, tmp_path, order):
    for kind in ("jpg", "png", "webp"):
        path, out = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}"
        chunk = PngInfo()
        chunk.add_itxt("XML:com.adobe.xmp", XMP.decode())
        Image.fromarray(rgb).save(path, exif=add_exif(order), xmp=XMP, pnginfo=chunk)
        inpaint.fill(path, extend=(10, 0, 0, 5), model="telea").save(out, overwrite=True)
        with Image.open(out) as image:
            exif, xmp = image.getexif(), image.info["xmp"]
            camera = exif.get_ifd(ExifTags.IFD.Exif)
        assert (exif[ExifTags.Base.Make], exif[ExifTags.Base.ImageWidth]) == ("camera", 50)
        assert camera == {
            ExifTags.Base.ExifImageWidth: 50,
            ExifTags.Base.ExifImageHeight: 35,
            ExifTags.Base.LensModel: "lens",
        }
        assert b'PixelXDimension="50"' in xmp
        assert b"PixelYDimension>35<" in xmp
        assert b'ImageLength="35"' in xmp
        assert b"kept" in xmp
        assert b"face" not in xmp


def test_tags_of_tiff_lose_what_would_be_false(rgb, tmp_path):
    path, out = tmp_path / "a.tif", tmp_path / "b.tif"
    exif = Image.Exif()
    exif.load(add_exif().tobytes())  # only now it has the tag of its directory
    Image.fromarray(rgb).save(path, exif=exif)
    before = images.read_photo(path)
    inpaint.fill(before, extend=(10, 0, 0, 5), model="telea").save(out)
    with Image.open(out) as image:
        exif = image.getexif()
        camera = exif.get_ifd(ExifTags.IFD.Exif)
    assert image.size == (50, 35)
    assert exif[ExifTags.Base.Make] == "camera"
    assert camera[ExifTags.Base.LensModel] == "lens"
    assert not {*camera} & {ExifTags.Base.ExifImageWidth, SUBJECT_AREA}
    kept = before.keep["tags"].get_ifd(ExifTags.IFD.Exif)
    assert kept[ExifTags.Base.ExifImageWidth] == 40, "the source's own tags changed"


def test_a_jpeg_says_that_all_of_it_is_compressed_again(rgb, tmp_path):
    Image.fromarray(rgb).save(path := tmp_path / "a.jpg")
    result = INVOKE(main, ["fill", f"{path}", "--extend", "8,0,0,0", "--model", "telea"])
    assert "compressed again, for its canvas is larger" in result.output


def test_a_card_and_a_folder_job_repeat_it(rgb, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    Image.fromarray(rgb).save(photos / "a.png")
    job = ["infer", f"{photos}", "-o", f"{out}", "--model", "telea", "--card", "--extend"]
    assert "1 filled" in INVOKE(main, [*job, "0,0,25%,0"]).output
    card = out / "a.png.card.json"
    assert json.loads(card.read_text())["options"]["extend"] == [0, 0, "25%", 0]
    again = tmp_path / "again.png"
    result = INVOKE(main, ["fill", "--from-card", f"{card}", "-o", f"{again}"])
    assert result.exit_code == 0, result.output
    assert images.read_photo(again).size == (30, 50)
    assert "1 kept" in INVOKE(main, [*job, "0,0,25%,0"]).output
    assert "1 filled" in INVOKE(main, [*job, "0,0,10,0"]).output, "other margins, another result"


def test_the_command_line_refuses_what_is_no_margin(rgb, tmp_path):
    Image.fromarray(rgb).save(path := tmp_path / "a.png")
    result = INVOKE(main, ["fill", f"{path}", "--extend", "1,2,3"])
    assert result.exit_code == 2
    assert "give left,top,right,bottom" in result.output


def test_models_are_compared_on_the_larger_canvas(rgb, tmp_path):
    Image.fromarray(rgb).save(path := tmp_path / "a.png")
    Image.fromarray(np.pad(rgb, ((0, 0), (0, 10), (0, 0)), "edge")).save(tmp_path / "truth.png")
    command = ["compare", f"{path}", "telea", "--extend", "0,0,10,0", "--truth"]
    result = INVOKE(main, [*command, f"{tmp_path / 'truth.png'}"])
    assert result.exit_code == 0, result.output
    assert "psnr" in result.output
    result = INVOKE(main, [*command, f"{path}", "--overwrite"])
    assert "a.png, extended, is 50x30; make them equal" in result.output
