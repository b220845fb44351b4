"""What is said between those who want a costly picture decoded and the process that does it."""

from __future__ import annotations

import socket
import struct

from model.pictures.background import BACKGROUNDS, Background
from model.pictures.errors import ImageError, ImageTooLargeError, UnsupportedImageError

# The encoded bytes that follow, most pixels, longest side; place of the background.
QUESTION = struct.Struct("<QQQB")
ASKED_BACKGROUNDS: tuple[Background | None, ...] = (None, *BACKGROUNDS)
# 0, or one more than the index of an error, or MEMORY; height; width; bytes of text that follow.
# The pixels are in the memory that both have.
ANSWER = struct.Struct("<BIII")
ERRORS: tuple[type[ImageError], ...] = (ImageError, UnsupportedImageError, ImageTooLargeError)
MEMORY = 255


def receive(link: socket.socket, num_bytes: int) -> bytes | None:
    """Return so many bytes; None if the other end is closed before."""
    parts = bytearray(num_bytes)
    view = memoryview(parts)
    while view:
        received = link.recv_into(view)
        if received == 0:
            return None
        view = view[received:]
    return bytes(parts)
