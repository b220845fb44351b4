"""Label Studio's brush: a mask as thi.ng's rle-pack of a picture's RGBA bytes."""

from __future__ import annotations

import numpy as np

from model.answers.dialects.rows import tight_crop
from model.masks.run_lengths import counts_of
from model.structures import RLE

# Of the packed runs: bits of a run's length less one. The smallest that holds it is taken.
_LENGTH_BITS = np.array([3, 4, 8, 16])
_VALUE_BITS = 8
_MAX_RUN = 2**16
_CHANNELS = 4  # red, green, blue, alpha, all alike
_OPAQUE = 255


def brush(mask: RLE) -> bytes:
    """Return a mask as Label Studio's brush: thi.ng's rle-pack of the picture's RGBA bytes.

    A head of the number of bytes (32 bits), the bits of a value less one (5) and of the four
    sizes of a length less one (4 each); then for each run of equal bytes a 1, which of the sizes
    (2), the length less one (so many bits), and the value (8). At the end up to eight zeros.
    """
    height, width = mask["size"]
    crop = tight_crop(mask)
    if crop is None:
        counts = np.array([height * width])
    else:  # the rows of a picture are the columns of its transpose
        counts = counts_of(crop.pixels.T, crop.left, crop.top, width, height)
    values = np.where(np.arange(len(counts)) % 2 == 0, 0, _OPAQUE)
    lengths, values = _split(counts * _CHANNELS, values)
    sizes = np.searchsorted(2**_LENGTH_BITS, lengths)
    fields = np.stack((4 | sizes, lengths - 1, values), axis=1).ravel()
    num_bits = np.stack(
        (np.full_like(sizes, 3), _LENGTH_BITS[sizes], np.full_like(sizes, _VALUE_BITS)), axis=1
    ).ravel()
    head = [height * width * _CHANNELS, _VALUE_BITS - 1, *(_LENGTH_BITS - 1)]
    bits = _bits(np.append(head, fields), np.append([32, 5, 4, 4, 4, 4], num_bits))
    return np.packbits(np.append(bits, np.zeros(8 - len(bits) % 8, np.uint8))).tobytes()


def _split(lengths: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the runs without empty ones, and with those cut that are too long for their field."""
    pieces = -(-lengths // _MAX_RUN)
    cut = np.full(pieces.sum(), _MAX_RUN)
    ends = np.cumsum(pieces)[pieces > 0] - 1
    cut[ends] = ((lengths - 1) % _MAX_RUN + 1)[pieces > 0]
    return cut, np.repeat(values, pieces)


def _bits(values: np.ndarray, num_bits: np.ndarray) -> np.ndarray:
    """Return the numbers' bits one after the other, uint8, the highest of each first."""
    ends = np.cumsum(num_bits)
    place = np.repeat(ends, num_bits) - np.arange(ends[-1]) - 1
    bits = (np.repeat(values, num_bits) >> place) & 1
    return np.asarray(bits, dtype=np.uint8)
