"""Compiles what there is to compile; everything else stands in pyproject.toml.

The operations of csrc/ are speed, never function: without a compiler, or without torch at
build time, the package installs all the same and its plain references are used. They are
built against libtorch's stable ABI, so one build serves torch 2.11 and later. Build without
isolation (pip install --no-build-isolation), or the isolated build won't see torch.

The kernels are compiled where torch is a CUDA build and its toolkit is there; what fails there
leaves the CPU's operations in place.

BLENDMASK_SANITIZE=1 builds with the Address and UndefinedBehavior sanitizers (make test-asan),
for the CPU alone. BLENDMASK_CUDA_ARCHITECTURES="90" compiles the kernels for one device only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import PlatformError
from setuptools.modified import newer_group

ROOT = Path(__file__).parent
OLDEST_TORCH = "0x020b000000000000"  # 2.11: the ABI that the operations keep to
DEFINES = [("TORCH_TARGET_VERSION", OLDEST_TORCH), ("Py_LIMITED_API", "0x030b0000")]
# A contracted multiply-add would round differently from the references. Floating-point exceptions
# and errno are nobody's business here; heeding them keeps the compiler from making vectors.
FLAGS = ["-std=c++20", "-O3", "-ffp-contract=off", "-fno-trapping-math", "-fno-math-errno"]
FLAGS += ["-fvisibility=hidden", "-g0"]
CUDA_FLAGS = [
    "-std=c++20",
    "-O3",
    "--fmad=false",
    "-Xcompiler=-fPIC,-fvisibility=hidden,-Wall",
    "--threads=0",
]
# By their own code those of these that the compiler knows; anything newer from portable code.
CUDA_ARCHITECTURES = ["80", "86", "89", "90", "100", "120"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-g", "-O1"]


def toolkit(cuda_version: str) -> Path | None:
    """Return the CUDA toolkit's folder if there is one of torch's major version."""
    candidates = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    compilers = [Path(home) / "bin" / "nvcc" for home in candidates if home]
    compilers += [Path(found) for found in (shutil.which("nvcc"),) if found]
    for compiler in compilers:
        if not compiler.is_file():
            continue
        # The nvcc on PATH may be a wrapper: the compiler itself knows where it lives.
        said = subprocess.run(
            [compiler, "--dryrun", "-x", "cu", os.devnull], capture_output=True, text=True
        ).stderr
        top = re.search(r"^#\$ _HERE_=(.+)$", said, re.MULTILINE)
        home = Path(top.group(1).strip()).resolve().parent if top else compiler.resolve().parents[1]
        version = subprocess.run(
            [home / "bin" / "nvcc", "--version"], capture_output=True, text=True
        ).stdout
        if f"release {cuda_version.split('.')[0]}." in version:
            return home
    return None


def extensions() -> list[Extension]:
    """Return one extension for the CPU and, where it can be built, one for CUDA."""
    try:
        import torch
    except Exception as error:  # a broken torch must not break the installation either
        sys.stderr.write(f"csrc is left out, torch cannot be imported: {error}\n")
        return []
    installed = Path(torch.__file__).parent
    sanitize = SANITIZE if os.environ.get("BLENDMASK_SANITIZE") == "1" else []
    shared: dict[str, Any] = {
        "define_macros": DEFINES,
        "include_dirs": [str(installed / "include")],
        "library_dirs": [str(installed / "lib")],
        "extra_link_args": [*sanitize, "-Wl,--no-as-needed"],
        "optional": True,
        "py_limited_api": True,
    }
    found = [
        Extension(
            "model.operations._ops_cpu",
            sources("cpu", ".cpp"),
            depends=sources("cpu", ".h") + sources(".", ".h"),
            extra_compile_args=[*FLAGS, *sanitize],
            libraries=["torch_cpu"],
            **shared,
        )
    ]
    kernels = sources("cuda", ".cu")
    wanted = kernels and torch.version.cuda and not sanitize
    home = toolkit(torch.version.cuda) if wanted else None
    if wanted and home is None:
        sys.stderr.write(f"csrc/cuda is left out: no toolkit of CUDA {torch.version.cuda} found\n")
    if home is not None:
        shared["include_dirs"] = [*shared["include_dirs"], str(home / "include")]
        shared["library_dirs"] = [*shared["library_dirs"], str(home / "lib64")]
        cuda = Extension(
            "model.operations._ops_cuda",
            kernels,
            depends=sources("cuda", ".cuh") + sources(".", ".h"),
            language="c++",
            libraries=["torch_cuda", "torch_cpu", "cudart_static", "dl", "rt", "pthread"],
            **shared,
        )
        cuda.compiler = home / "bin" / "nvcc"
        found.append(cuda)
    return found


def architecture_flags(compiler: Path) -> list[str]:
    """Return what makes nvcc compile for every wanted architecture that it knows."""
    known = subprocess.run([compiler, "--list-gpu-code"], capture_output=True, text=True).stdout
    chosen = os.environ.get("BLENDMASK_CUDA_ARCHITECTURES", "").split() or CUDA_ARCHITECTURES
    chosen = [number for number in chosen if f"sm_{number}" in known.split()]
    if not chosen:
        raise PlatformError(f"{compiler} knows none of the architectures that csrc/cuda is for")
    flags = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in chosen]
    return [*flags, f"-gencode=arch=compute_{chosen[-1]},code=compute_{chosen[-1]}"]


def sources(folder: str, suffix: str) -> list[str]:
    """Return the files of csrc/<folder> with that ending, relative to this file."""
    paths = (ROOT / "csrc" / folder).glob(f"*{suffix}")
    return sorted(str(path.relative_to(ROOT)) for path in paths)


class BuildOperations(build_ext):
    """`build_ext` that gives .cu files to nvcc and survives the lack of any compiler."""

    def build_extension(self, ext: Extension) -> None:
        """Compile one extension."""
        if compiler := getattr(ext, "compiler", None):
            kernels, ext.sources = ext.sources, []
            ext.depends = [*kernels, *ext.depends]
            if self.force or newer_group(ext.depends, self.get_ext_fullpath(ext.name)):
                ext.extra_objects = [self.compile_kernels(compiler, ext, kernels)]
        super().build_extension(ext)

    def compile_kernels(self, compiler: Path, ext: Extension, kernels: list[str]) -> str:
        """Return the object file that nvcc makes of .cu files.

        All in one, which reads torch's headers once: a third of the time.
        """
        source = Path(self.build_temp).absolute() / "kernels.cu"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text("".join(f'#include "{ROOT / name}"\n' for name in kernels))
        defines = [f"-D{name}={value}" for name, value in ext.define_macros]
        includes = [f"-I{path}" for path in ext.include_dirs]
        command = [str(compiler), *CUDA_FLAGS, *architecture_flags(compiler), "-DUSE_CUDA"]
        target = str(source.with_suffix(".o"))
        self.spawn([*command, *defines, *includes, "-c", str(source), "-o", target])
        return target


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildOperations},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
