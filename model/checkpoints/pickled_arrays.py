"""Stand-ins for numpy while a pickle is read: arrays come back, and no code of numpy's runs.

numpy's own reconstruction functions trust what a pickle tells them. These classes take the
same calls, check them, and make an array from plain bytes. Every stand-in is a class with
`__setstate__`, so a pickle can set attributes on none of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_PLAIN_TYPES = frozenset(("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"))


class PickledDtype:
    """A plain number type: its code (`f4`) and, from the state, its byte order."""

    __slots__ = ("dtype",)

    def __init__(self, code: object = None, *_flags: object) -> None:
        text = code.decode("latin-1") if isinstance(code, bytes) else str(code)
        if text not in _PLAIN_TYPES:
            raise ValueError(f"an array of {text!r} is in it; plain numbers would be right")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("latin-1") if isinstance(state[1], bytes) else state[1]
        if order == ">":
            self.dtype = self.dtype.newbyteorder(">")
        elif order not in ("<", "|", "="):
            raise ValueError(f"an array's byte order is {order!r}")


class PickledArray:
    """An array; `array` has it once the state has come."""

    __slots__ = ("array",)

    def __init__(self, *_: object) -> None:
        self.array: np.ndarray = np.empty(0, np.float32)

    def __setstate__(self, state: Any) -> None:
        _version, shape, dtype, is_fortran, raw = state
        self._fill(raw, dtype, shape, "F" if is_fortran else "C")

    def _fill(self, raw: Any, dtype: Any, shape: Any, order: Any) -> None:
        """Check the parts and make the array: a copy, in native byte order."""
        if not isinstance(dtype, PickledDtype):
            raise ValueError(f"an array's type is {dtype!r}")
        if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError(f"an array's shape is {shape!r}")
        data = raw.encode("latin-1") if isinstance(raw, str) else bytes(memoryview(raw))
        wanted = math.prod(shape) * dtype.dtype.itemsize
        if len(data) != wanted:
            raise ValueError(f"an array has {len(data)} bytes; its shape needs {wanted}")
        flat = np.frombuffer(data, dtype.dtype)
        native = dtype.dtype.newbyteorder("=")
        self.array = flat.reshape(shape, order="F" if order == "F" else "C").astype(native)


class PickledBuffer(PickledArray):
    """An array as numpy writes it with pickle protocol 5."""

    __slots__ = ()

    def __init__(
        self, raw: object, dtype: object, shape: object, order: object, *_: object
    ) -> None:
        self._fill(raw, dtype, shape, order)


class PickledScalar(PickledArray):
    """A number of numpy's own: an array without axes."""

    __slots__ = ()

    def __init__(self, dtype: object, raw: object = b"") -> None:
        self._fill(raw, dtype, (), "C")


class LatinBytes(bytes):
    """Bytes that an old protocol wrote as text."""

    def __new__(cls, text: str = "", encoding: str = "latin1") -> LatinBytes:
        """Encode; only the one encoding that pickle itself uses for bytes."""
        if encoding not in ("latin1", "latin-1"):
            raise ValueError(f"bytes in it are encoded as {encoding!r}")
        return super().__new__(cls, text, encoding)

    def __setstate__(self, _state: object) -> None:
        raise ValueError("bytes in it have a state")


# numpy 1 and numpy 2 keep the same functions in modules of different names.
NUMPY_STAND_INS: dict[str, type] = {
    "numpy.ndarray": PickledArray,
    "numpy.dtype": PickledDtype,
    **{
        f"numpy.{core}.{name}": stand_in
        for core in ("core", "_core")
        for name, stand_in in (
            ("multiarray._reconstruct", PickledArray),
            ("multiarray.scalar", PickledScalar),
            ("numeric._frombuffer", PickledBuffer),
        )
    },
}
