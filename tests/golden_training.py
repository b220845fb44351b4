"""The reference numbers of training: the batch, the networks and the steps they were made with."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import goldens
import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from model.checkpoints.tensor_names import our_names
from model.config import ModelConfig
from model.network.blendmask import BlendMask
from model.presets import preset
from model.train.losses.criterion import Criterion
from model.train.recipes.recipe import RECIPES, LossConfig
from model.train.samples.batch import TrainingBatch
from model.train.starting_weights.initialise import initialise

CPU = torch.device("cpu")
MASK_SIDE = 56


def configurations() -> list[str]:
    """Names of the configurations with training numbers here."""
    return sorted(
        str(p.parent.relative_to(goldens.FOLDER)) for p in goldens.FOLDER.rglob("train_f64.json")
    )


def has_inputs() -> bool:
    """Whether the folder has the training batch."""
    return (goldens.FOLDER / "_train" / "inputs.npz").is_file()


def batch(
    pictures: Sequence[int] = (0, 1), *, emptied: Sequence[int] = (), num_classes: int = 80
) -> TrainingBatch:
    """Those pictures of the reference batch; the emptied ones without their objects."""
    arrays, described = _inputs()
    sizes = [arrays[f"image{k}"].shape[:2] for k in pictures]
    height, width = (-(-max(sides) // 32) * 32 for sides in zip(*sizes, strict=True))

    def canvas(name: str, value: int, *trailing: int) -> Tensor:
        whole = np.full((len(pictures), height, width, *trailing), value, dtype=np.uint8)
        for slot, k, (h, w) in zip(whole, pictures, sizes, strict=True):
            slot[:h, :w] = value if name == "basis_sem" and k in emptied else arrays[f"{name}{k}"]
        return torch.from_numpy(whole)

    counts = [0 if k in emptied else len(arrays[f"classes{k}"]) for k in pictures]
    boxes = [arrays[f"boxes{k}"][:n] for k, n in zip(pictures, counts, strict=True)]
    polygons = [
        described["images"][k]["polygons"][:n] for k, n in zip(pictures, counts, strict=True)
    ]
    return TrainingBatch(
        pixels=canvas("image", 0, 3).permute(0, 3, 1, 2).contiguous(),
        sizes=[(h, w) for h, w in sizes],
        boxes_xyxy=[torch.from_numpy(b) for b in boxes],
        classes=[
            torch.from_numpy(arrays[f"classes{k}"][:n])
            for k, n in zip(pictures, counts, strict=True)
        ],
        masks=[_masks(p, b) for p, b in zip(polygons, boxes, strict=True)],
        has_mask=[torch.ones(n, dtype=torch.bool) for n in counts],
        basis_labels=canvas("basis_sem", 0)[:, ::8, ::8],
        semantic_labels=canvas("sem_seg", 255),
        labelled_classes=torch.ones(len(pictures), num_classes, dtype=torch.bool),
        image_ids=list(pictures),
    )


def model(name: str, dtype: torch.dtype, config: ModelConfig | None = None) -> BlendMask:
    """The network with its synthetic weights, frozen as the recipe says, in training mode."""
    network = BlendMask(config or preset(name))
    initialise(network, backbone=None, freeze_at=RECIPES[name].freeze_at)
    tensors = {
        ours: torch.from_numpy(goldens.synthetic(theirs, own.shape))
        for ours, own in network.state_dict().items()
        for theirs in [original_name(ours)]
    }
    network.load_state_dict(tensors)
    return network.to(dtype).train()


def criterion(name: str, *, config: ModelConfig | None = None, **changes: Any) -> Criterion:
    """The losses of a configuration's recipe, with other options if given."""
    loss: LossConfig = replace(RECIPES[name].loss, **changes)
    return Criterion(loss, config or preset(name))


def original_name(ours: str) -> str:
    """The original's name of a tensor."""
    for theirs in ("proposal_generator.fcos_head.", "panoptic_module."):
        (prefix,) = our_names([theirs]).values()
        if ours.startswith(prefix):
            return theirs + ours.removeprefix(prefix)
    return ours


def _masks(polygons: list[list[list[float]]], boxes: np.ndarray) -> Tensor:
    masks = np.zeros((len(boxes), MASK_SIDE, MASK_SIDE), dtype=bool)
    for mask, rings, (x0, y0, x1, y1) in zip(masks, polygons, boxes, strict=True):
        scale = np.array(
            [
                MASK_SIDE / max(x1 - x0, np.float32(0.1)),
                MASK_SIDE / max(y1 - y0, np.float32(0.1)),
            ]
        )
        scaled = [((np.reshape(ring, (-1, 2)) - [x0, y0]) * scale).ravel() for ring in rings]
        mask[:] = coco_mask.decode(
            coco_mask.merge(
                coco_mask.frPyObjects([ring.tolist() for ring in scaled], MASK_SIDE, MASK_SIDE)
            )
        )
    return torch.from_numpy(masks)


@functools.cache
def _inputs() -> tuple[dict[str, np.ndarray], Any]:
    with np.load(goldens.FOLDER / "_train" / "inputs.npz") as arrays:
        return dict(arrays), goldens.read("_train/inputs")
