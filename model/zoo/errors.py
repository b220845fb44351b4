"""The one error of getting weights from elsewhere."""

from __future__ import annotations


class ZooError(ValueError):
    """Weights cannot be had; the message says why, and how to give a local file instead."""


LOCAL_FILE_ADVICE = (
    "give a local file instead: --weights FILE "
    "(make serve WEIGHTS=FILE; in Python the path of the file)"
)
