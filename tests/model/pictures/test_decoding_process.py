import io
import signal
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from costly import run_length_bmp
from PIL import Image

from model.pictures.cost import decoding_seconds
from model.pictures.decode import decode_image, read_header
from model.pictures.decoding_process import DecodingProcess, StoppedError
from model.pictures.errors import (
    DecoderCrashError,
    ImageError,
    ImageTooCostlyError,
    ImageTooLargeError,
    UnsupportedImageError,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
LIMITS = {"max_pixels": 50_000_000, "max_side": 16_384}


def encode(format_name: str, pixels: np.ndarray = PIXELS, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_name, **options)
    return buffer.getvalue()


@pytest.fixture
def process() -> Iterator[DecodingProcess]:
    process = DecodingProcess(cpu_seconds=60, wall_seconds=120)
    yield process
    process.close()


def test_pixels_are_those_of_this_process(process: DecodingProcess) -> None:
    for format_name in ("JPEG", "PNG", "WebP", "TIFF", "BMP"):
        data = encode(format_name)
        found = process.decode(data, **LIMITS)
        np.testing.assert_array_equal(found, decode_image(data))
        assert found.flags.writeable


def test_refusals_are_those_of_this_process(process: DecodingProcess) -> None:
    for data, kind in (
        (b"GIF89a\x01\x00\x01\x00", UnsupportedImageError),
        (encode("PNG")[:-20], ImageError),
        (encode("PNG", np.zeros((3, 20_000, 3), np.uint8)), ImageTooLargeError),
    ):
        with pytest.raises(kind) as found:
            process.decode(data, **LIMITS)
        with pytest.raises(kind) as expected:
            decode_image(data, **LIMITS)
        assert type(found.value) is kind
        assert str(found.value) == str(expected.value)
    assert process.decode(encode("PNG"), **LIMITS).shape == PIXELS.shape


def test_what_takes_too_long_is_cut_off_and_the_next_picture_is_not() -> None:
    process = DecodingProcess(cpu_seconds=0.5, wall_seconds=120)
    for _ in range(2):
        with pytest.raises(ImageTooCostlyError, match="cut off"):
            process.decode(run_length_bmp(4000, 4000), **LIMITS)
        np.testing.assert_array_equal(process.decode(encode("PNG"), **LIMITS), PIXELS)
    process.close()


def test_what_waits_too_long_is_cut_off_too() -> None:
    process = DecodingProcess(cpu_seconds=60, wall_seconds=0.2)
    with pytest.raises(ImageTooCostlyError, match="cut off"):
        process.decode(run_length_bmp(4000, 4000), **LIMITS)
    process.close()


def test_processor_time_is_counted_for_each_picture_anew() -> None:
    process = DecodingProcess(cpu_seconds=1, wall_seconds=120)
    data = encode("PNG", np.zeros((1500, 2000, 3), np.uint8), compress_level=1)
    for _ in range(80):
        process.decode(data, **LIMITS)
    process.close()


def of_size(data: bytes, width: int, height: int) -> bytes:
    """The picture with another size in its header, which is what its cost is known from."""
    spoilt = bytearray(data)
    if data.startswith(b"\x89PNG"):
        struct.pack_into(">II", spoilt, 16, width, height)
    elif data.startswith(b"BM"):
        struct.pack_into("<ii", spoilt, 18, width, height)
    else:
        frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
        struct.pack_into(">HH", spoilt, frame + 5, height, width)
    return bytes(spoilt)


def tiff(width: int, height: int, **options: object) -> bytes:
    return encode("TIFF", np.zeros((height, width, 3), np.uint8), **options)


@pytest.mark.parametrize(
    ("data", "is_costly"),
    [
        (of_size(encode("JPEG"), 4000, 3000), False),
        (of_size(encode("JPEG", progressive=True), 4000, 3000), False),
        (of_size(encode("JPEG", progressive=True), 8000, 6000), True),
        (of_size(encode("PNG"), 4000, 3000), False),
        (of_size(encode("PNG"), 8000, 6000), True),
        (of_size(encode("BMP"), 4000, 3000), False),
        (run_length_bmp(200, 200), False),
        (run_length_bmp(2000, 2000), True),
        (tiff(4000, 3000), False),
        (tiff(4000, 3000, compression="tiff_lzw"), True),
        (tiff(1000, 700, compression="jpeg"), False),
        (tiff(1000, 700, compression="lzma"), False),
    ],
)
def test_cost_is_known_before(data: bytes, is_costly: bool) -> None:
    assert (decoding_seconds(data, read_header(data)) > 0.5) == is_costly


def test_decoder_that_crashes_is_told_from_a_damaged_picture(process: DecodingProcess) -> None:
    def crash() -> bool:
        assert process._process is not None
        process._process.send_signal(signal.SIGSEGV)
        return True

    with pytest.raises(DecoderCrashError, match="its pixels cannot be read"):
        process.decode(run_length_bmp(4000, 4000), **LIMITS, is_wanted=crash)
    np.testing.assert_array_equal(process.decode(encode("PNG"), **LIMITS), PIXELS)


def test_picture_that_nobody_wants_any_more_is_not_decoded_to_its_end(
    process: DecodingProcess,
) -> None:
    process.decode(encode("PNG"), **LIMITS)
    child = process._process
    assert child is not None
    asked = iter((True, False))
    with pytest.raises(StoppedError):
        process.decode(run_length_bmp(4000, 4000), **LIMITS, is_wanted=lambda: next(asked))
    assert child.returncode == -signal.SIGKILL
    np.testing.assert_array_equal(process.decode(encode("PNG"), **LIMITS), PIXELS)
