"""Picture files for the command line: which there are, their pixels, where overlays go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.pictures.decode import ImageError, decode_image

_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff")
)
_OVERLAY_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, kw_only=True)
class PictureFile:
    """A picture on disk.

    name: as the user gave it, or below the folder that the user gave.
    place: where it belongs in a folder of overlays.
    """

    path: Path
    name: str
    place: Path


def find_pictures(given: Sequence[str], *, recursive: bool) -> list[PictureFile]:
    """Return the pictures: files as given, folders as their pictures in the order of names.

    A file that does not exist is kept, to be told of by name when its turn comes.

    Raises:
        ValueError: a folder has no pictures, or nothing that was given exists.
    """
    found: list[PictureFile] = []
    for name in given:
        path = Path(name)
        if not path.is_dir():
            found.append(PictureFile(path=path, name=name, place=Path(path.name)))
            continue
        inside = sorted(
            file
            for file in (path.rglob("*") if recursive else path.glob("*"))
            if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".") and file.is_file()
        )
        if not inside:
            hint = "" if recursive else "; --recursive looks into its folders too"
            raise ValueError(f"{name} is a folder without pictures{hint}")
        found += [
            PictureFile(path=file, name=str(file), place=file.relative_to(path)) for file in inside
        ]
    if not any(picture.path.exists() for picture in found):
        raise ValueError(f"{given[0]}: no such file or folder")
    return found


def overlay_paths(pictures: Sequence[PictureFile], overlay: Path) -> dict[PictureFile, Path]:
    """Return where each picture's overlay goes: `overlay` itself, or a file in that folder.

    Raises:
        ValueError: several pictures and one file, or an overlay would replace a picture.
    """
    is_file = overlay.suffix.lower() in _OVERLAY_SUFFIXES and not overlay.is_dir()
    if is_file and len(pictures) > 1:
        raise ValueError(
            f"--overlay {overlay} is one file for {len(pictures)} pictures; give a folder"
        )
    if not is_file and overlay.exists() and not overlay.is_dir():
        raise ValueError(f"--overlay {overlay} must end in .png or .jpg, or be a folder")
    paths: dict[PictureFile, Path] = {}
    taken: set[Path] = set()
    for picture in dict.fromkeys(pictures):
        paths[picture] = overlay if is_file else _free_path(overlay / picture.place, taken)
        taken.add(paths[picture])
    originals = {picture.path.resolve() for picture in pictures}
    for path in taken:
        if path.resolve() in originals:
            raise ValueError(f"--overlay {overlay} would replace the picture {path}")
    return paths


def read_batches(
    pictures: Sequence[PictureFile], batch_size: int
) -> Iterator[list[tuple[PictureFile, np.ndarray | str]]]:
    """Yield so many pictures at a time with their pixels, while the next are being decoded.

    In place of the pixels of a picture that cannot be read stands the reason.
    """
    starts = range(0, len(pictures), batch_size)
    chunks = [pictures[start : start + batch_size] for start in starts]
    with ThreadPoolExecutor(max_workers=2) as pool:
        ahead: list[tuple[PictureFile, Future[np.ndarray | str]]] = []
        for chunk in (*chunks, []):
            batch, ahead = ahead, [(p, pool.submit(_read, p.path)) for p in chunk]
            if batch:
                yield [(picture, future.result()) for picture, future in batch]


def _read(path: Path) -> np.ndarray | str:
    try:
        return decode_image(path.read_bytes())
    except ImageError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _free_path(wanted: Path, taken: set[Path]) -> Path:
    if wanted.suffix.lower() not in _OVERLAY_SUFFIXES:
        wanted = wanted.with_name(f"{wanted.name}.png")
    path, number = wanted, 1
    while path in taken:
        number += 1
        path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
    return path
