"""The CUDA kernels compiled as plain C++: `blendmask_emulated` has the operations of `blendmask`.

tests/csrc/emulation.h stands in for CUDA; everything else is the code that runs on a GPU.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parent.parent
OPERATIONS = sorted(path.stem for path in (ROOT / "csrc" / "cuda").glob("*.cu"))
COMPILER = shutil.which("c++") or shutil.which("g++")
FLAGS = (
    "-std=c++20", "-O1", "-g", "-Wall", "-Werror", "-fPIC", "-fvisibility=hidden",
    "-ffp-contract=off", "-DBLENDMASK_EMULATED", "-DTORCH_TARGET_VERSION=0x020b000000000000",
)  # fmt: skip
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
_LIBRARY = torch.library.Library("blendmask_emulated", "DEF")


@functools.cache
def emulated(folder: Path, *, sanitize: bool = False) -> Any:
    """Return `torch.ops.blendmask_emulated`, compiled into the folder."""
    torch_folder = Path(torch.__file__).parent
    for name in OPERATIONS:
        _LIBRARY.define(str(getattr(torch.ops.blendmask, name).default._schema).split("::")[1])
    # All in one, which reads torch's headers once.
    source, library = folder / "emulated.cpp", folder / "emulated.so"
    source.write_text("".join(f'#include "{name}.cu"\n' for name in OPERATIONS))
    folders = [torch_folder / "include", ROOT / "tests" / "csrc", ROOT / "csrc" / "cuda"]
    flags = [*FLAGS, *(SANITIZE if sanitize else ()), *(f"-I{one}" for one in folders)]
    torch_library = (f"-L{torch_folder / 'lib'}", "-ltorch_cpu")
    subprocess.run([COMPILER, *flags, source, "-shared", "-o", library, *torch_library], check=True)
    torch.ops.load_library(library)
    return torch.ops.blendmask_emulated
