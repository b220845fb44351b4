"""What may be wrong with single pictures and annotations of a COCO-style file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from model.datasets.annotations import Annotation
from model.datasets.described_picture import DescribedPicture
from model.datasets.findings import Findings
from model.datasets.own_box import is_far_from_mask
from model.datasets.panoptic_file import Partition, read_true_map
from model.pictures.decode import ImageError, decode_image, read_header

_TINY = 4


FoundKind = tuple[str, str]  # a kind of finding, and an example of it


def check_file(path: Path, height: int, width: int, *, quick: bool) -> FoundKind | None:
    """Return the kind and an example if a picture's file is not as it should be, else None.

    Args:
        quick: don't decode pixels.
    """
    try:
        data = path.read_bytes()
        size = read_header(data).upright_size if quick else decode_image(data).shape[:2]
    except OSError as error:
        return "missing", f"{path} ({error.strerror})"
    except ImageError as error:
        return "undecodable", f"{path}: {error}"
    if size != (height, width):
        return "size", f"{path} is {size[1]}×{size[0]}, not {width}×{height}"
    return None


def check_map(
    folder: Path,
    picture: str,
    partition: Partition | None,
    height: int,
    width: int,
    *,
    quick: bool = False,
) -> FoundKind | None:
    """Return the kind and an example if a picture's panoptic truth won't do, else None.

    Args:
        quick: only look whether there is a file.
    """
    if partition is None:
        return "panoptic_row", picture
    path = folder / partition.file_name
    try:
        path.stat()
        if not quick:
            read_true_map(folder, partition, height, width)
    except OSError as error:
        return "panoptic_missing", f"{path} ({error.strerror})"
    except ValueError as error:
        return "panoptic_map", f"{picture}: {error}"
    return None


def check_annotation(annotation: Annotation, picture: DescribedPicture, findings: Findings) -> None:
    """Look for what is odd about an annotation that can be used."""
    name = f"annotation {annotation.id!r} of {picture.file_name}"
    if annotation.is_crowd:
        findings.add("crowd", name)
        return
    if annotation.shape is None:
        findings.add("no_mask", name)
    x, y, w, h = annotation.box_xywh
    box = np.array([x, y, x + w, y + h])
    limits = np.array([picture.width, picture.height] * 2, dtype=np.float64)
    clipped = np.clip(box, 0, limits)
    corners = ", ".join(f"{value:g}" for value in box)
    shown = f"{name}: {corners} in {picture.width}×{picture.height}"
    if np.abs(clipped - box).max() > 1:
        findings.add("outside", shown)
    if (clipped[2:] - clipped[:2]).min() < _TINY:
        findings.add("tiny", shown)
    if is_far_from_mask(annotation, picture.height, picture.width):
        findings.add("apart", shown)
