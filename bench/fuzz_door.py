"""Spoilt pictures at the decoder's door, watched."""

from __future__ import annotations

import json
import mmap
import resource
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from fuzz_mutations import mutated
from fuzz_seeds import seed_pictures

from model.pictures.decode import decode_image
from model.pictures.decoding_process import DecodingProcess
from model.pictures.errors import (
    ImageError,
    ImageTooCostlyError,
    ImageTooLargeError,
    UnsupportedImageError,
)
from model.pictures.header import read_header
from service.configuration.settings import Settings
from service.worker.aside import CPU_S, WALL_S, is_costly

# Of a core, for what is decoded in this process, which promised a half of it at the most; what is
# decoded aside, as the service does, has what the service gives it.
BUDGET_S = 1.0
HANG_S = 20.0
_PROGRAM = Path(__file__).with_name("fuzz_images.py")
_MEMORY_BYTES = 4 * 2**30
_POLL_S = 0.05

_ASIDE = DecodingProcess(cpu_seconds=CPU_S, wall_seconds=WALL_S)

_REFUSALS: dict[type[ImageError], str] = {
    ImageTooCostlyError: "too costly",
    ImageTooLargeError: "too large",
    UnsupportedImageError: "unsupported",
    ImageError: "not an image",
}

_MAX_PIXELS = Settings.model_fields["max_pixels"].default
_MAX_SIDE = Settings.model_fields["max_side"].default


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a case. defect: None if it is one of the allowed outcomes.

    header_seconds: of `seconds`, what reading the header took, which the front end does.
    """

    number: int
    name: str
    result: str
    seconds: float
    header_seconds: float = 0.0
    defect: str | None


def open_door(data: bytes) -> tuple[str, float]:
    """Return "decoded", or which refusal it was; and the seconds that the header took.

    Raises:
        AssertionError: a picture that is not as promised. Anything else that is no ImageError.
    """
    begun = time.perf_counter()
    header_s = None
    try:
        header = read_header(data)
        header_s = time.perf_counter() - begun
        if is_costly(data):
            image = _ASIDE.decode(data, max_pixels=_MAX_PIXELS, max_side=_MAX_SIDE)
        else:
            image = decode_image(data, max_pixels=_MAX_PIXELS, max_side=_MAX_SIDE)
    except ImageError as error:
        refusal = next(word for kind, word in _REFUSALS.items() if isinstance(error, kind))
        return refusal, header_s or time.perf_counter() - begun
    assert image.dtype == np.uint8, image.dtype
    assert image.flags.c_contiguous
    assert image.flags.writeable
    assert image.shape == (*header.upright_size, 3), (image.shape, header)
    return "decoded", header_s


def run_cases(seed: int, first: int, last: int, progress: mmap.mmap) -> None:
    """Run the cases from first to last in this process: a line of JSON each on stdout."""
    warnings.simplefilter("ignore")
    seeds = seed_pictures()
    for number in range(first, last):
        origin, data = mutated(seeds, seed, number)
        progress[:16] = struct.pack("<qd", number, time.monotonic())
        begun, defect, result, header_s = time.perf_counter(), None, "defect", 0.0
        worked = time.process_time()
        try:
            result, header_s = open_door(data)
        except BaseException as error:
            defect = f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - begun
        if seconds > HANG_S or time.process_time() - worked > BUDGET_S:
            defect = f"took {seconds:.1f} s, {time.process_time() - worked:.1f} of them working"
        outcome = Outcome(
            number=number,
            name=origin.name,
            result=result,
            seconds=seconds,
            header_seconds=header_s,
            defect=defect,
        )
        print(json.dumps(asdict(outcome)), flush=defect is not None)


def watch(seed: int, first: int, last: int) -> Iterator[Outcome]:
    """Yield what became of the cases, run in children that may die or hang."""
    seeds = seed_pictures()
    while first < last:
        with tempfile.TemporaryFile() as shared, tempfile.TemporaryFile() as output:
            shared.truncate(mmap.PAGESIZE)
            progress = mmap.mmap(shared.fileno(), mmap.PAGESIZE)
            progress[:16] = struct.pack("<qd", first, time.monotonic() + 60)  # it has to start
            process = subprocess.Popen(
                [
                    *(sys.executable, str(_PROGRAM), "--seed", str(seed)),
                    *("--child", str(shared.fileno()), str(first), str(last)),
                ],
                stdout=output,
                stderr=subprocess.DEVNULL,  # libtiff speaks of every fault
                pass_fds=[shared.fileno()],
                preexec_fn=_limit_memory,
            )
            hung = _wait(process, progress)
            at, _ = struct.unpack("<qd", progress[:16])
            output.seek(0)
            begun_at = first
            for line in output.read().splitlines():
                try:
                    outcome = Outcome(**json.loads(line))
                except ValueError:
                    break  # the child died while it wrote this one
                first = outcome.number + 1
                yield outcome
            if process.returncode != 0 and hung is None and first < at:
                continue  # lines that died in its buffer: run them again
            if process.returncode != 0:
                text = hung or f"the process died with code {process.returncode}"
                name = mutated(seeds, seed, at)[0].name
                yield Outcome(number=at, name=name, result="defect", seconds=0, defect=text)
                first = at + 1
            elif first == begun_at:
                raise RuntimeError("the child has run no case, and says that all is well")


def _wait(process: subprocess.Popen[bytes], progress: mmap.mmap) -> str | None:
    """Wait for the child; kill it, and say so, when a case takes too long."""
    while process.poll() is None:
        time.sleep(_POLL_S)
        number, begun = struct.unpack("<qd", progress[:16])
        late = time.monotonic() - begun
        if late > HANG_S + _POLL_S:
            process.kill()
            process.wait()
            return f"case {number} hangs: killed after {late:.1f} s"
    return None


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
