from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.pictures.decode import (
    ImageError,
    ImageTooLargeError,
    UnsupportedImageError,
    decode_image,
    read_header,
)

# Left to right red, green, blue; the second row white, grey, black.
COLOURS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 255], [128, 128, 128], [0, 0, 0]]],
    dtype=np.uint8,
)
SMOOTH = np.stack(
    np.broadcast_arrays(np.arange(48)[:, None] * 5, np.arange(64)[None] * 4, np.uint8(90)), axis=2
).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
EXIF_ORIENTATION = 274


def encode(image: np.ndarray | Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, format_name, **options)
    return buffer.getvalue()


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = value
    return exif


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    data = bytearray(encode(COLOURS, "PNG"))
    data[16:24] = struct.pack(">II", width, height)
    return bytes(data)


@pytest.mark.parametrize(
    ("format_name", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_a_lossless_picture_keeps_every_pixel(format_name: str, options: dict[str, Any]) -> None:
    image = decode_image(encode(COLOURS, format_name, **options))
    np.testing.assert_array_equal(image, COLOURS)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable


@pytest.mark.parametrize(
    ("format_name", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {}), ("MPO", {})],
)
def test_a_lossy_picture_stays_close(format_name: str, options: dict[str, Any]) -> None:
    image = decode_image(encode(SMOOTH, format_name, quality=95, **options))
    assert image.shape == SMOOTH.shape
    assert np.abs(image.astype(int) - SMOOTH).mean() < 3


@pytest.mark.parametrize(
    ("format_name", "name"),
    [("JPEG", "JPEG"), ("PNG", "PNG"), ("WEBP", "WebP"), ("BMP", "BMP"), ("TIFF", "TIFF")],
)
def test_the_header_gives_format_and_size(format_name: str, name: str) -> None:
    header = read_header(encode(SMOOTH, format_name))
    assert (header.format, header.height, header.width) == (name, 48, 64)


@pytest.mark.parametrize("options", [{"lossless": True}, {"exif": orientation(1)}])
def test_the_header_of_every_kind_of_webp_gives_its_size(options: dict[str, Any]) -> None:
    header = read_header(encode(SMOOTH, "WEBP", **options))
    assert (header.height, header.width) == (48, 64)


def test_the_header_is_read_without_the_pixels() -> None:
    assert read_header(encode(SMOOTH, "PNG")[:40]).width == 64


def test_the_header_gives_the_size_as_stored() -> None:
    header = read_header(encode(SMOOTH, "JPEG", exif=orientation(6)))
    assert (header.height, header.width) == (48, 64)


@pytest.mark.parametrize(
    ("value", "upright"),
    [
        (1, COLOURS),
        (2, COLOURS[:, ::-1]),
        (3, COLOURS[::-1, ::-1]),
        (4, COLOURS[::-1]),
        (5, COLOURS.transpose(1, 0, 2)),
        (6, np.rot90(COLOURS, -1)),
        (7, COLOURS[::-1, ::-1].transpose(1, 0, 2)),
        (8, np.rot90(COLOURS)),
    ],
)
@pytest.mark.parametrize(
    ("format_name", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_exif_orientation_is_applied(
    format_name: str, options: dict[str, Any], value: int, upright: Any
) -> None:
    data = encode(COLOURS, format_name, exif=orientation(value), **options)
    np.testing.assert_array_equal(decode_image(data), upright)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize(
    ("format_name", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("MPO", {}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_the_header_knows_the_size_of_the_upright_picture(
    format_name: str, options: dict[str, Any], value: Any
) -> None:
    data = encode(SMOOTH, format_name, exif=orientation(value), **options)
    header = read_header(data)
    assert header.orientation == value
    assert header.upright_size == ((64, 48) if value >= 5 else (48, 64))
    assert decode_image(data).shape[:2] == header.upright_size


@pytest.mark.parametrize("value", [0, 9, 65535])
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_orientation_that_does_not_exist_is_taken_as_1(format_name: str, value: int) -> None:
    data = encode(SMOOTH, format_name, exif=orientation(value))
    assert read_header(data).orientation == 1
    assert decode_image(data).shape == (48, 64, 3)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_a_header_without_exif_gives_the_orientation_1(format_name: str) -> None:
    assert read_header(encode(SMOOTH, format_name)).orientation == 1


def test_exif_after_the_pixels_of_a_png_counts() -> None:
    data = encode(SMOOTH, "PNG")
    exif = png_chunk(b"eXIf", orientation(6).tobytes().removeprefix(b"Exif\0\0"))
    late = data[:-12] + exif + data[-12:]
    assert read_header(late).orientation == 6
    assert decode_image(late).shape == (64, 48, 3)


def test_exif_after_the_frame_header_of_a_jpeg_counts() -> None:
    turned = encode(SMOOTH, "JPEG", exif=orientation(6))
    start = turned.index(b"\xff\xe1")
    end = start + 2 + int.from_bytes(turned[start + 2 : start + 4])
    plain, exif = turned[:start] + turned[end:], turned[start:end]
    scan = plain.index(b"\xff\xda")
    late = plain[:scan] + exif + plain[scan:]
    assert read_header(late).orientation == 6
    assert decode_image(late).shape == (64, 48, 3)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_only_exif_turns_a_picture(format_name: str) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"></x:xmpmeta>'
    if format_name == "TIFF":
        data = encode(SMOOTH, "TIFF", tiffinfo={700: xmp})
    elif format_name == "PNG":
        plain = encode(SMOOTH, "PNG")
        text = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
        data = plain[:33] + png_chunk(b"iTXt", text) + plain[33:]
    else:
        data = encode(SMOOTH, format_name, xmp=xmp)
    assert xmp in data
    assert read_header(data).upright_size == decode_image(data).shape[:2] == (48, 64)


def test_the_orientation_of_a_picture_that_is_cut_off_is_1() -> None:
    data = encode(SMOOTH, "WEBP", exif=orientation(6))
    assert read_header(data).orientation == 6
    assert read_header(data[: data.index(b"EXIF")]).orientation == 1


def test_a_header_is_read_past_much_padding() -> None:
    data = encode(SMOOTH, "JPEG", exif=orientation(6))
    padded = data[:2] + b"\xff" * 1_000_000 + data[2:]
    assert read_header(padded).orientation == 6


def test_exif_orientation_of_a_jpeg_is_applied() -> None:
    turned = decode_image(encode(SMOOTH, "JPEG", exif=orientation(8)))
    np.testing.assert_array_equal(turned, np.rot90(decode_image(encode(SMOOTH, "JPEG"))))


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0nonsense",
        b"Exif\0\0" + struct.pack("<2sHIH", b"II", 42, 8, 60000),
        b"Exif\0\0" + struct.pack("<2sHIHHHIHH", b"II", 42, 8, 1, EXIF_ORIENTATION, 3, 1, 9, 0),
    ],
)
def test_broken_exif_leaves_the_picture_as_it_is(exif: bytes) -> None:
    image = decode_image(encode(SMOOTH, "JPEG", exif=exif))
    np.testing.assert_array_equal(image, decode_image(encode(SMOOTH, "JPEG")))


@pytest.mark.parametrize(
    ("mode", "format_name"),
    [("1", "PNG"), ("L", "PNG"), ("L", "JPEG"), ("1", "TIFF"), ("L", "BMP")],
)
def test_grey_becomes_three_equal_channels(mode: str, format_name: str) -> None:
    picture = Image.fromarray(np.full((4, 5), 255, np.uint8)).convert(mode)
    image = decode_image(encode(picture, format_name))
    np.testing.assert_array_equal(image, np.full((4, 5, 3), 255))


@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_scaled_not_clipped(format_name: str) -> None:
    deep = np.array([[0, 128, 129, 257, 32896, 65535]], dtype=np.uint16)
    image = decode_image(encode(deep, format_name))
    np.testing.assert_array_equal(image[0, :, 0], [0, 0, 1, 1, 128, 255])


def test_rgb_of_16_bits_keeps_the_upper_half() -> None:
    pixel = struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
        + png_chunk(b"IDAT", zlib.compress(b"\0" + pixel))
        + png_chunk(b"IEND", b"")
    )
    np.testing.assert_array_equal(decode_image(data), [[[0x12, 0x56, 0x9A]]])


@pytest.mark.parametrize("transparency", [None, 0, bytes([0, 128, 255])])
def test_a_palette_gives_its_colours_whatever_is_transparent(transparency: Any) -> None:
    picture = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    options = {} if transparency is None else {"transparency": transparency}
    image = decode_image(encode(picture, "PNG", **options))
    np.testing.assert_array_equal(image, [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]])


@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_dropped_not_blended(format_name: str) -> None:
    pixels = np.full((2, 2, 4), (200, 100, 50, 0), np.uint8)
    options = {"lossless": True, "exact": True} if format_name == "WEBP" else {}
    image = decode_image(encode(pixels, format_name, **options))
    np.testing.assert_array_equal(image, pixels[:, :, :3])


def test_grey_with_alpha_drops_the_alpha() -> None:
    picture = Image.merge("LA", [Image.new("L", (2, 2), 77), Image.new("L", (2, 2), 5)])
    image = decode_image(encode(picture, "PNG"))
    np.testing.assert_array_equal(image, np.full((2, 2, 3), 77))


def test_a_cmyk_jpeg_shows_its_colours() -> None:
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow ink: red
    red = decode_image(encode(picture, "JPEG"))[8, 8]
    assert red[0] > 240
    assert max(red[1:]) < 15


@pytest.mark.parametrize("mode", ["F", "I"])
def test_samples_of_32_bits_are_refused_clearly(mode: str) -> None:
    with pytest.raises(UnsupportedImageError, match=r"TIFF .* send grey or RGB of 8 or 16 bits"):
        decode_image(encode(Image.new(mode, (4, 4)), "TIFF"))


@pytest.mark.parametrize("format_name", ["PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_many_is_decoded(format_name: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((9, 8, 7), (200, 0, 0))]
    options = {"lossless": True} if format_name == "WEBP" else {}
    data = encode(frames[0], format_name, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(decode_image(data), np.full((6, 8, 3), (9, 8, 7)))


@pytest.mark.parametrize(
    ("format_name", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ],
)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_a_truncated_picture_is_an_error_never_half_a_picture(
    format_name: str, options: dict[str, Any], kept: float
) -> None:
    data = encode(NOISE, format_name, **options)
    with pytest.raises(ImageError, match="truncated"):
        decode_image(data[: int(len(data) * kept)])


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_a_file_that_ends_anywhere_in_its_header_is_an_image_error(format_name: str) -> None:
    data = encode(COLOURS, format_name)
    for length in range(24):
        with pytest.raises(ImageError):
            read_header(data[:length])


def test_a_tiff_directory_of_thousands_of_entries_is_an_image_error() -> None:
    data = bytearray(encode(COLOURS, "TIFF"))
    (start,) = struct.unpack_from("<I", data, 4)
    struct.pack_into("<H", data, start, 26888)
    with pytest.raises(ImageError, match="26888 entries"):
        read_header(bytes(data))


@pytest.mark.parametrize("data", [b"", b"\xff", b"hello, this is no picture", bytes(1000)])
def test_bytes_that_are_no_picture_are_an_image_error(data: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        decode_image(data)
    assert not isinstance(caught.value, UnsupportedImageError)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"GIF89a\x01\x00\x01\x00", "GIF"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "MP4"),
        (b"  <svg xmlns=''>", "SVG"),
        (b"8BPS\0\x01", "Photoshop"),
    ],
)
def test_another_format_is_named(data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedImageError, match=name):
        read_header(data)


def test_a_jpeg_of_12_bits_is_unsupported_not_damaged() -> None:
    data = b"\xff\xd8\xff\xc1" + struct.pack(">HBHHB", 17, 12, 8, 8, 3) + bytes(20)
    with pytest.raises(UnsupportedImageError, match="12 bits"):
        read_header(data)


def test_too_many_pixels_are_refused_by_the_header_alone() -> None:
    with pytest.raises(ImageTooLargeError, match=r"10000×6000, 60000000 pixels; at most 50000000"):
        decode_image(png_header(10_000, 6_000), max_pixels=50_000_000)


def test_a_side_that_is_too_long_is_refused_by_the_header_alone() -> None:
    with pytest.raises(ImageTooLargeError, match=r"20000×3 .* at most 16384"):
        decode_image(png_header(20_000, 3), max_side=16_384)


def test_limits_are_inclusive() -> None:
    image = decode_image(encode(COLOURS, "PNG"), max_pixels=6, max_side=3)
    assert image.shape == (2, 3, 3)


def test_a_decompression_bomb_is_too_large_without_any_limit_given() -> None:
    with pytest.raises(ImageTooLargeError):
        decode_image(png_header(60_000, 60_000))


def test_a_picture_without_pixels_is_an_error() -> None:
    with pytest.raises(ImageError, match="0×5"):
        read_header(png_header(0, 5))


def test_errors_tell_nothing_of_the_decoder() -> None:
    data = bytearray(encode(NOISE, "TIFF", compression="tiff_lzw"))
    data[1000] ^= 255
    with pytest.raises(ImageError) as caught:
        decode_image(bytes(data))
    assert str(caught.value) == (
        "the TIFF picture is truncated or damaged: its pixels cannot be read"
    )
    assert caught.value.__suppress_context__


def test_damaged_bytes_raise_nothing_but_image_errors() -> None:
    generator = np.random.default_rng(0)
    for format_name in ("JPEG", "PNG", "WEBP", "BMP", "TIFF"):
        data = encode(SMOOTH, format_name)
        for _ in range(40):
            damaged = bytearray(data)
            for position in generator.integers(2, min(len(data), 300), size=4):
                damaged[position] = generator.integers(256)
            try:
                image = decode_image(bytes(damaged), max_pixels=100_000)
            except ImageError:
                continue
            assert image.ndim == 3


JPEG_KINDS = [
    {"subsampling": 0},
    {"subsampling": 1},
    {"subsampling": 2},
    {"quality": 20},
    {"progressive": True},
    {"restart_marker_rows": 1},
    {"optimize": True},
]


@pytest.mark.parametrize("options", JPEG_KINDS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_has_the_pixels_of_the_reference_decoder(mode: str, options: dict[str, Any]) -> None:
    # Odd sides: the last blocks are not whole.
    noise = np.random.default_rng(1).integers(0, 256, (12, 17, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((131, 77), Image.Resampling.BICUBIC).convert(mode)
    data = encode(picture, "JPEG", **options)
    expected = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode_image(data), expected)


def bmp(bits: int, compression: int, masks: tuple[int, ...], header_bytes: int) -> bytes:
    body = struct.pack("<IiiHHIIiiII", header_bytes, 2, 2, 1, bits, compression, 16, 0, 0, 0, 0)
    body += b"".join(struct.pack("<I", mask) for mask in masks)
    body += bytes(header_bytes - 40) if header_bytes == 40 else bytes(header_bytes - len(body))
    offset = 14 + len(body)
    return struct.pack("<2sIHHI", b"BM", offset + 16, 0, 0, offset) + body + bytes(16)


@pytest.mark.parametrize(
    "data",
    [
        bmp(16, 3, (0xF00, 0xF0, 0xF), 40),
        bmp(32, 3, (0x3FF00000, 0xFFC00, 0x3FF), 40),
        bmp(32, 3, (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000), 56),
        bmp(24, 4, (), 40),
        bmp(24, 5, (), 40),
    ],
    ids=["4:4:4", "10:10:10", "10:10:10:2", "JPEG", "PNG"],
)
def test_a_bmp_of_other_masks_or_compression_is_unsupported_not_damaged(data: bytes) -> None:
    with pytest.raises(UnsupportedImageError, match="send it with 24 bits"):
        decode_image(data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\xd8\xff\xf7" + struct.pack(">HBHHB", 11, 8, 8, 8, 1) + bytes(8), "JPEG-LS"),
        (b"\xff\x0a" + bytes(30), "JPEG XL"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0", "camera raw"),
        (b"FUJIFILMCCD-RAW 0201", "camera raw"),
        (b"IIU\0\x08\0\0\0", "camera raw"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(4) + b"\0\0" + bytes(4), "camera raw"),
        (b"II\xbc\x01", "JPEG XR"),
        (b"P6\n2 2\n255\n", "PNM"),
    ],
)
def test_further_formats_are_named(data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedImageError, match=name):
        read_header(data)
