"""The scans of a JPEG: what decoding them costs, and whether they hold the whole picture."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from model.pictures.errors import ImageError
from model.pictures.jpeg_segments import frame_position, header_end

# Where libjpeg-turbo's own fuzzing stops.
_MOST_SCANS = 500
# Decoders go through all blocks of a component for each scan that has it, however empty the scan
# is. Encoders make 4 to 10 passes.
_MOST_PASSES = 24
_MOST_SEGMENTS = 16_384

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_PROGRESSIVE = frozenset((0xC2, 0xCA))
# What ends a scan's data: a marker that is neither a stuffed FF, padding nor a restart.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_MOST_COEFFICIENTS = 64
_UNSENT = -1


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """blocks: of 8×8 samples, by the numbers that the frame gives its components."""

    is_progressive: bool
    blocks: dict[int, int]


def check_scans(data: bytes, *, room_for_blocks: int = 4_000_000) -> int:
    """Return how many blocks a decoder goes through, over all scans.

    Args:
        room_for_blocks: may be gone through in any case: one who sends every coefficient in a
            scan of its own makes many passes over a small picture.
    Raises:
        ImageError: more scans than any encoder makes of such a picture; or fewer than the picture
            has: a component without data, or coefficients whose lower bits never come.
        IndexError, struct.error: it ends inside a header.
    """
    frame = _read_frame(data)
    start = header_end(data)
    components, _ = _read_scan(data, start, frame)
    if not frame.is_progressive and len(components) == len(frame.blocks):
        return sum(frame.blocks.values())  # decoders stop behind it, so more of them cost nothing
    lowest_bits = {component: [_UNSENT] * _MOST_COEFFICIENTS for component in frame.blocks}
    limit = max(_MOST_PASSES * sum(frame.blocks.values()), room_for_blocks)
    cost = 0
    for num_scans, position in enumerate(_scan_positions(data, start), 1):
        components, (first, last, bit) = _read_scan(data, position, frame)
        cost += sum(frame.blocks[component] for component in components)
        if num_scans > _MOST_SCANS or cost > limit:
            raise ImageError(
                "the JPEG picture has more scans than any encoder makes: "
                f"{num_scans} or more for {sum(frame.blocks.values())} blocks; save it anew"
            )
        for component in components:
            lowest_bits[component][first : last + 1] = [bit] * (last + 1 - first)
    if any(bits[0] == _UNSENT or max(bits) > 0 for bits in lowest_bits.values()):
        raise ImageError("the JPEG picture is truncated: its last scans are missing")
    return cost


def _read_frame(data: bytes) -> _Frame:
    marker, position = frame_position(data)
    height, width, num_components = struct.unpack_from(">HHB", data, position + 3)
    sampling = {}
    for number in range(num_components):
        identity, factors = struct.unpack_from("BB", data, position + 8 + 3 * number)
        sampling[identity] = (factors >> 4, factors & 15)
    if not sampling or any(0 in factors for factors in sampling.values()):
        raise ImageError("the JPEG picture's frame header is damaged")
    most_across = max(across for across, _ in sampling.values())
    most_down = max(down for _, down in sampling.values())
    return _Frame(
        is_progressive=marker in _PROGRESSIVE,
        blocks={
            identity: -(-width * across // (8 * most_across)) * -(-height * down // (8 * most_down))
            for identity, (across, down) in sampling.items()
        },
    )


def _scan_positions(data: bytes, position: int) -> list[int]:
    """Return where the lengths of scan headers stand, the first of them at `position`."""
    positions = [position]
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.search(data, position + struct.unpack_from(">H", data, position)[0])
        if found is None or data[found.end() - 1] == _END_OF_IMAGE:
            return positions
        position = found.end()
        if data[position - 1] == _START_OF_SCAN:
            positions.append(position)
            if len(positions) > _MOST_SCANS:  # enough to refuse it
                return positions
    raise ImageError(f"the JPEG picture has more than {_MOST_SEGMENTS} segments")


def _read_scan(
    data: bytes, position: int, frame: _Frame
) -> tuple[frozenset[int], tuple[int, int, int]]:
    """Return the scan's components; its first and last coefficient and the lowest bit of them."""
    num_components = data[position + 2]
    components = data[position + 3 : position + 3 + 2 * num_components : 2]
    if not components or not frozenset(components) <= frozenset(frame.blocks):
        raise ImageError("the JPEG picture has a scan of components that its frame has not")
    if not frame.is_progressive:
        return frozenset(components), (0, _MOST_COEFFICIENTS - 1, 0)
    first, last, bits = struct.unpack_from("BBB", data, position + 3 + 2 * num_components)
    if not first <= last < _MOST_COEFFICIENTS:
        raise ImageError("the JPEG picture has a scan of coefficients that there are not")
    return frozenset(components), (first, last, bits & 15)
