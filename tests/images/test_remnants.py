"""What was removed is gone from the file: its bytes and every picture in them are searched."""

import base64
import io
import re
import struct
import zlib

import cv2
import numpy as np
import pytest
import skimage
import tifffile
from PIL import Image, PngImagePlugin

from inpaint_cli.images import encode, read_photo
from inpaint_cli.images.deep import PNG_MAGIC, encode_png, png_chunk, png_chunks
from inpaint_cli.images.exif import upright
from inpaint_cli.images.remnants import scrub_resources, scrub_xmp

MARK = (255, 0, 255)  # the colour of what is to go
PHOTO = skimage.data.astronaut()[:96, 100:228].copy()  # [96, 128, 3]
PHOTO[..., 1] = np.maximum(PHOTO[..., 1], 60)
HOLE = np.zeros((96, 128), np.bool_)
HOLE[16:80, 32:96] = True
PHOTO[HOLE] = MARK
SMALL = Image.fromarray(PHOTO).resize((64, 48))


def saved(image: Image.Image, format: str, **settings) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **settings)
    return out.getvalue()


JPEG, PNG = saved(SMALL, "JPEG", quality=80), saved(SMALL, "PNG")
RAW = np.asarray(SMALL).tobytes()


def exif(order: str = "<") -> bytes:
    """A block whose preview is a JPEG, whose second preview is plain pixels, and a maker note.

    The maker note has a JPEG with a preview of its own between values that must stay.
    """
    nested = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(JPEG) + 2) + JPEG + JPEG[2:]
    parts: list[bytes] = [b"MAKER\0\1\2" + nested + b"END OF NOTE!", JPEG, RAW, b"Somebody\0"]
    at, places = 400, []
    for part in parts:
        places.append(at)
        at += len(part) + len(part) % 2
    note, first, second, artist = places

    def directory(entries: list[tuple[int, int, int, int]], following: int) -> bytes:
        packed = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
        return struct.pack(order + "H", len(entries)) + packed + struct.pack(order + "I", following)

    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    main = directory([(0x013B, 2, 9, artist), (0x8769, 4, 1, 60)], 100)
    camera = directory([(0x927C, 7, len(parts[0]), note)], 0)
    preview = directory([(0x0201, 4, 1, first), (0x0202, 4, 1, len(JPEG))], 200)
    plain = directory([(0x0111, 4, 1, second), (0x0117, 4, 1, len(RAW))], 0)
    block = bytearray(400)
    for start, part in ((0, head + main), (60, camera), (100, preview), (200, plain)):
        block[start : start + len(part)] = part
    for start, part in zip(places, parts, strict=True):
        block += bytes(start - len(block)) + part
    return b"Exif\0\0" + bytes(block)


XMP = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:g="http://ns.adobe.com/xap/1.0/g/img/"
 xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"
 xmlns:xmpNote="http://ns.adobe.com/xmp/note/"
 xmlns:GImage="http://ns.google.com/photos/1.0/image/"
 xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:Container="http://ns.google.com/photos/1.0/container/"
 xmlns:Item="http://ns.google.com/photos/1.0/container/item/"
 hdrgm:Version="1.0" GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"
 GCamera:SpecialTypeID="portrait" xmp:CreatorTool="Tool" xmpNote:HasExtendedXMP="0123"
 GImage:Mime="image/jpeg" GImage:Data="%s">
<xmp:Thumbnails><rdf:Alt><rdf:li rdf:parseType="Resource"><g:format>JPEG</g:format>
<g:image>%s</g:image></rdf:li></rdf:Alt></xmp:Thumbnails>
<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item
 Item:Mime="image/jpeg" Item:Semantic="GainMap"/></rdf:li></rdf:Seq></Container:Directory>
<dc:title>A title</dc:title></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""" % (
    base64.b64encode(JPEG),
    base64.encodebytes(JPEG).replace(b"\n", b"&#xA;"),
)


def resource(number: int, data: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + bytes(len(data) % 2)


CAPTION = resource(0x0404, b"\x1c\x02\x78\0\x05hello")
RESOURCES = (
    resource(0x0409, bytes(28) + JPEG)
    + CAPTION
    + resource(0x040C, bytes(28) + JPEG)
    + resource(0x0422, exif()[6:])
    + resource(0x0424, XMP)
    + resource(4000, b"of a plug-in" + JPEG)
)
LAYERS = b"Adobe Photoshop Document Data Block\0MIB8ryaL" + RAW


def jpeg(**settings) -> bytes:
    """With EXIF, XMP, Photoshop's resources, a second picture, a video and a comment."""
    mode = settings.pop("mode", "RGB")
    image = Image.fromarray(PHOTO).convert(mode)
    source = saved(image, "JPEG", quality=90, exif=exif(), comment=b"hello", **settings)
    segments = b""
    for marker, body in (
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        (0xE2, b"MPF\0" + b"II*\0" + bytes(20)),
        (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40) + base64.b64encode(JPEG)),
        (0xED, b"Photoshop 3.0\0" + RESOURCES[:30000]),
        (0xED, b"Photoshop 3.0\0" + RESOURCES[30000:]),
        (0xE0, b"JFXX\0\x10" + JPEG),
        (0xEB, b"private" + JPEG),
    ):
        segments += struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
    return source[:2] + segments + source[2:] + JPEG + b"\0\0\0\x18ftypmp42" + PNG


