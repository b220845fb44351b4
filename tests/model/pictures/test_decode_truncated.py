"""Pictures whose last bytes did not come: refused, or complete in every pixel."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from model.pictures.decode import ImageError, decode_image

CUTS = range(1, 31)
TAG_STRIP_OFFSETS, TAG_STRIP_BYTES = 273, 279
LONG = 4


def scene(mode: str = "RGB", width: int = 61, height: int = 43) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 30, (height, width, 3))
    slopes = np.arange(width)[:, None] * 3 + np.arange(height)[:, None, None]
    picture = Image.fromarray((slopes + noise).astype(np.uint8))
    if mode == "I;16":
        return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    return picture.quantize(16) if mode == "P" else picture.convert(mode)


def encode(format_name: str, mode: str = "RGB", width: int = 61, **options: object) -> bytes:
    buffer = io.BytesIO()
    scene(mode, width).save(buffer, format_name, **options)
    return buffer.getvalue()


def animated(format_name: str) -> bytes:
    return encode(format_name, save_all=True, append_images=[scene().rotate(9)])


def strip_at_the_end(tiff: bytes) -> bytes:
    """The TIFF with its only strip behind everything else, as other writers have it."""
    tags = TiffImageFile(io.BytesIO(tiff)).tag_v2
    [offset], [num_bytes] = tags[TAG_STRIP_OFFSETS], tags[TAG_STRIP_BYTES]
    moved = bytearray(tiff + tiff[offset : offset + num_bytes])
    (directory,) = struct.unpack_from("<I", tiff, 4)
    for entry in range(directory + 2, len(tiff), 12):
        if struct.unpack_from("<H", tiff, entry)[0] == TAG_STRIP_OFFSETS:
            struct.pack_into("<HII", moved, entry + 2, LONG, 1, len(tiff))
            return bytes(moved)
    raise AssertionError("no strips")


REFUSED = {
    **{f"jpeg-{mode}": encode("JPEG", mode) for mode in ("RGB", "L", "CMYK")},
    "jpeg-progressive": encode("JPEG", progressive=True),
    "jpeg-restarts": encode("JPEG", restart_marker_rows=1),
    **{f"png-{mode}": encode("PNG", mode) for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")},
    "png-animated": animated("PNG"),
    "webp-lossy": encode("WEBP"),
    "webp-lossless": encode("WEBP", lossless=True),
    "webp-alpha": encode("WEBP", "RGBA"),
    "webp-animated": animated("WEBP"),
    **{f"tiff-{mode}": encode("TIFF", mode) for mode in ("RGB", "L", "P", "I;16", "CMYK")},
    **{
        f"tiff-{compression}": strip_at_the_end(encode("TIFF", mode, compression=compression))
        for compression, mode in (
            *(("tiff_lzw", "RGB"), ("tiff_adobe_deflate", "RGB"), ("packbits", "RGB")),
            *(("jpeg", "RGB"), ("group4", "1"), ("group3", "1")),
        )
    },
    "bmp-RGB": encode("BMP", width=60),  # rows of whole words: there is no padding
    "bmp-RGBA": encode("BMP", "RGBA"),
    "bmp-L": encode("BMP", "L", 64),
}


@pytest.mark.parametrize("name", REFUSED)
def test_picture_that_lacks_its_last_bytes_is_refused(name: str) -> None:
    data = REFUSED[name]
    decode_image(data)
    for cut in CUTS:
        with pytest.raises(ImageError, match="truncated"):
            decode_image(data[:-cut])


@pytest.mark.parametrize(("width", "num_padding"), [(61, 1), (62, 2), (63, 3)])
def test_padding_behind_the_last_row_of_a_bmp_is_not_missed(width: int, num_padding: int) -> None:
    """It is none of the picture's pixels, and some writers leave it out."""
    data = encode("BMP", width=width)
    whole = decode_image(data)
    for cut in CUTS:
        if cut <= num_padding:
            np.testing.assert_array_equal(decode_image(data[:-cut]), whole)
        else:
            with pytest.raises(ImageError, match="truncated"):
                decode_image(data[:-cut])


def test_end_marks_of_a_bmp_of_run_lengths_are_not_missed() -> None:
    """The height says how many rows there are, so the marks of the ends add nothing to it."""
    width, height, marks = 24, 10, 4  # of the last row, and of the picture
    palette = b"".join(bytes((i, i, i, 0)) for i in range(256))
    runs = bytes((width // 2, 7, width // 2, 200, 0, 0)) * height + b"\x00\x01"
    offset = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    data = struct.pack("<2sIHHI", b"BM", offset + len(runs), 0, 0, offset) + header + palette + runs
    whole = decode_image(data)
    for cut in CUTS:
        if cut <= marks:
            np.testing.assert_array_equal(decode_image(data[:-cut]), whole)
        else:
            with pytest.raises(ImageError, match="truncated"):
                decode_image(data[:-cut])


@pytest.mark.parametrize("format_name", ["MPO", "TIFF"])
def test_pictures_behind_the_first_are_not_missed(format_name: str) -> None:
    """Only the first of a file is decoded."""
    data = encode(format_name, save_all=True, append_images=[scene("L", 40, 30)])
    whole = decode_image(data)
    for cut in CUTS:
        np.testing.assert_array_equal(decode_image(data[:-cut]), whole)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # as Pillow calls it
def test_place_of_a_next_page_is_not_missed_in_a_tiff() -> None:
    """A directory ends with it; all that it says of the first page comes before."""
    data = encode("TIFF", "1", compression="group4")
    (directory,) = struct.unpack_from("<I", data, 4)
    (num_entries,) = struct.unpack_from("<H", data, directory)
    assert len(data) == directory + 2 + 12 * num_entries + 4
    whole = decode_image(data)
    for cut in CUTS:
        if cut <= 4:
            np.testing.assert_array_equal(decode_image(data[:-cut]), whole)
        else:
            with pytest.raises(ImageError, match="truncated"):
                decode_image(data[:-cut])
