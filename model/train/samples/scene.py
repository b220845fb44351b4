"""One picture's annotations and pixels to what the losses read."""
# G objects kept, M mask side, H and W of the picture, h and w of the augmented one

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from model.datasets.records import PanopticTruth, Picture
from model.masks.panoptic_png import read_panoptic_png
from model.masks.rasterise import (
    Bitmap,
    Polygons,
    Shape,
    bitmap_of,
    bitmap_on_grid,
    paint,
    polygons_on_grid,
)
from model.train.samples.augment import Colour, Geometry
from model.train.samples.batch import TrainingSample

UNKNOWN = 255  # in labels of uint8: no truth here
UNKNOWN_OF_MANY = -1  # the same in basis labels of int32, for more classes than fit beside it
_MIN_SIDE = 1e-5


@dataclass(frozen=True, kw_only=True)
class Objects:
    """The objects of an augmented picture.

    boxes_xyxy: (G, 4) float32. classes: (G,) int64. masks: (G, M, M) bool. has_mask: (G,) bool.
    annotations: (G,) int64, which of the picture's annotations each is.
    """

    boxes_xyxy: np.ndarray
    classes: np.ndarray
    masks: np.ndarray
    has_mask: np.ndarray
    annotations: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Scene:
    """An augmented picture in arrays, before it becomes tensors; what it was made from.

    rgb: (h, w, 3) uint8. basis_labels: (h, w) uint8 or, of many classes, int32.
    semantic_labels: (h, w) uint8 or None.
    """

    picture: Picture
    geometry: Geometry
    rgb: np.ndarray
    objects: Objects
    basis_labels: np.ndarray
    semantic_labels: np.ndarray | None


def shapes_of(picture: Picture) -> list[Shape | None]:
    """Return each annotation's mask, run lengths as crops."""
    shapes: list[Shape | None] = []
    for index in range(len(picture.classes)):
        stored = picture.shape(index)
        shapes.append(bitmap_of(stored) if isinstance(stored, dict) else stored)
    return shapes


def make_scene(
    picture: Picture,
    rgb: np.ndarray,
    geometry: Geometry,
    *,
    mask_size: int,
    labelled: np.ndarray,
    semantic: bool,
) -> Scene:
    """Apply a geometry to a picture and all that is known of it.

    Args:
        rgb: (H, W, 3) uint8, as decoded.
        labelled: (C,) bool, the classes that the picture's data set labels.
        semantic: read the panoptic truth, if the picture has any.
    """
    shapes = shapes_of(picture)
    semantic_labels = None
    if semantic and picture.panoptic is not None:
        truth = stuff_labels(picture.panoptic, picture.height, picture.width)
        semantic_labels = geometry.labels(truth)
    return Scene(
        picture=picture,
        geometry=geometry,
        rgb=geometry.picture(rgb),
        objects=_objects(picture, shapes, geometry, mask_size),
        basis_labels=geometry.labels(basis_labels(picture, shapes, labelled)),
        semantic_labels=semantic_labels,
    )


