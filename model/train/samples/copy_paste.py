"""Objects of one picture pasted over another (simple copy-paste, arXiv:2012.07177)."""
# G objects, h and w of the augmented picture

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model.masks.rasterise import Bitmap, Shape, bitmap_on_grid, fill, paint
from model.train.samples.augment import Geometry, Random
from model.train.samples.scene import Objects, Scene, shapes_of

_MIN_PIXELS = 32  # pasted objects are at least so large
_MIN_VISIBLE = 0.1  # what is left of an object below; with less it is gone
_MAX_COVERED = 0.7  # of a box without a mask


def paste_objects(random: Random, scene: Scene, other: Scene) -> Scene:
    """Return the scene with about half of the other's objects pasted over it, where they are.

    Objects below lose what is covered: mask and box follow. Both scenes must be of data sets
    that label the same classes.
    """
    height, width = scene.basis_labels.shape
    pasted = _chosen_masks(random, other, height, width)
    if not pasted:
        return scene
    cover = np.zeros((height, width), dtype=bool)
    basis = scene.basis_labels.copy()
    for annotation, mask in pasted:
        cover |= mask
        basis[mask] = other.picture.classes[annotation] + 1
    h, w = min(height, other.rgb.shape[0]), min(width, other.rgb.shape[1])
    rgb = scene.rgb.copy()
    rgb[:h, :w][cover[:h, :w]] = other.rgb[:h, :w][cover[:h, :w]]
    semantic = scene.semantic_labels
    if semantic is not None:
        semantic = np.where(cover, 0, semantic).astype(np.uint8)
    objects = _joined(_what_is_left_of(scene, cover), _pasted_objects(pasted, other, scene))
    return replace(scene, rgb=rgb, basis_labels=basis, semantic_labels=semantic, objects=objects)


def visible_mask(shape: Shape, geometry: Geometry) -> np.ndarray:
    """Return (h, w) bool: an object's mask in the augmented picture."""
    if not isinstance(shape, Bitmap):
        return fill(geometry.polygons(shape), geometry.height, geometry.width)
    canvas = np.zeros(geometry.source, dtype=np.uint8)
    paint([(shape, 1)], *geometry.source, canvas=canvas)
    return geometry.labels(canvas).astype(bool)


def _chosen_masks(
    random: Random, other: Scene, height: int, width: int
) -> list[tuple[int, np.ndarray]]:
    """Return annotations of the other scene and their masks, cut to this scene's frame.

    Later ones lie over earlier ones, so a mask loses what a later one covers.
    """
    shapes = shapes_of(other.picture)
    chosen: list[tuple[int, np.ndarray]] = []
    for annotation in other.objects.annotations[other.objects.has_mask].tolist():
        shape = shapes[annotation]
        if random.random() < 0.5 or shape is None:
            continue
        seen = visible_mask(shape, other.geometry)[:height, :width]
        mask = np.zeros((height, width), dtype=bool)
        mask[: seen.shape[0], : seen.shape[1]] = seen
        chosen = [(earlier, below & ~mask) for earlier, below in chosen]
        chosen.append((annotation, mask))
    return [(annotation, mask) for annotation, mask in chosen if mask.sum() >= _MIN_PIXELS]


def _pasted_objects(pasted: list[tuple[int, np.ndarray]], other: Scene, scene: Scene) -> Objects:
    size = scene.objects.masks.shape[1]
    placed = [_tight_box_and_grid(mask, size) for _, mask in pasted]
    annotations = np.array([annotation for annotation, _ in pasted], dtype=np.int64)
    return Objects(
        boxes_xyxy=np.stack([box for box, _ in placed]),
        classes=other.picture.classes[annotations],
        masks=np.stack([grid for _, grid in placed]),
        has_mask=np.ones(len(pasted), dtype=bool),
        annotations=np.full(len(pasted), -1, dtype=np.int64),  # none of this picture's
    )


def _what_is_left_of(scene: Scene, cover: np.ndarray) -> Objects:
    """Return the scene's objects without what is covered."""
    objects = scene.objects
    boxes, masks = objects.boxes_xyxy.copy(), objects.masks.copy()
    keep = np.ones(len(boxes), dtype=bool)
    shapes = shapes_of(scene.picture)
    for i, annotation in enumerate(objects.annotations.tolist()):
        (x0, y0), (x1, y1) = np.floor(boxes[i, :2]), np.ceil(boxes[i, 2:])
        under = cover[int(y0) : int(y1), int(x0) : int(x1)]
        shape = shapes[annotation]
        if not under.any():
            continue
        if shape is None or not objects.has_mask[i]:
            keep[i] = under.mean() <= _MAX_COVERED
            continue
        whole = visible_mask(shape, scene.geometry)
        left = whole & ~cover
        keep[i] = left.any() and left.sum() >= _MIN_VISIBLE * whole.sum()
        if keep[i] and left.sum() < whole.sum():
            boxes[i], masks[i] = _tight_box_and_grid(left, masks.shape[1])
    return Objects(
        boxes_xyxy=boxes[keep],
        classes=objects.classes[keep],
        masks=masks[keep],
        has_mask=objects.has_mask[keep],
        annotations=objects.annotations[keep],
    )


def _tight_box_and_grid(mask: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a mask's tight box (4,) float32 and its grid (M, M) bool."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)
    top, left = int(rows[0]), int(columns[0])
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    return box, bitmap_on_grid(Bitmap(crop=crop, top=top, left=left), box, size)


def _joined(first: Objects, second: Objects) -> Objects:
    return Objects(
        boxes_xyxy=np.concatenate((first.boxes_xyxy, second.boxes_xyxy)),
        classes=np.concatenate((first.classes, second.classes)),
        masks=np.concatenate((first.masks, second.masks)),
        has_mask=np.concatenate((first.has_mask, second.has_mask)),
        annotations=np.concatenate((first.annotations, second.annotations)),
    )
