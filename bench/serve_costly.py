"""A neighbour's time beside the costliest pictures that are let in.

    python bench/serve_costly.py [--seconds 20] [--weights PATH]

One client sends a small photo over and over, alone and then beside another who sends nothing but
costly pictures, each changed by a byte so that none is known; alternating, in one run.
"""

from __future__ import annotations

import argparse
import io
import struct
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from masks import machine
from PIL import Image
from serve_load import Plan, Sent
from serve_process import Target, metrics, ours, put_load, started
from serve_weights import RANDOM, random_weights

_SIDE = 3900
_END = b"\xff\xd9"
_MOST_PASSES = 24


def costly_pictures() -> dict[str, bytes]:
    """Return pictures that cost much: by name."""
    return {"BMP of one-pixel runs": _run_length_bmp(), "JPEG of many scans": _many_scans()}


def _run_length_bmp() -> bytes:
    palette = b"".join(bytes((i, i, i, 0)) for i in range(256))
    runs = (b"\1\7" * _SIDE + b"\0\0") * _SIDE + b"\0\1"
    offset = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, _SIDE, _SIDE, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return struct.pack("<2sIHHI", b"BM", offset + len(runs), 0, 0, offset) + header + palette + runs


def _many_scans() -> bytes:
    """The last scan, a refinement of every coefficient, as often as is let in."""
    noise = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", progressive=True, quality=50)
    data = buffer.getvalue()
    last = data[data.rfind(b"\xff\xda") : -2]
    head = last[:10]
    return data[:-2] + head * (_MOST_PASSES - data.count(b"\xff\xda")) + _END


def measure(
    target: Target, small: Path, seconds: float, costly: list[str]
) -> tuple[list[Sent], list[Sent]]:
    """Return what became of the small pictures, and of the costly ones beside them."""
    beside: list[Sent] = []

    def plan(files: list[str]) -> Plan:
        return Plan(
            host=target.host, port=target.port, path=target.path, files=files, seconds=seconds
        )

    other = threading.Thread(target=lambda: beside.extend(put_load(plan(costly))[0]))
    if costly:
        other.start()
    found, _ = put_load(plan([str(small)]))
    if costly:
        other.join()
    return found, beside


def milliseconds(found: list[Sent], share: float) -> float:
    return float(np.quantile([1e3 * (one.done - one.sent) for one in found], share))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--weights", default="random-small")
    arguments = parser.parse_args()
    print(f"# A neighbour beside costly pictures\n\n{machine()}, {arguments.seconds:.0f} s each.\n")
    print("| beside | requests | not 200 | p50 ms | p99 ms | costly ones: answers |")
    print("|---|---:|---:|---:|---:|---|")
    with TemporaryDirectory() as folder:
        weights = arguments.weights
        if weights in RANDOM:
            weights = str(random_weights(weights, Path(folder)))
        small = Path(folder) / "small.jpg"
        noise = np.random.default_rng(1).integers(0, 256, (480, 640, 3), dtype=np.uint8)
        Image.fromarray(noise).save(small)
        command = ours(["--weights", weights])
        with started("blendmask", command, path="/segment", ready="/readyz", threads=2) as target:
            measure(target, small, 2.0, [])
            for _ in range(arguments.rounds):
                _show("nobody", *measure(target, small, arguments.seconds, []))
                for name, data in costly_pictures().items():
                    files = _changed_each(data, Path(folder), name)
                    _show(name, *measure(target, small, arguments.seconds, files))
            lost = sum(
                value
                for key, value in metrics(target).items()
                if key.startswith("blendmask_worker_restarts_total")
            )
            print(f"\nWorkers lost: {lost:.0f}.")
    return 0


def _changed_each(data: bytes, folder: Path, name: str) -> list[str]:
    files = []
    for number in range(8):
        file = folder / f"{name.replace(' ', '-')}-{number}.bin"
        file.write_bytes(data + bytes([number]))  # bytes behind the picture
        files.append(str(file))
    return files


def _show(name: str, found: list[Sent], beside: list[Sent]) -> None:
    codes = sorted({one.code for one in beside})
    answers = ", ".join(f"{code}: {sum(one.code == code for one in beside)}" for code in codes)
    bad = sum(one.code != 200 for one in found)
    p50, p99 = milliseconds(found, 0.5), milliseconds(found, 0.99)
    print(f"| {name} | {len(found)} | {bad} | {p50:.0f} | {p99:.0f} | {answers} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