def basis_labels(picture: Picture, shapes: list[Shape | None], labelled: np.ndarray) -> np.ndarray:
    """Return (H, W): class + 1 painted in the order of the file, crowds too, 0 elsewhere.

    It is uint8, or int32 where there are too many classes. Where a data set doesn't label all
    classes, what is not painted is unknown; so are boxes that have no mask.
    """
    is_many = len(labelled) >= UNKNOWN
    unknown = UNKNOWN_OF_MANY if is_many else UNKNOWN
    start = 0 if labelled.all() else unknown
    canvas = np.full(
        (picture.height, picture.width), start, dtype=np.int32 if is_many else np.uint8
    )
    for box, shape in zip(picture.boxes_xyxy, shapes, strict=True):
        if shape is None:
            x0, y0, x1, y1 = np.maximum(box, 0)
            canvas[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = unknown
    values = (picture.classes + 1).tolist()
    painted = [(s, v) for s, v in zip(shapes, values, strict=True) if s is not None]
    paint(painted, picture.height, picture.width, canvas=canvas)
    return canvas


def stuff_labels(truth: PanopticTruth, height: int, width: int) -> np.ndarray:
    """Return (H, W) uint8: 0 things, from 1 stuff, 255 where nothing is labelled."""
    ids = read_panoptic_png(Path(truth.file), height, width)
    if len(truth.ids) == 0:
        return np.full(ids.shape, UNKNOWN, np.uint8)
    place = np.minimum(np.searchsorted(truth.ids, ids), len(truth.ids) - 1)
    return np.where(truth.ids[place] == ids, truth.labels[place], np.uint8(UNKNOWN))


def _objects(
    picture: Picture, shapes: list[Shape | None], geometry: Geometry, mask_size: int
) -> Objects:
    """Return what is left of the objects; crowds and what the crop left nothing of are dropped."""
    boxes: list[np.ndarray] = []
    masks: list[np.ndarray | None] = []
    kept: list[int] = []
    frames = geometry.boxes(picture.boxes_xyxy).astype(np.float32)
    for index in np.flatnonzero(~picture.is_crowd).tolist():
        box, mask = _placed(shapes[index], frames[index], geometry, mask_size)
        if (box[2:] - box[:2]).min() > _MIN_SIDE:
            boxes.append(box)
            masks.append(mask)
            kept.append(index)
    grids = np.zeros((len(masks), mask_size, mask_size), dtype=bool)
    for grid, mask in zip(grids, masks, strict=True):
        if mask is not None:
            grid[:] = mask
    return Objects(
        boxes_xyxy=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        classes=picture.classes[np.array(kept, dtype=np.int64)],
        masks=grids,
        has_mask=np.array([mask is not None for mask in masks], dtype=bool),
        annotations=np.array(kept, dtype=np.int64),
    )


def _placed(
    shape: Shape | None, frame: np.ndarray, geometry: Geometry, mask_size: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return an object's box (4,) float32, empty if nothing is left, and its mask on the grid.

    The box is the annotation's; after a crop it is the tight one of what is visible.
    """
    if shape is None:
        return frame, None
    if isinstance(shape, Bitmap):
        return _placed_bitmap(shape, frame, geometry, mask_size)
    return _placed_polygons(shape, frame, geometry, mask_size)


def _placed_polygons(
    polygons: Polygons, frame: np.ndarray, geometry: Geometry, mask_size: int
) -> tuple[np.ndarray, np.ndarray | None]:
    visible = geometry.polygons(polygons)
    if not visible:
        return np.zeros(4, dtype=np.float32), None
    if geometry.crop is not None:
        corners = np.concatenate(visible)
        frame = np.concatenate((corners.min(axis=0), corners.max(axis=0))).astype(np.float32)
    return frame, polygons_on_grid(visible, frame, mask_size)


def _placed_bitmap(
    bitmap: Bitmap, frame: np.ndarray, geometry: Geometry, mask_size: int
) -> tuple[np.ndarray, np.ndarray | None]:
    if geometry.crop is not None:
        tight = _tight_box(bitmap, geometry)
        if tight is None:
            return np.zeros(4, dtype=np.float32), None
        frame = geometry.boxes(tight[None])[0].astype(np.float32)
    back = geometry.points_back(frame.reshape(2, 2))
    source = np.concatenate((back.min(axis=0), back.max(axis=0)))
    grid = bitmap_on_grid(bitmap, source, mask_size)
    return frame, grid[:, ::-1] if geometry.flip else grid


def _tight_box(bitmap: Bitmap, geometry: Geometry) -> np.ndarray | None:
    """Return the extent, in the picture, of the mask's pixels inside the crop."""
    window = geometry.window
    top, left = max(window.top - bitmap.top, 0), max(window.left - bitmap.left, 0)
    bottom = max(window.top + window.height - bitmap.top, 0)
    right = max(window.left + window.width - bitmap.left, 0)
    seen = bitmap.crop[top:bottom, left:right]
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if len(rows) == 0:
        return None
    low = np.array([bitmap.left + left + columns[0], bitmap.top + top + rows[0]])
    high = np.array([bitmap.left + left + columns[-1] + 1, bitmap.top + top + rows[-1] + 1])
    return np.concatenate((low, high)).astype(np.float64)


def to_sample(
    scene: Scene,
    *,
    colour: Colour | None,
    channels: str,
    labelled: np.ndarray,
    image_id: int | str,
) -> TrainingSample:
    """Return the tensors of a scene; its colours are changed last."""
    rgb = colour.picture(scene.rgb) if colour is not None else scene.rgb
    ordered = rgb[:, :, ::-1] if channels == "bgr" else rgb
    semantic = scene.semantic_labels
    return TrainingSample(
        pixels=_tensor(ordered.transpose(2, 0, 1)),
        boxes_xyxy=_tensor(scene.objects.boxes_xyxy),
        classes=_tensor(scene.objects.classes),
        masks=_tensor(scene.objects.masks),
        has_mask=_tensor(scene.objects.has_mask),
        basis_labels=_tensor(scene.basis_labels[::8, ::8]),
        semantic_labels=None if semantic is None else _tensor(semantic),
        labelled_classes=_tensor(labelled),
        image_id=image_id,
    )


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(array, order="C"))
