"""Kinds of TIFF: the right picture, or a refusal that says what it is; never silently wrong."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from model.pictures import decode
from model.pictures.decode import (
    ImageError,
    UnsupportedImageError,
    decode_image,
    read_header,
    upright_pixels,
)
from model.pictures.tiff_pages import TiffPage
from model.pictures.tiff_zstandard import has_zstandard

NOISE = np.random.default_rng(0).integers(0, 256, (40, 56, 5), dtype=np.uint8)
DEEP = NOISE.astype(np.uint16) * 257
FULL = NOISE[..., :3]
SMALL = np.full((8, 10, 3), 7, np.uint8)

COMPRESSIONS = [None, "lzw", "deflate", "packbits", "lzma", *["zstd"] * has_zstandard()]
TILES = [None, (16, 16)]


def tiff(*pages: tuple[np.ndarray, dict], byteorder: str = "<") -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder=byteorder) as writer:
        for pixels, options in pages:
            writer.write(pixels, metadata=None, **options)
    return buffer.getvalue()


def grey(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[..., None], 3, axis=2)


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("pixels", [NOISE, DEEP], ids=["8-bit", "16-bit"])
def test_rgb_with_and_without_alpha_is_the_picture(
    pixels: np.ndarray, compression: Any, tile: Any, byteorder: Any
) -> None:
    for options in ({"num": 3}, {"num": 4, "extrasamples": ["unassalpha"]}):
        num = options.pop("num")
        data = tiff(
            (
                pixels[..., :num],
                {"photometric": "rgb", "compression": compression, "tile": tile, **options},
            ),
            byteorder=byteorder,
        )
        np.testing.assert_array_equal(decode_image(data), FULL)


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize(
    ("photometric", "num"), [("rgb", 3), ("rgb", 4), ("separated", 4), ("minisblack", 2)]
)
def test_planes_of_16_bits_are_refused_and_those_of_8_right(
    photometric: str, num: int, compression: Any, tile: Any, byteorder: Any
) -> None:
    options = {"photometric": photometric, "compression": compression, "tile": tile}
    if (photometric, num) != ("rgb", 3) and photometric != "separated":
        options["extrasamples"] = ["unassalpha"]
    planes = {**options, "planarconfig": "separate"}

    def separate(pixels: np.ndarray) -> bytes:
        return tiff((pixels[..., :num].transpose(2, 0, 1), planes), byteorder=byteorder)

    with pytest.raises(UnsupportedImageError, match=r"16-bit samples in separate planes"):
        read_header(separate(DEEP))
    if photometric == "minisblack":
        with pytest.raises(UnsupportedImageError, match=r"8-bit samples in separate planes"):
            read_header(separate(NOISE))
        return
    together = tiff((NOISE[..., :num], options), byteorder=byteorder)
    np.testing.assert_array_equal(decode_image(separate(NOISE)), decode_image(together))


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("pixels", [NOISE, DEEP], ids=["8-bit", "16-bit"])
def test_grey_that_is_0_where_it_is_white_is_no_negative(
    pixels: np.ndarray, compression: Any, tile: Any, byteorder: Any
) -> None:
    options = {"compression": compression, "tile": tile}
    for photometric, expected in (("minisblack", NOISE), ("miniswhite", 255 - NOISE)):
        data = tiff((pixels[..., 0], {"photometric": photometric, **options}), byteorder=byteorder)
        if (byteorder, pixels.dtype, photometric) == (">", np.uint16, "miniswhite"):
            with pytest.raises(UnsupportedImageError, match="1 of 16 bits"):
                decode_image(data)
        else:
            np.testing.assert_array_equal(decode_image(data), grey(expected[..., 0]))


def grey_of_bits(bits: int, byteorder: str, photometric: int) -> bytes:
    """A grey picture of samples that fill no whole bytes, by hand: 8×2, all bits set."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[byteorder]
    entries = ((256, 8), (257, 2), (258, bits), (259, 1), (262, photometric))
    entries += ((273, 8), (277, 1), (278, 2), (279, 2 * bits))
    order = byteorder
    directory = b"".join(
        struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in entries
    )
    pixels = b"\xff" * (2 * bits)
    start = struct.pack(order + "I", 8 + len(pixels))
    return head + start + pixels + struct.pack(order + "H", len(entries)) + directory + bytes(4)


def test_grey_of_12_bits_is_scaled() -> None:
    assert decode_image(grey_of_bits(12, "<", 1)).min() == 255