def png(**settings) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "A title")
    info.add_text("Thumb", base64.b64encode(PNG).decode())
    info.add_text("Packed", base64.b64encode(PNG).decode(), zip=True)
    info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=settings.pop("packed", False))
    hexed = RESOURCES.hex()
    info.add_text("Raw profile type 8bim", f"\n8bim\n{len(RESOURCES):8}\n{hexed}\n", zip=True)
    if settings.pop("raw_exif", False):
        block = exif()
        text = f"\nexif\n{len(block):8}\n{block.hex()}\n"
        info.add_text("Raw profile type exif", text, zip=True)
    else:
        settings["exif"] = exif(">")
    source = saved(Image.fromarray(PHOTO), "PNG", pnginfo=info, **settings)
    at = source.index(b"IDAT") - 4
    kept = [(b"mDCV", bytes(24)), (b"cLLI", bytes(8)), (b"bKGD", bytes(6)), (b"oFFs", bytes(9))]
    late = [*kept, (b"tIME", b"\x07\xe0\1\1\1\1\1"), (b"caBX", b"jumb" + JPEG), (b"prVt", PNG)]
    return source[:at] + b"".join(png_chunk(*chunk) for chunk in late) + source[at:]


def deep_png() -> bytes:
    return encode_png(PHOTO.astype(np.uint16) * 257, png())


def tiff(pixels: np.ndarray = PHOTO, **settings) -> bytes:
    """With Photoshop's layers and resources, XMP, a private tag, pages and a smaller picture."""
    tags = [
        (37724, 7, len(LAYERS), LAYERS, True),
        (34377, 1, len(RESOURCES), RESOURCES, True),
        (700, 1, len(XMP), XMP, True),
        (65001, 7, len(JPEG), JPEG, True),
        (270, 2, 8, "A title\0", True),
    ]
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        photometric = "rgb" if pixels.ndim == 3 else "minisblack"
        how = {"photometric": photometric, "metadata": None, **settings}
        writer.write(pixels, extratags=tags, subifds=1, **how)
        writer.write(pixels[::2, ::2], subfiletype=1, **how)
        writer.write(pixels, **how)
    return out.getvalue()


def gif() -> bytes:
    image = Image.fromarray(PHOTO).quantize(64)
    comment = base64.b64encode(JPEG)[:200]
    source = saved(image, "GIF", save_all=True, append_images=[image.rotate(180)], comment=comment)
    return source[:-1] + b"!\xff\x0bXMP DataXMP" + b"\0" + b";" + JPEG


FORMATS = {
    "JPEG": lambda: jpeg(),
    "progressive JPEG": lambda: jpeg(progressive=True, subsampling=0),
    "gray JPEG": lambda: jpeg(mode="L"),
    "CMYK JPEG": lambda: jpeg(mode="CMYK"),
    "PNG": lambda: png(),
    "PNG with packed XMP and raw EXIF": lambda: png(packed=True, raw_exif=True),
    "PNG of 16 bits": deep_png,
    "animated PNG": lambda: png(save_all=True, append_images=[Image.fromarray(PHOTO[::-1])]),
    "lossless WebP": lambda: saved(
        Image.fromarray(PHOTO), "WEBP", lossless=True, exif=exif(), xmp=XMP
    ),
    "lossy WebP": lambda: saved(Image.fromarray(PHOTO), "WEBP", exif=exif(">"), xmp=XMP),
    "AVIF": lambda: saved(Image.fromarray(PHOTO), "AVIF", exif=exif(), xmp=XMP),
    "TIFF": lambda: tiff(),
    "TIFF of 16 bits": lambda: tiff(PHOTO.astype(np.uint16) * 257),
    "gray TIFF": lambda: tiff(PHOTO[..., 0]),
    "TIFF with LZW": lambda: saved(Image.open(io.BytesIO(tiff())), "TIFF", compression="tiff_lzw"),
    "TIFF with JPEG": lambda: saved(Image.open(io.BytesIO(tiff())), "TIFF", compression="jpeg"),
    "BMP": lambda: saved(Image.fromarray(PHOTO), "BMP") + JPEG,
    "GIF": gif,
    "PPM": lambda: saved(Image.fromarray(PHOTO), "PPM") + JPEG,
    "TGA": lambda: saved(Image.fromarray(PHOTO), "TGA", compression="tga_rle") + JPEG,
    "JPEG 2000": lambda: saved(Image.fromarray(PHOTO), "JPEG2000") + JPEG,
}


