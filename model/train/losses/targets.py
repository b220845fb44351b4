"""Which object each location answers for, and with what (FCOS, section 3.2; spec, section 9.1).

The work goes by object, not by location: only the few cells around an object's centre can
answer for it. So a thousand objects cost little memory, and no accelerator is needed: where the
batch is on the host, the number of positive locations is known without waiting for a device.
"""
# N pictures, G objects of the whole batch, P positive locations, R objects with a mask and a
# positive location, M mask side, h and w rows and columns of a level

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from model.train.losses.cells import Cells
from model.train.recipes.recipe import LossConfig
from model.train.samples.batch import TrainingBatch

# Cells judged at a time: a bound on memory, far above what ordinary batches have.
_MAX_CANDIDATES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class DetectionTargets:
    """The positive locations, and what they should say; all others are background.

    objects: (P,) int64, each one's object: an index into those of the batch's pictures in turn.
    classes: (P,) int64.
    distances: (P, 4) float32, left, top, right, bottom, in strides of the level, > 0.
    centerness: (P,) float32 in (0, 1]. FCOS eq. 3.
    """

    cells: Cells
    objects: Tensor
    classes: Tensor
    distances: Tensor
    centerness: Tensor


@dataclass(frozen=True, kw_only=True)
class MaskTargets:
    """The positive locations whose objects have a mask, (P,), and those objects, (R,).

    centerness: (P,). regions: (P,) int64, which of the R objects each location answers for.
    boxes_xyxy: (R, 4) in pixels of the network input. images: (R,) int64.
    masks: (R, M, M) bool.
    """

    cells: Cells
    centerness: Tensor
    regions: Tensor
    boxes_xyxy: Tensor
    images: Tensor
    masks: Tensor


Record = TypeVar("Record", Cells, DetectionTargets, MaskTargets)


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on the device; the host does not wait for a copy to CUDA."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def on_device(record: Record, device: torch.device) -> Record:
    """Return the record with all of its tensors on the device."""
    changes: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, Tensor):
            changes[field.name] = moved(value, device)
        elif isinstance(value, Cells):
            changes[field.name] = on_device(value, device)
    return replace(record, **changes)