@pytest.mark.parametrize(
    ("bits", "byteorder", "photometric"),
    [(12, ">", 1), (12, "<", 0), (10, "<", 1), (14, "<", 1), (10, ">", 0), (24, "<", 1)],
)
def test_other_depths_are_named(bits: int, byteorder: str, photometric: int) -> None:
    with pytest.raises(UnsupportedImageError, match=f"1 of {bits} bits"):
        decode_image(grey_of_bits(bits, byteorder, photometric))


@pytest.mark.parametrize(
    ("pixels", "options", "name"),
    [
        (NOISE[..., 0].astype(np.float32), {}, "floating-point"),
        (NOISE[..., :3].astype(np.float32), {"photometric": "rgb"}, "floating-point"),
        (NOISE[..., 0].astype(np.float64), {}, "floating-point"),
        (NOISE[..., 0].astype(np.int8), {}, "signed"),
        (NOISE[..., 0].astype(np.int16), {}, "signed"),
        (NOISE[..., 0].astype(np.uint32), {}, "1 of 32 bits"),
        (NOISE[..., :3].astype(np.uint32), {"photometric": "rgb"}, "3 of 32 bits"),
        (NOISE[..., 0].astype(np.complex64), {}, "complex"),
        (NOISE, {"photometric": "separated", "extrasamples": ["unassalpha"]}, "5 of 8 bits"),
        (DEEP[..., :2], {"extrasamples": ["unassalpha"], "planarconfig": "contig"}, "2 of 16"),
        (NOISE[..., :3], {"photometric": "cielab"}, "CIELAB"),
        (NOISE[..., :3], {"photometric": "rgb", "compression": "webp"}, "WebP inside"),
        (NOISE[..., :3], {"photometric": "rgb", "compression": "jpeg2000"}, "JPEG 2000 inside"),
        (NOISE[..., :3], {"photometric": "rgb", "compression": "jpegxl"}, "JPEG XL inside"),
        (NOISE[..., 0], {"photometric": "cfa"}, "camera raw"),
    ],
)
def test_what_is_not_decoded_is_named(
    pixels: np.ndarray, options: dict[str, Any], name: str
) -> None:
    options = {"photometric": "minisblack", **options}
    if options["photometric"] == "cfa":
        options["extratags"] = [(33421, 3, 2, (2, 2), True), (33422, 1, 4, bytes(4), True)]
    with pytest.raises(UnsupportedImageError, match=name):
        decode_image(tiff((pixels, options)))


def test_a_thumbnail_before_the_picture_is_passed_over() -> None:
    rgb = {"photometric": "rgb"}
    mask = (SMALL[..., 0] > 0, {"photometric": "mask", "subfiletype": 4})
    for first in ((SMALL, {**rgb, "subfiletype": 1}), mask):
        data = tiff(first, (FULL, {**rgb, "compression": "lzw"}))
        assert read_header(data).upright_size == (40, 56)
        np.testing.assert_array_equal(decode_image(data), FULL)


def test_thumbnails_behind_the_picture_and_further_pages_are_passed_over() -> None:
    rgb = {"photometric": "rgb"}
    data = tiff((FULL, rgb), (SMALL, {**rgb, "subfiletype": 1}), (SMALL, rgb))
    np.testing.assert_array_equal(decode_image(data), FULL)


def test_the_only_page_is_the_picture_whatever_it_says() -> None:
    data = tiff((FULL, {"photometric": "rgb", "subfiletype": 1}))
    np.testing.assert_array_equal(decode_image(data), FULL)


def test_the_orientation_is_that_of_the_picture_not_of_its_thumbnail() -> None:
    turned = {"photometric": "rgb", "extratags": [(274, 3, 1, 6, True)]}
    data = tiff((SMALL, {"photometric": "rgb", "subfiletype": 1}), (FULL, turned))
    np.testing.assert_array_equal(decode_image(data), np.rot90(FULL, -1))


def test_a_preview_before_sub_directories_is_no_picture() -> None:
    data = tiff((SMALL, {"photometric": "rgb", "subfiletype": 1, "subifds": 1}), (FULL, {}))
    with pytest.raises(UnsupportedImageError, match="preview in place of the picture"):
        read_header(data)


def test_smaller_copies_in_sub_directories_are_passed_over() -> None:
    rgb = {"photometric": "rgb"}
    data = tiff((FULL, {**rgb, "subifds": 1}), (SMALL, {**rgb, "subfiletype": 1}))
    np.testing.assert_array_equal(decode_image(data), FULL)


