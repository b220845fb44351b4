"""The pages of a TIFF: which of them is the picture, and whether its kind is decoded here."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from model.pictures.errors import ImageError, UnsupportedImageError

# Pictures have a few dozen entries; a directory of more is made to cost time.
_MOST_ENTRIES = 2000
_MOST_PAGES_LOOKED_AT = 64
_MOST_SAMPLES = 1024
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I"}

SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, COLOURS = 254, 255, 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_ROWS, STRIP_BYTES = 273, 274, 277, 278, 279
PLANAR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 284, 322, 323, 324, 325
SUB_DIRECTORIES, SAMPLE_FORMAT, JPEG_TABLES, DNG_VERSION = 330, 339, 347, 50706

_MOST_BITS = 16
_REDUCED, _MASK = 1, 4
_OLD_REDUCED = 2
_FILTER_ARRAY, _LINEAR_RAW, _LAB_COLOURS = 32803, 34892, (8, 9, 10)
WHITE_IS_ZERO = 0
_ONE_SAMPLE_COLOURS = (WHITE_IS_ZERO, 1, 3)  # grey and palettes; another is their alpha
RAW, JPEG, ZSTANDARD = 1, 7, 50000
DEFLATE = (8, 32946)
_COMPRESSIONS = frozenset((RAW, 2, 3, 4, 5, JPEG, *DEFLATE, 32773, 34925, ZSTANDARD))
_FOREIGN_COMPRESSIONS = {
    6: "old-style JPEG",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34676: "LogLuv",
    34677: "LogLuv",
    34887: "LERC",
    34892: "lossy DNG",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_FORMATS = {2: "signed", 3: "floating-point", 4: "undefined", 5: "complex", 6: "complex"}
_ADVICE = "send grey or RGB of 8 or 16 bits, or PNG"


@dataclass(frozen=True, kw_only=True)
class TiffPage:
    """A directory. offset: where it stands. entries: (type, count, where its value stands)."""

    data: bytes
    order: str
    offset: int
    next_offset: int
    entries: dict[int, tuple[int, int, int]]

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return a tag's whole numbers; none where it is absent or of another type."""
        kind, count, position = self.entries.get(tag, (0, 0, 0))
        if kind not in _WHOLE_NUMBERS:
            return ()
        return struct.unpack_from(f"{self.order}{count}{_WHOLE_NUMBERS[kind]}", self.data, position)

    def count(self, tag: int) -> int:
        """Return how many values a tag has."""
        return self.entries.get(tag, (0, 0, 0))[1]

    def number(self, tag: int, default: int = 0) -> int:
        """Return the only whole number of a tag."""
        kind, count, _ = self.entries.get(tag, (0, 0, 0))
        return self.numbers(tag)[0] if count == 1 and kind in _WHOLE_NUMBERS else default

    def raw_bytes(self, tag: int) -> bytes:
        """Return a tag's value as it stands in the file."""
        kind, count, position = self.entries.get(tag, (1, 0, 0))
        return self.data[position : position + count * _TYPE_BYTES.get(kind, 1)]

    @property
    def is_part(self) -> bool:
        """Whether it says of itself that it is a thumbnail or a mask of another page."""
        is_reduced = self.number(OLD_SUBFILE) == _OLD_REDUCED
        return is_reduced or self.number(SUBFILE) & (_REDUCED | _MASK) != 0


def picture_page(data: bytes) -> TiffPage:
    """Return the first page that is no thumbnail or mask; the first where all say so.

    Raises:
        UnsupportedImageError: a kind that is not decoded here, camera raw among them.
        ImageError: it is damaged. struct.error: it is cut off.
    """
    pages = _pages(data)
    first = next(pages)
    _check_raw(first)
    page = first
    if first.is_part:
        page = next((page for page in pages if not page.is_part), first)
    if page.is_part and SUB_DIRECTORIES in page.entries:
        raise UnsupportedImageError(
            "this TIFF has a preview in place of the picture, as camera raw files have; "
            "send the picture as JPEG, PNG or TIFF"
        )
    _check_raw(page)
    _check_kind(page)
    return page