def finds(data: bytes) -> list[str]:
    """Everything in a file that still shows the mark, by the place where it lies."""
    found = []
    texts = [base64.b64encode(JPEG), base64.b64encode(PNG), JPEG.hex().encode()]
    scan = JPEG[JPEG.index(b"\xff\xda") + 14 :]  # before it are tables that every JPEG has
    planted = {"JPEG": scan, "PNG": PNG[60:], "pixels": RAW[6000:]}
    planted |= {f"text {n}": text[400:] for n, text in enumerate(texts)}
    streams = [("", data)]
    if data.startswith(PNG_MAGIC):
        for kind, body in png_chunks(data):
            for at in range(len(body) if kind in (b"zTXt", b"iTXt") else 0):
                if body[at] in (0x78,):
                    try:
                        streams.append((kind.decode(), zlib.decompress(body[at:])))
                    except zlib.error:
                        continue
    for place, stream in streams:
        flat = re.sub(rb"\s|&#xA;", b"", stream)
        for kind, secret in planted.items():
            pieces = (secret[at : at + 24] for at in range(0, len(secret) - 24, 400))
            if any(len({*piece}) > 6 and (piece in stream or piece in flat) for piece in pieces):
                found.append(f"{kind} {place}")
        starts = (
            rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP|GIF8|II\*\0|MM\0\*|....ftyp|BM....\0\0\0\0"
        )
        for start in re.finditer(starts, stream, re.S):
            found += [
                f"{what} at {start.start()} {place}" for what in shown(stream[start.start() :])
            ]
    return found


def shown(data: bytes) -> list[str]:
    """The frames of a picture that can be decoded and that show the mark."""
    found = []
    try:
        image = Image.open(io.BytesIO(data))
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            pixels = np.asarray(image.convert("RGB")).astype(int)
            like = np.abs(pixels - MARK).max(-1) < 60
            if like.mean() > 0.02:
                found.append(f"frame {frame} of a {image.format} of {image.size}")
    except Exception:
        pass  # not a picture after all
    return found


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_in_the_file_shows_what_was_removed(kind: str):
    source = FORMATS[kind]()
    gray = kind.startswith("gray")
    if not gray:
        assert finds(source), "the search must be able to find something"
    photo = read_photo(source, name="p")
    colour = np.full((96, 128, 3), (0.2, 0.6, 0.3), np.float32)
    filled = photo.fill(colour, HOLE)
    for format in (None, *(["JPEG", "PNG", "TIFF", "WEBP", "AVIF"] if len(kind) < 5 else [])):
        written, _ = encode(filled, format)
        assert finds(written) == [], format
        again = read_photo(written)
        near = np.abs(again.crop(24, 40, 40, 40).mean((0, 1)) - colour[0, 0]).max() < 0.2
        assert near or gray or kind == "GIF"  # whose palette has no such colour


def test_what_stands_beside_the_pictures_stays():
    photo = read_photo(jpeg())
    assert b"Somebody" in photo.keep["exif"]
    assert b"MAKER\0\1\2" in photo.keep["exif"]
    assert b"END OF NOTE!" in photo.keep["exif"]
    assert len(photo.keep["exif"]) == len(exif())
    assert CAPTION in photo.keep["extra"]
    assert b"A title" in photo.keep["xmp"]
    for word in (b'SpecialTypeID="portrait"', b'CreatorTool="Tool"'):
        assert word in photo.keep["xmp"]
    for word in (b"hdrgm:Version", b"MotionPhoto", b"HasExtendedXMP", b"GainMap", b"Thumbnails"):
        assert word not in photo.keep["xmp"]
    (note,) = [note for note in photo.notes if "left out" in note]
    assert "gain map and a video and a second picture" in note
    tags = read_photo(tiff()).keep["tags"]
    assert tags[270].startswith("A title")
    assert tags[34377] == CAPTION
    assert 37724 not in tags


def test_png_chunks_about_colour_place_and_time_are_kept():
    written, notes = encode(read_photo(png()))
    kinds = [kind for kind, _ in png_chunks(written)]
    assert kinds[0] == b"IHDR"
    assert kinds[-1] == b"IEND"
    assert {b"mDCV", b"cLLI", b"bKGD", b"oFFs", b"tIME"} <= {*kinds[: kinds.index(b"IDAT")]}
    assert b"caBX" not in kinds
    assert "content credentials" in " ".join(read_photo(png()).notes)
    assert notes == ()
    sound = png().replace(png_chunk(b"caBX", b"jumb" + JPEG), png_chunk(b"caBX", b"jumb"))
    assert (b"caBX", b"jumb") in png_chunks(encode(read_photo(sound))[0])
    gray, _ = encode(read_photo(png()).fill(np.zeros((96, 128, 3), np.float32), HOLE), "GIF")
    assert read_photo(gray).mode == "P"
    assert cv2.imdecode(np.frombuffer(written, np.uint8), cv2.IMREAD_COLOR) is not None


@pytest.mark.parametrize("cut", range(0, 700, 7))
def test_damaged_blocks_are_dropped_or_clean(cut: int):
    block = exif()
    try:
        kept = upright(block[: len(block) - cut * 10])
    except ValueError:
        kept = b""
    assert not finds(kept)
    assert not finds(scrub_xmp(XMP[:-cut] if cut else XMP))
    assert not finds(scrub_resources(RESOURCES[:-cut] if cut else RESOURCES))
