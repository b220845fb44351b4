"""What an exception under the network means for the worker.

PyTorch is not imported: the process speaks of failures before it has it.
"""

from __future__ import annotations

from enum import Enum, auto

# As PyTorch's allocators and the device's libraries say it.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "cannot allocate memory",
    "_alloc_failed",
)
_BROKEN_DEVICE = (
    "cuda error",
    "hip error",
    "device-side assert",
    "_status_internal_error",
    "_status_execution_failed",
    "_status_mapping_error",
    "_status_not_initialized",
)


class Failure(Enum):
    """What went wrong."""

    MEMORY = auto()  # less work at a time may succeed
    DEVICE = auto()  # nothing succeeds any more in this process
    DEFECT = auto()  # ours; the next batch may succeed


def failure_of(error: BaseException) -> Failure:
    """Return what an exception means."""
    if isinstance(error, MemoryError):
        return Failure.MEMORY
    if not isinstance(error, RuntimeError):  # PyTorch's own are such
        return Failure.DEFECT
    text = str(error).lower()
    if any(phrase in text for phrase in _OUT_OF_MEMORY):
        return Failure.MEMORY
    is_accelerators = type(error).__name__ == "AcceleratorError"
    if is_accelerators or any(phrase in text for phrase in _BROKEN_DEVICE):
        return Failure.DEVICE
    return Failure.DEFECT


def one_line(error: BaseException) -> str:
    """Return the exception's kind and text on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