def with_first_page(page: TiffPage) -> bytes:
    """Return the file with that page in the first place, where decoders look."""
    place = struct.pack(page.order + "I", page.offset)
    return page.data if page.data[4:8] == place else page.data[:4] + place + page.data[8:]


def _pages(data: bytes) -> Iterator[TiffPage]:
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    (offset,) = struct.unpack_from(order + "I", data, 4)
    for number in range(_MOST_PAGES_LOOKED_AT):
        if offset == 0 and number > 0:
            return
        page = _read_page(data, order, offset)
        yield page
        offset = page.next_offset


def _read_page(data: bytes, order: str, offset: int) -> TiffPage:
    (num_entries,) = struct.unpack_from(order + "H", data, offset)
    if num_entries > _MOST_ENTRIES:
        raise ImageError(f"the TIFF picture is damaged: a directory of {num_entries} entries")
    entries: dict[int, tuple[int, int, int]] = {}
    total = 0
    for number in range(num_entries):
        position = offset + 2 + 12 * number
        tag, kind, count, value = struct.unpack_from(order + "HHII", data, position)
        num_bytes = count * _TYPE_BYTES.get(kind, 1)
        place = position + 8 if num_bytes <= 4 else value
        total += num_bytes
        if place + num_bytes <= len(data):  # the decoder passes over others, too
            entries[tag] = (kind, count, place)
    if total > 2 * len(data) + _MOST_ENTRIES:  # values that lie over each other are copied each
        raise ImageError("the TIFF picture is damaged: its directory has more data than the file")
    end = offset + 2 + 12 * num_entries
    has_next = end + 4 <= len(data)
    return TiffPage(
        data=data,
        order=order,
        offset=offset,
        next_offset=struct.unpack_from(order + "I", data, end)[0] if has_next else 0,
        entries=entries,
    )


def _check_raw(page: TiffPage) -> None:
    is_filtered = page.number(COLOURS) in (_FILTER_ARRAY, _LINEAR_RAW)
    if DNG_VERSION in page.entries or is_filtered or page.data[8:10] == b"CR":
        raise UnsupportedImageError(
            "this seems to be camera raw (DNG, CR2 or their like); "
            "send the picture as JPEG, PNG or TIFF"
        )


def _check_kind(page: TiffPage) -> None:
    compression = page.number(COMPRESSION, RAW)
    if compression not in _COMPRESSIONS:
        name = _FOREIGN_COMPRESSIONS.get(compression, f"compression {compression}")
        raise UnsupportedImageError(
            f"a TIFF with {name} inside is not decoded here; send it with LZW or Deflate"
        )
    num_samples = max(page.count(BITS), page.count(SAMPLE_FORMAT))
    if num_samples > _MOST_SAMPLES:  # reading millions of them would take long
        raise ImageError(f"the TIFF picture is damaged: a pixel of {num_samples} samples")
    bits = page.numbers(BITS) or (1,)
    kinds = [_FORMATS[kind] for kind in page.numbers(SAMPLE_FORMAT) if kind in _FORMATS]
    if kinds or max(bits) > _MOST_BITS or page.number(COLOURS) in _LAB_COLOURS:
        raise unsupported_samples(page)
    is_planar = page.number(PLANAR, 1) == 2 and page.number(SAMPLES, len(bits)) > 1
    if is_planar and (bits[0] > 8 or page.number(COLOURS, 1) in _ONE_SAMPLE_COLOURS):
        raise UnsupportedImageError(
            f"a TIFF with such {bits[0]}-bit samples in separate planes is not decoded here; "
            "send it with the samples of a pixel together (planar configuration 1)"
        )


def unsupported_samples(page: TiffPage) -> UnsupportedImageError:
    """Return what to tell of samples that are not decoded."""
    bits = page.numbers(BITS) or (1,)
    kinds = [_FORMATS[kind] for kind in page.numbers(SAMPLE_FORMAT) if kind in _FORMATS]
    kind = "CIELAB" if page.number(COLOURS) in _LAB_COLOURS else kinds[0] if kinds else "such"
    number = page.number(SAMPLES, len(bits))
    return UnsupportedImageError(
        f"a TIFF of {kind} samples ({number} of {bits[0]} bits, colours of kind "
        f"{page.number(COLOURS, 1)}) is not decoded here; {_ADVICE}"
    )