@pytest.mark.parametrize("subfiletype", [0, 1])
def test_camera_raw_is_named(subfiletype: int) -> None:
    dng = [(50706, 1, 4, bytes((1, 4, 0, 0)), True)]
    options = {"photometric": "rgb", "subfiletype": subfiletype, "extratags": dng}
    with pytest.raises(UnsupportedImageError, match="camera raw"):
        read_header(tiff((SMALL, options)))


def test_a_loop_of_directories_ends() -> None:
    data = bytearray(tiff((SMALL, {"photometric": "rgb", "subfiletype": 1})))
    (start,) = struct.unpack_from("<I", data, 4)
    (num_entries,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * num_entries, start)
    np.testing.assert_array_equal(decode_image(bytes(data)), SMALL)


def test_values_that_lie_over_each_other_are_refused() -> None:
    """Decoders copy each: a megabyte of which two thousand tags speak is two gigabytes."""
    filler = bytes(100_000)
    tags = [(65000 + number, 7, len(filler), filler, True) for number in range(3)]
    data = bytearray(tiff((SMALL, {"photometric": "rgb", "extratags": tags})))
    decode_image(bytes(data))
    (start,) = struct.unpack_from("<I", data, 4)
    (num_entries,) = struct.unpack_from("<H", data, start)
    for number in range(num_entries):
        position = start + 2 + 12 * number
        if struct.unpack_from("<H", data, position)[0] >= 65000:
            struct.pack_into("<II", data, position + 4, len(data) - 8, 8)
    with pytest.raises(ImageError, match="more data than the file"):
        read_header(bytes(data))


@pytest.mark.parametrize("options", [{"rowsperstrip": 8}, {"tile": (16, 16)}])
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_strips_and_tiles_that_the_directory_lacks_are_missed(
    options: dict[str, Any], compression: str | None
) -> None:
    whole = tiff((FULL, {"photometric": "rgb", "compression": compression, **options}))
    decode_image(whole)
    data = bytearray(whole)
    (start,) = struct.unpack_from("<I", data, 4)
    (num_entries,) = struct.unpack_from("<H", data, start)
    for number in range(num_entries):
        position = start + 2 + 12 * number
        tag, _, count, place = struct.unpack_from("<HHII", data, position)
        if tag in (273, 324):
            no_place = bytearray(data)
            struct.pack_into("<I", no_place, place, 0)
            struct.pack_into("<I", data, position + 4, count - 1)
    for spoilt in (data, no_place):
        with pytest.raises(ImageError, match="strips or tiles 1 are missing"):
            decode_image(bytes(spoilt))


@pytest.mark.parametrize("photometric", ["rgb", "ycbcr", "minisblack"])
@pytest.mark.parametrize("options", [{"rowsperstrip": 16}, {"tile": (16, 16)}, {}])
def test_jpeg_inside_that_lacks_pixels_is_truncated(
    photometric: str, options: dict[str, Any]
) -> None:
    slope = np.add.outer(np.arange(40), np.arange(56))
    smooth = np.stack([slope, 2 * slope, 255 - slope], axis=2).astype(np.uint8)
    pixels = smooth[..., 0] if photometric == "minisblack" else smooth
    data = tiff((pixels, {"photometric": photometric, "compression": "jpeg", **options}))
    if photometric == "ycbcr":  # tifffile would take the pixels for such
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "TIFF", compression="jpeg", quality=95)
        data = buffer.getvalue()
    expected = grey(pixels) if photometric == "minisblack" else smooth
    assert np.abs(decode_image(data).astype(int) - expected).mean() < 8
    start = data.index(b"\xff\xda") + 14
    end = data.index(b"\xff\xd9", start)
    middle = (start + end) // 2
    cut = data[:middle] + b"\xff\xd9" + data[middle + 2 :]
    with pytest.raises(ImageError, match="truncated"):
        decode_image(cut)


def test_zstandard_that_this_pillow_lacks_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = tiff((FULL, {"photometric": "rgb", "compression": "zstd"}))
    monkeypatch.setattr(decode, "has_zstandard", lambda: False)
    with pytest.raises(UnsupportedImageError, match="Zstandard inside"):
        decode_image(data)


def by_hand(
    size: tuple[int, int],
    strip_rows: int,
    compression: int,
    strips: bytes,
    places: list[tuple[int, int]],
) -> bytes:
    """Grey, of strips that lie anywhere in the bytes. size: width and height."""
    start = 8 + len(strips) + len(strips) % 2
    count = len(places)
    values = struct.pack(f"<{count}I", *(8 + offset for offset, _ in places))
    values += struct.pack(f"<{count}I", *(length for _, length in places))
    entries = (
        *((256, 4, 1, size[0]), (257, 4, 1, size[1]), (258, 3, 1, 8), (259, 3, 1, compression)),
        *((262, 3, 1, 1), (273, 4, count, start), (277, 3, 1, 1), (278, 4, 1, strip_rows)),
        (279, 4, count, start + 4 * count),
    )
    head = struct.pack("<2sHI", b"II", 42, start + len(values)) + strips.ljust(start - 8, b"\0")
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return head + values + struct.pack("<H", len(entries)) + directory + bytes(4)


