"""What would still show a photo as it was: pictures in its metadata, and claims about them.

Previews and layers are dropped, or overwritten with zeros where they lie between other things
that must not move. Whatever cannot be read as what it should be is dropped too.
"""

import binascii
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree

JPEG_START = re.compile(rb"\xff\xd8\xff[\xc0-\xcf\xdb\xdd\xe0-\xef\xfe]")
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
BASE64 = (b"/9j/", b"iVBORw0KGgo", b"UklGR")  # JPEG, PNG and WebP as XML holds them
LONG = 64  # characters of base64 or hexadecimal that may be a picture
RESOURCES = {0x0409, 0x040C, 0x0422, 0x0423, 0x0424}  # of Photoshop: previews, EXIF, XMP
LAYER_TAG = 37724  # of TIFF: Photoshop's layers, which it opens in place of the picture
NAMESPACES = {  # of XMP, with the names in them that hold or claim another picture; None: all
    b"http://ns.adobe.com/xap/1.0/": (b"Thumbnails",),
    b"http://ns.adobe.com/xap/1.0/g/img/": None,
    b"http://ns.adobe.com/xmp/note/": (b"HasExtendedXMP",),
    b"http://ns.adobe.com/hdr-gain-map/1.0/": None,
    b"http://ns.apple.com/HDRGainMap/1.0/": None,
    b"http://ns.google.com/photos/1.0/container/": None,
    b"http://ns.google.com/photos/1.0/container/item/": None,
    b"http://ns.google.com/photos/1.0/image/": None,
    b"http://ns.google.com/photos/1.0/depthmap/": None,
    b"http://ns.google.com/photos/dd/1.0/device/": None,
    b"http://ns.google.com/photos/1.0/camera/": (
        *(b"MotionPhoto", b"MotionPhotoVersion", b"MotionPhotoPresentationTimestampUs"),
        *(b"MicroVideo", b"MicroVideoVersion", b"MicroVideoOffset"),
        b"MicroVideoPresentationTimestampUs",
    ),
}
PLACES = {  # of XMP: names that say where in the picture something is, or what it is cut from
    b"http://ns.adobe.com/exif/1.0/": (b"SubjectArea", b"SubjectLocation"),
    b"http://www.metadataworkinggroup.com/schemas/regions/": None,
    b"http://ns.microsoft.com/photo/1.2/": (b"RegionInfo",),
    b"http://ns.google.com/photos/1.0/panorama/": None,
}
CLAIMS = {  # words of XMP by what the file then has beside the picture
    "gain map": (b"hdr-gain-map/1.0/", b"HDRGainMap/1.0/"),
    "video": (b"MotionPhoto", b"MicroVideo"),
    "depth map": (b"photos/1.0/depthmap/", b"photos/dd/1.0/device/"),
    "second picture": (b"photos/1.0/image/",),
}


def erase_pictures(body: bytearray) -> None:
    """Overwrite every JPEG and PNG in `body` with zeros."""
    while found := JPEG_START.search(body):
        stop = jpeg_end(body, found.start())
        body[found.start() : stop] = bytes(stop - found.start())
    while (at := body.find(PNG_START)) >= 0:
        end = body.find(PNG_END, at)
        stop = len(body) if end < 0 else end + len(PNG_END)
        body[at:stop] = bytes(stop - at)


def jpeg_end(body: bytearray, at: int) -> int:
    """Return where the JPEG that begins at `at` ends, by its segments, or else all ends."""
    at += 2
    while at + 4 <= len(body) and body[at] == 0xFF and body[at + 1] != 0xD9:
        at += 2 + int.from_bytes(body[at + 2 : at + 4], "big")
        if body[at : at + 1] != b"\xff":  # a scan, up to a marker that is none of its own
            scan = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]").search(body, at)
            at = scan.start() if scan else len(body)
    return min(at + 2, len(body))


def holds_picture(data: bytes) -> bool:
    """Whether there is a picture in `data`, as it is, in base64 or in hexadecimal."""
    if JPEG_START.search(data) or any(s in data for s in (PNG_START, b"WEBPVP8", b"8BIMLayr")):
        return True
    flat = re.sub(rb"\s|&#x[aAdD];", b"", data)
    text = any(re.search(re.escape(start) + rb"[A-Za-z0-9+/]{%d}" % LONG, flat) for start in BASE64)
    return text or bool(re.search(rb"(?i)(ffd8ff|89504e470d0a1a0a)[0-9a-f]{%d}" % LONG, flat))