def detection_targets(
    batch: TrainingBatch, strides: Sequence[int], config: LossConfig
) -> DetectionTargets:
    """Give each location the smallest of the objects that claim it (by the area of the box).

    An object claims the locations within `center_radius` strides of its centre and inside its
    box, on the levels whose window the farthest side of the box falls into.

    Raises:
        ValueError: the sizes of interest are not one fewer than the levels.
    """
    if len(config.sizes_of_interest) != len(strides) - 1:
        raise ValueError(
            f"loss.sizes_of_interest is {config.sizes_of_interest}; {len(strides)} levels have "
            f"{len(strides) - 1} sizes between them"
        )
    boxes, images = torch.cat(batch.boxes_xyxy), _image_of_each_object(batch)
    rank, by_rank = _ranks(boxes)
    lows = (-1.0, *map(float, config.sizes_of_interest))
    highs = (*map(float, config.sizes_of_interest), math.inf)
    num_images, _, height, width = batch.pixels.shape
    found = []
    for stride, low, high in zip(strides, lows, highs, strict=True):
        shape = (num_images, -(-height // stride), -(-width // stride))
        owner = torch.full((math.prod(shape),), len(boxes), device=boxes.device)
        for chosen, rows, columns in _claimed_cells(
            boxes, shape[1:], stride, (low, high), config.center_radius
        ):
            cell = (images[chosen] * shape[1] + rows) * shape[2] + columns
            owner.scatter_reduce_(0, cell, rank[chosen], "amin")
        cells = (owner < len(boxes)).nonzero().flatten()
        objects = by_rank[owner[cells]]
        rows, columns = cells // shape[2] % shape[1], cells % shape[2]
        distances = _distances(boxes[objects], rows, columns, stride)
        found.append((images[objects], rows, columns, objects, distances))
    at_images, rows, columns, objects, distances = (
        torch.cat(part) for part in zip(*found, strict=True)
    )
    return DetectionTargets(
        cells=Cells(
            counts=[len(part[0]) for part in found], images=at_images, rows=rows, columns=columns
        ),
        objects=objects,
        classes=torch.cat(batch.classes)[objects],
        distances=distances,
        centerness=centerness(distances),
    )


def mask_targets(batch: TrainingBatch, targets: DetectionTargets) -> MaskTargets:
    """Return the mask truth of the positive locations that have one."""
    kept = torch.cat(batch.has_mask)[targets.objects]
    objects, regions = torch.unique(targets.objects[kept], return_inverse=True)
    return MaskTargets(
        cells=targets.cells.where(kept),
        centerness=targets.centerness[kept],
        regions=regions,
        boxes_xyxy=torch.cat(batch.boxes_xyxy)[objects],
        images=_image_of_each_object(batch)[objects],
        masks=torch.cat(batch.masks)[objects],
    )


def centerness(ltrb: Tensor) -> Tensor:
    """Score how central each location lies in its box.

    Args:
        ltrb: (P, 4) distances to the box's sides, all > 0.
    Returns:
        (P,) in (0, 1]; 1 at the centre. FCOS eq. 3, arXiv:1904.01355.
    """
    low = torch.minimum(ltrb[:, :2], ltrb[:, 2:])
    high = torch.maximum(ltrb[:, :2], ltrb[:, 2:])
    return (low / high).prod(dim=1).sqrt()


def _image_of_each_object(batch: TrainingBatch) -> Tensor:
    counts = torch.tensor([len(classes) for classes in batch.classes])
    images = torch.arange(len(counts)).repeat_interleave(counts)
    return images.to(batch.classes[0].device)


def _ranks(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return each object's place in the order of area (first come first), and the order."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = areas.argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    return rank, order


def _claimed_cells(
    boxes: Tensor,
    size: tuple[int, ...],
    stride: int,
    window: tuple[float, float],
    radius: float,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield (object, row, column) of the cells that objects claim on a level of that size."""
    # The centre region holds at most floor(2 r) + 1 cells a side; two more for rounding.
    sides = [side if math.isinf(radius) else min(side, int(2 * radius) + 3) for side in size]
    step = max(1, _MAX_CANDIDATES // math.prod(sides))
    for first in range(0, len(boxes), step):
        some = boxes[first : first + step]
        rows, in_height, farthest_y = _candidates_along_axis(
            some[:, 1::2], size[0], sides[0], stride, radius
        )
        columns, in_width, farthest_x = _candidates_along_axis(
            some[:, 0::2], size[1], sides[1], stride, radius
        )
        farthest = torch.maximum(farthest_y[:, :, None], farthest_x[:, None])
        claimed = in_height[:, :, None] & in_width[:, None]
        claimed &= (farthest >= window[0]) & (farthest <= window[1])
        chosen, y, x = claimed.nonzero(as_tuple=True)
        yield chosen + first, rows[chosen, y], columns[chosen, x]


def _candidates_along_axis(
    ends: Tensor, num_cells: int, num_candidates: int, stride: int, radius: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Judge the candidate cells of each object along one axis.

    Args:
        ends: (G, 2) the box's low and high side, in pixels.
    Returns:
        (G, candidates) each: the cell, whether it lies strictly inside box and centre region,
        and its distance to the farther side of the box.
    """
    low, high = ends[:, :1], ends[:, 1:]
    centre = (low + high) * 0.5
    inner_low = torch.maximum(centre - radius * stride, low)
    inner_high = torch.minimum(centre + radius * stride, high)
    first = ((inner_low - stride // 2) / stride).floor().long()
    cells = first.clamp(0, num_cells - num_candidates)
    cells = cells + torch.arange(num_candidates, device=ends.device)
    position = (cells * stride + stride // 2).to(ends.dtype)
    inside = (position > inner_low) & (position < inner_high)
    return cells, inside, torch.maximum(position - low, high - position)


def _distances(boxes: Tensor, rows: Tensor, columns: Tensor, stride: int) -> Tensor:
    """Return (P, 4): from each cell to the sides of its box, in strides."""
    position = torch.stack([columns, rows], dim=1) * stride + stride // 2
    return torch.cat([position - boxes[:, :2], boxes[:, 2:] - position], dim=1) / stride