def jpeg(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, height), 90).save(buffer, "JPEG")
    return buffer.getvalue()


def test_jpegs_larger_than_their_strips_are_refused_before_any_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = jpeg(800, 600)
    monkeypatch.setattr("simplejpeg.decode_jpeg", None)
    with pytest.raises(ImageError, match="JPEG picture is truncated or damaged"):
        decode_image(by_hand((16, 20), 1, 7, large, [(0, len(large))] * 20))


@pytest.mark.parametrize("compression", [5, 7, 8, 32773, *[50000] * has_zstandard()])
def test_strips_that_lie_over_each_other_are_refused(compression: int) -> None:
    strips = jpeg(16, 1) + bytes(2_000_000)
    data = by_hand((16, 500), 1, compression, strips, [(0, len(strips))] * 500)
    with pytest.raises(ImageError, match="lie over each other"):
        decode_image(data)


def test_equal_strips_may_be_one() -> None:
    for compression, strip in ((7, jpeg(16, 4)), (8, zlib.compress(bytes([90]) * 64))):
        data = by_hand((16, 400), 4, compression, strip, [(0, len(strip))] * 100)
        assert decode_image(data).mean() == 90


def test_the_last_jpeg_may_be_as_high_as_the_others() -> None:
    strip = jpeg(16, 8)
    data = by_hand((16, 20), 8, 7, strip, [(0, len(strip))] * 3)
    assert decode_image(data).shape == (20, 16, 3)


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("tile", TILES)
def test_deflate_with_a_hole_is_damaged(tile: Any, *, predictor: bool) -> None:
    rows, columns = np.mgrid[:97, :131]
    slopes = np.stack([columns * 3, rows * 2, rows + columns], axis=-1).astype(np.uint8)
    options = {"photometric": "rgb", "compression": "deflate", "tile": tile, "rowsperstrip": 97}
    data = tiff((slopes, {**options, "predictor": predictor}))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        (page,) = file.pages
        place, length = page.dataoffsets[0], page.databytecounts[0]
    half = place + length // 2
    np.testing.assert_array_equal(decode_image(data), slopes)
    with pytest.raises(ImageError, match="damaged"):
        decode_image(data[:half] + bytes(place + length - half) + data[place + length :])
    wrong_sum = bytes([data[place + length - 1] ^ 1])
    with pytest.raises(ImageError, match="damaged"):
        decode_image(data[: place + length - 1] + wrong_sum + data[place + length :])


def test_deflate_may_lack_its_checksum_or_have_more_rows() -> None:
    rows = bytes([90]) * 160
    for packed in (zlib.compress(rows)[:-4], zlib.compress(rows + bytes(32))):
        data = by_hand((16, 20), 10, 8, packed, [(0, len(packed))] * 2)
        assert decode_image(data).mean() == 90


def test_grey_times_its_alpha_is_the_grey() -> None:
    """Of TIFFs, too; but the oldest Pillow refuses those."""
    alpha = np.full(NOISE.shape[:2], 128, np.uint8)
    image = Image.fromarray(np.stack([NOISE[..., 0], alpha], axis=-1)).convert("La")
    np.testing.assert_allclose(upright_pixels(image)[..., 1], NOISE[..., 0], atol=2)


@pytest.mark.parametrize("tag", [258, 339])
def test_pixel_of_thousands_of_samples_is_damage(tag: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One who judges an upload by its header reads none of them."""
    numbers = TiffPage.numbers

    def few(page: TiffPage, tag: int) -> tuple[int, ...]:
        assert page.count(tag) < 100
        return numbers(page, tag)

    data = bytearray(tiff((FULL.astype(np.int16), {"photometric": "rgb"})))  # has both tags
    (start,) = struct.unpack_from("<I", data, 4)
    place = data.index(struct.pack("<HH", tag, 3), start)
    struct.pack_into("<II", data, place + 4, 2000, 8)
    monkeypatch.setattr(TiffPage, "numbers", few)
    with pytest.raises(ImageError, match="a pixel of 2000 samples"):
        read_header(bytes(data))
