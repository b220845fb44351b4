"""Sound pictures to start from: every format that is decoded, in the forms that exist of it."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from PIL import Image

_TAG_ORIENTATION, _TAG_MODEL = 0x0112, 0x0110


@dataclass(frozen=True, kw_only=True)
class SeedPicture:
    """Encoded bytes. name: format and form, "png-palette". format: JPEG, PNG, WebP, TIFF, BMP."""

    name: str
    format: str
    data: bytes


def seed_pictures() -> list[SeedPicture]:
    """Return them all; the same bytes every time for one version of Pillow."""
    return [
        SeedPicture(name=f"{format_name.lower()}-{form}", format=format_name, data=data)
        for format_name, forms in (
            ("JPEG", _jpeg()),
            ("PNG", _png()),
            ("WebP", _webp()),
            ("TIFF", _tiff()),
            ("BMP", _bmp()),
        )
        for form, data in forms.items()
    ]


def scene(mode: str, width: int = 61, height: int = 43) -> Image.Image:
    """Return a picture with slopes, edges and noise."""
    draw = np.random.default_rng(len(mode))
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([4 * columns, 5 * rows, 3 * (rows + columns), 255 - rows], axis=-1)
    pixels[height // 3 : height // 2, width // 4 : width // 2] = (240, 20, 60, 128)
    pixels += draw.integers(0, 12, pixels.shape)
    picture = Image.fromarray((pixels % 256).astype(np.uint8), "RGBA")
    if mode == "I;16":
        return Image.fromarray((pixels[..., 0] * 257 % 65536).astype(np.uint16))
    return picture.convert("RGB").convert(mode) if mode != "RGBA" else picture


def _encoded(picture: Image.Image, format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format_name, **options)
    return buffer.getvalue()


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[_TAG_ORIENTATION] = orientation
    exif[_TAG_MODEL] = "a camera of some name"
    return exif.tobytes()


def _jpeg() -> dict[str, bytes]:
    rgb = scene("RGB")
    return {
        "baseline": _encoded(rgb, "JPEG", quality=80),
        "444": _encoded(rgb, "JPEG", quality=95, subsampling=0),
        "progressive": _encoded(rgb, "JPEG", progressive=True, optimize=True),
        "grey": _encoded(scene("L"), "JPEG"),
        "cmyk": _encoded(scene("CMYK"), "JPEG"),
        "restarts": _encoded(rgb, "JPEG", restart_marker_rows=1),
        "exif": _encoded(rgb, "JPEG", exif=_exif(6), icc_profile=b"p" * 300, comment=b"hello"),
        "mpo": _encoded(rgb, "MPO", save_all=True, append_images=[scene("RGB", 30, 20)]),
        "large": _encoded(scene("RGB", 700, 500), "JPEG", quality=60),
    }


def _png() -> dict[str, bytes]:
    palette = scene("RGB").quantize(16)
    return {
        "rgb": _encoded(scene("RGB"), "PNG"),
        "rgba": _encoded(scene("RGBA"), "PNG"),
        "grey": _encoded(scene("L"), "PNG"),
        "grey-alpha": _encoded(scene("LA"), "PNG"),
        "one-bit": _encoded(scene("1"), "PNG"),
        "palette": _encoded(palette, "PNG", transparency=3),
        "deep-grey": _encoded(scene("I;16"), "PNG"),
        "exif": _encoded(scene("RGB"), "PNG", exif=_exif(8), dpi=(72, 72)),
        "animated": _encoded(
            scene("RGB"), "PNG", save_all=True, append_images=[scene("RGB").rotate(9)]
        ),
    }


def _webp() -> dict[str, bytes]:
    return {
        "lossy": _encoded(scene("RGB"), "WEBP", quality=60),
        "lossless": _encoded(scene("RGB"), "WEBP", lossless=True),
        "alpha": _encoded(scene("RGBA"), "WEBP", quality=60),
        "exif": _encoded(scene("RGB"), "WEBP", exif=_exif(3)),
        "animated": _encoded(
            scene("RGB"), "WEBP", save_all=True, append_images=[scene("RGB").rotate(9)]
        ),
    }


def _tiff() -> dict[str, bytes]:
    rgb = scene("RGB")
    found = {
        name: _encoded(rgb, "TIFF", compression=compression)
        for name, compression in (
            ("raw", None),
            ("lzw", "tiff_lzw"),
            ("deflate", "tiff_adobe_deflate"),
            ("packbits", "packbits"),
            ("jpeg", "jpeg"),
        )
    }
    return found | {
        "fax": _encoded(scene("1"), "TIFF", compression="group4"),
        "grey": _encoded(scene("L"), "TIFF"),
        "palette": _encoded(rgb.quantize(16), "TIFF"),
        "deep-grey": _encoded(scene("I;16"), "TIFF"),
        "cmyk": _encoded(scene("CMYK"), "TIFF"),
        "turned": _encoded(rgb, "TIFF", tiffinfo={_TAG_ORIENTATION: 5}),
        "pages": _encoded(rgb, "TIFF", save_all=True, append_images=[scene("L", 20, 10)]),
        "big-endian": _big_endian_tiff(),
        **_planar_and_inverted_tiff(),
    }


def _planar_and_inverted_tiff() -> dict[str, bytes]:
    """Pillow writes none of these."""
    rgb = np.asarray(scene("RGB"))
    deep, planes = rgb.astype(np.uint16) * 257, rgb.transpose(2, 0, 1)
    small = np.ascontiguousarray(rgb[:16, :16])
    tiled = {"photometric": "rgb", "tile": (16, 16), "compression": "deflate"}
    preview = {"photometric": "rgb", "subfiletype": 1}
    pages: dict[str, list[tuple[np.ndarray, dict[str, Any]]]] = {
        "planar": [(planes, {"photometric": "rgb", "planarconfig": "separate"})],
        "planar-tiles": [(planes, {**tiled, "planarconfig": "separate"})],
        "deep-rgb": [(deep, {**tiled, "predictor": True})],
        "deep-inverted": [(deep[..., 0], {"photometric": "miniswhite", "compression": "lzw"})],
        "thumbnail": [(small, preview), (rgb, {"photometric": "rgb", "rowsperstrip": 5})],
        "sub-directory": [(small, {**preview, "subifds": 1}), (rgb, {"photometric": "rgb"})],
        "jpeg-tiles": [(rgb, {**tiled, "compression": "jpeg"})],
    }
    found = {}
    for name, written in pages.items():
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer) as writer:
            for pixels, options in written:
                writer.write(pixels, metadata=None, **options)
        found[name] = buffer.getvalue()
    return found


def _big_endian_tiff(width: int = 20, height: int = 14) -> bytes:
    """Pillow writes none: a grey one by hand."""
    short, long = 3, 4
    entries = (
        (256, short, width << 16),
        (257, short, height << 16),
        (258, short, 8 << 16),
        (259, short, 1 << 16),
        (262, short, 1 << 16),
        (273, long, 8),
        (277, short, 1 << 16),
        (278, short, height << 16),
        (279, long, width * height),
    )
    directory = b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in entries)
    pixels = bytes(column * 9 % 256 for _ in range(height) for column in range(width))
    start = 8 + len(pixels)
    head = struct.pack(">2sHI", b"MM", 42, start)
    return head + pixels + struct.pack(">H", len(entries)) + directory + bytes(4)


def _bmp() -> dict[str, bytes]:
    return {
        "rgb": _encoded(scene("RGB"), "BMP"),
        "rgba": _encoded(scene("RGBA"), "BMP"),
        "grey": _encoded(scene("L"), "BMP"),
        "palette": _encoded(scene("RGB").quantize(16), "BMP"),
        "one-bit": _encoded(scene("1"), "BMP"),
        "run-lengths": _run_length_bmp(),
    }


def _run_length_bmp(width: int = 24, height: int = 10) -> bytes:
    """Pillow writes none: rows of two runs each, by hand."""
    palette = b"".join(bytes((i, 255 - i, i // 2, 0)) for i in range(256))
    line = bytes((width // 2, 7, width - width // 2, 200, 0, 0))
    data = line * height + b"\x00\x01"
    offset = 14 + 40 + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 2835, 2835, 256, 0)
    return struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset) + info + palette + data