def scrub_xmp(xmp: bytes) -> bytes:
    """Return the packet without embedded pictures and claims about others; empty if damaged."""
    xmp = drop_names(xmp, NAMESPACES)
    try:
        ElementTree.fromstring(xmp.strip(b"\0 \r\n\t"))
    except (ElementTree.ParseError, ValueError, LookupError):
        return b""
    return b"" if holds_picture(xmp) else xmp


def drop_places(xmp: bytes) -> bytes:
    """Return the packet without places in the picture, such as those of faces."""
    return scrub_xmp(drop_names(xmp, PLACES))


def drop_names(xmp: bytes, namespaces: Mapping[bytes, Sequence[bytes] | None]) -> bytes:
    """Return the packet without attributes and elements of some names, or of all in a namespace."""
    for uri, names in namespaces.items():
        for prefix in re.findall(rb"xmlns:([\w.-]+)\s*=\s*[\"']" + re.escape(uri) + rb"[\"']", xmp):
            chosen = rb"[\w.-]+" if names is None else b"|".join(names)
            name = rb"(?P<name>" + re.escape(prefix) + rb":(?:" + chosen + rb"))(?![\w.-])"
            xmp = re.sub(rb"\s+" + name + rb"\s*=\s*(?:\"[^\"]*\"|'[^']*')", b"", xmp)
            xmp = re.sub(rb"<" + name + rb"(?:\s[^<>]*)?/>", b"", xmp)
            xmp = re.sub(rb"<" + name + rb"(?:\s[^<>]*)?>.*?</(?P=name)\s*>", b"", xmp, flags=re.S)
    return xmp


def claims_of(xmp: bytes) -> list[str]:
    """Return what the packet says that the file holds beside the picture."""
    return [kind for kind, words in CLAIMS.items() if any(word in xmp for word in words)]


def scrub_resources(block: bytes) -> bytes:
    """Return Photoshop's resources without those that hold a picture; empty if damaged."""
    kept, at = bytearray(), 0
    while at + 12 <= len(block):
        if block[at : at + 4] not in (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR"):
            return b""
        (number,) = struct.unpack_from(">H", block, at + 4)
        name = block[at + 6] + 1
        size_at = at + 6 + name + name % 2
        if size_at + 4 > len(block):
            return b""
        (size,) = struct.unpack_from(">I", block, size_at)
        end = size_at + 4 + size
        if end > len(block):
            return b""
        if number not in RESOURCES and not holds_picture(block[size_at + 4 : end]):
            kept += block[at:end] + bytes(size % 2)
        at = end + size % 2
    return bytes(kept)


PHOTOSHOP = b"Photoshop 3.0\0"  # how such a segment of a JPEG begins


def scrub_segments(segments: list[bytes]) -> bytes:
    """Return the APP13 segments of a JPEG, whole, without pictures in them."""
    block = b"".join(each.removeprefix(PHOTOSHOP) for each in segments if PHOTOSHOP in each[:14])
    others = [each for each in segments if PHOTOSHOP not in each[:14] and not holds_picture(each)]
    kept = scrub_resources(block)
    step = 65000
    parts = [PHOTOSHOP + kept[at : at + step] for at in range(0, len(kept), step)]
    return b"".join(
        b"\xff\xed" + struct.pack(">H", len(part) + 2) + part for part in (*parts, *others)
    )


def scrub_chunks(chunks: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG that hold no picture; XMP in them is cleaned."""
    for kind, body in chunks:
        keyword, text = chunk_text(kind, body)
        if keyword == b"XML:com.adobe.xmp":
            if xmp := scrub_xmp(text):
                yield b"iTXt", keyword + bytes(5) + xmp
        elif keyword in (b"Raw profile type exif", b"Raw profile type APP1"):
            continue  # Pillow gives this as EXIF
        elif not (holds_picture(text) or b"3842494d0409" in text or b"3842494d040c" in text):
            yield kind, body


def chunk_text(kind: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Return the keyword of a text chunk and its text, unpacked; of others all that is in it."""
    keyword, _, rest = body.partition(b"\0")
    packed = kind == b"zTXt" or (kind == b"iTXt" and rest[:1] == b"\1")
    if kind == b"iTXt":
        rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif kind == b"zTXt":
        rest = rest[1:]
    elif kind != b"tEXt":
        return b"", body
    if packed:
        try:
            rest = zlib.decompressobj().decompress(rest, 1 << 24)
        except zlib.error:
            rest = PNG_START  # damaged: what it holds is not known
    return keyword, rest


def decode_raw_profile(text: str) -> bytes:
    """Return the bytes of a "Raw profile type" text: its name, its length, and hexadecimal."""
    try:
        return binascii.unhexlify("".join(text.split("\n")[3:]).strip())
    except (ValueError, binascii.Error):
        return b""
