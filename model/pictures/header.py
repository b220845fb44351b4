"""What a picture's first bytes tell: its format and size, without a decoder.

The front end judges every upload by this, so the work is bounded whatever the bytes say, and
nothing here allocates by a number that a stranger wrote.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from model.pictures.errors import ImageError, UnsupportedImageError
from model.pictures.exif import EXIF_MARKER, exif_orientation
from model.pictures.jpeg_segments import JPEG_LS, frame_position, jpeg_segments
from model.pictures.tiff_pages import HEIGHT, ORIENTATION, WIDTH, TiffPage, picture_page

# A PNG of 32 MiB in libpng's pieces of 8 KiB has a quarter of that.
_MAX_CHUNKS = 16384

_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)
_FOREIGN_MAGIC = (
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"%PDF", "PDF"),
    (b"8BPS", "Photoshop"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"II+\x00", "BigTIFF"),
    (b"MM\x00+", "BigTIFF"),
    (b"DDS ", "DDS"),
    (b"II\xbc\x01", "JPEG XR"),
    (b"IIRO", "camera raw (ORF)"),
    (b"IIRS", "camera raw (ORF)"),
    (b"IIU\x00", "camera raw (RW2)"),
    (b"FUJIFILMCCD-RAW", "camera raw (RAF)"),
    (b"FOVb", "camera raw (X3F)"),
    (b"BPG\xfb", "BPG"),
    (b"farbfeld", "farbfeld"),
    (b"icns", "ICNS"),
    (b"SIMPLE  =", "FITS"),
    *((b"P%d%c" % (kind, space), "PNM") for kind in range(1, 8) for space in b" \t\r\n"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"qoif", "QOI"),
    (b"\x1aE\xdf\xa3", "WebM or Matroska video"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})

_WEBP_HAS_EXIF = 0x08
_ADVICE = "send JPEG, PNG, WebP, BMP or TIFF"


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """A picture's format (JPEG, PNG, WebP, BMP, TIFF) and its size as stored, in pixels.

    orientation: EXIF's, 1 to 8; 1 where the picture gives none.
    """

    format: str
    height: int
    width: int
    orientation: int = 1

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width once the orientation is applied: 5 to 8 transpose the picture."""
        size = self.height, self.width
        return size if self.orientation < 5 else size[::-1]


def read_header(data: bytes) -> ImageHeader:
    """Return format, stored size and orientation; no pixel is decoded.

    Raises:
        UnsupportedImageError: another format, which the message names.
        ImageError: not a picture, or one that ends inside its header.
    """
    name = _format_of(data)
    orientation = 1
    try:
        if name == "TIFF":
            page = picture_page(data)
            height, width = _tiff_size(page)
            orientation = page.number(ORIENTATION, 1)
        else:
            height, width = _SIZE_READERS[name](data)
    except (struct.error, IndexError):
        raise ImageError(f"the {name} picture is truncated inside its header") from None
    if name in _EXIF_FINDERS:
        orientation = exif_orientation(_EXIF_FINDERS[name](data))
    if not 1 <= orientation <= 8:
        orientation = 1
    if height < 1 or width < 1:
        raise ImageError(f"the {name} header gives a size of {width}×{height}, which has no pixels")
    return ImageHeader(format=name, height=height, width=width, orientation=orientation)


def _format_of(data: bytes) -> str:
    if not data:
        raise ImageError("the picture is empty: 0 bytes")
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    foreign = _foreign_format(data)
    if foreign:
        raise UnsupportedImageError(f"this seems to be {foreign}; " + _ADVICE)
    raise ImageError("the bytes are no picture that we know; " + _ADVICE)


def _foreign_format(data: bytes) -> str | None:
    for magic, name in _FOREIGN_MAGIC:
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        if brand in _HEIF_BRANDS:
            return "HEIC"
        if brand == b"crx ":
            return "camera raw (CR3)"
        return "AVIF" if brand in (b"avif", b"avis") else "MP4 video"
    start = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<svg", b"<?xml")):
        return "SVG or XML"
    return "HTML" if start.startswith((b"<!doctype html", b"<html")) else None


def _jpeg(data: bytes) -> tuple[int, int]:
    marker, position = frame_position(data)
    if marker == JPEG_LS:
        raise UnsupportedImageError("this seems to be JPEG-LS; " + _ADVICE)
    _, bits, height, width = struct.unpack_from(">HBHH", data, position)
    if bits != 8 or marker not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA):
        raise UnsupportedImageError(
            f"a JPEG of {bits} bits and frame type {marker - 0xC0} is not decoded here; "
            "send baseline or progressive JPEG of 8 bits"
        )
    return height, width


def _jpeg_exif(data: bytes) -> bytes:
    try:
        for marker, position in jpeg_segments(data):
            body = position + 2
            if marker == 0xE1 and data.startswith(EXIF_MARKER, body):
                return data[body : position + int.from_bytes(data[position:body])]
    except (struct.error, IndexError, ImageError):  # cut off; the decoder will say so
        pass
    return b""


def _png(data: bytes) -> tuple[int, int]:
    _, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    if kind != b"IHDR":
        raise ImageError("the PNG picture does not begin with its header chunk")
    return height, width


def _png_exif(data: bytes) -> bytes:
    position = 8
    for _ in range(_MAX_CHUNKS):
        head = data[position : position + 8]
        if len(head) < 8 or head[4:] == b"IEND":
            break
        length = int.from_bytes(head[:4])
        if head[4:] == b"eXIf":
            return data[position + 8 : position + 8 + length]
        position += 12 + length
    return b""


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, 24)
        return 1 + low_height + (high_height << 16), 1 + low_width + (high_width << 16)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return ((bits >> 14) & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    if kind != b"VP8 ":
        raise ImageError("the WebP picture does not begin with a picture chunk")
    return height & 0x3FFF, width & 0x3FFF


def _webp_exif(data: bytes) -> bytes:
    if data[12:16] != b"VP8X" or not data[20] & _WEBP_HAS_EXIF:
        return b""
    position = 30
    for _ in range(_MAX_CHUNKS):
        head = data[position : position + 8]
        if len(head) < 8:
            break
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"EXIF":
            return data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
    return b""


def _bmp(data: bytes) -> tuple[int, int]:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return height, width
    if header_bytes not in (16, 40, 52, 56, 64, 108, 124):
        raise ImageError(f"no BMP picture has a header of {header_bytes} bytes")
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(height), width  # a negative height means rows from top to bottom


def _tiff_size(page: TiffPage) -> tuple[int, int]:
    height, width = page.number(HEIGHT, -1), page.number(WIDTH, -1)
    if height < 0 or width < 0:
        raise ImageError("the TIFF picture's directory gives no size")
    return height, width


_SIZE_READERS = {"JPEG": _jpeg, "PNG": _png, "WebP": _webp, "BMP": _bmp}
_EXIF_FINDERS = {"JPEG": _jpeg_exif, "PNG": _png_exif, "WebP": _webp_exif}
