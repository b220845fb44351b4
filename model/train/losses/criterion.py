"""From a batch to its losses: normalise, find the targets, run the network, compare.

Every divisor is a mean over all processes, so that the mean of their gradients is the gradient
of one process with all of their pictures. A batch without objects has losses of zero that still
depend on every parameter: no process waits for a gradient that never comes.
"""
# N pictures, H and W rows and columns of the canvas

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from model.config import InputConfig, ModelConfig
from model.network.blendmask import BlendMask
from model.structures import DensePredictions
from model.train.distributed.world import world_mean
from model.train.losses.detection_losses import (
    box_losses,
    centerness_loss,
    class_loss,
    quality_class_loss,
)
from model.train.losses.mask_losses import (
    attentions_at,
    label_loss,
    mask_loss,
    semantic_loss,
    unknown_in,
)
from model.train.losses.own_boxes import own_mask_targets
from model.train.losses.targets import (
    DetectionTargets,
    MaskTargets,
    detection_targets,
    mask_targets,
    moved,
    on_device,
)
from model.train.recipes.recipe import LossConfig
from model.train.samples.batch import TrainingBatch

# The moving normaliser (`class_normaliser` "moving_fg"): where it starts and how it moves.
_MOVING_START = 100.0
_MOVING_MOMENTUM = 0.9
_MIN_CENTERNESS = 1e-6


class Criterion:
    """Turns a batch into losses; its only state is the moving normaliser."""

    def __init__(self, config: LossConfig, model_config: ModelConfig) -> None:
        self.config = config
        self.model_config = model_config
        self.moving_positives: Tensor | float = _MOVING_START

    def __call__(
        self, model: BlendMask, batch: TrainingBatch, device: torch.device
    ) -> dict[str, Tensor]:
        """Return the weighted losses, whose sum is to be minimised, by the original's names.

        Targets are found before the network runs and where the batch lies: with the batch on
        the host the step never waits for the device. The network runs under the caller's
        autocast; the losses are computed in float32 at least.
        """
        targets = detection_targets(batch, self.model_config.strides, self.config)
        truth = on_device(mask_targets(batch, targets), device)
        targets = on_device(targets, device)
        dtype = model.top_layer.weight.dtype
        pixels = normalised(batch, self.model_config.input, device, dtype)
        head = model.semantic_head
        trains_stuff = head is not None and any(p.requires_grad for p in head.parameters())
        predictions = model(pixels, semantic=trains_stuff, auxiliary=True)
        regions = [truth]
        if self.config.own_boxes:
            regions.append(
                own_mask_targets(
                    predictions, batch, self.model_config.strides, self.config.own_boxes
                )
            )
        masks = [
            (
                _at_least_float32(
                    attentions_at(each.cells, predictions.box_features, model.top_layer)
                ),
                each,
            )
            for each in regions
        ]
        with torch.autocast(device.type, enabled=False):
            return self._losses(_in_full_precision(predictions), masks, batch, targets)

    def state_dict(self) -> dict[str, float]:
        """Return what a resumed run needs."""
        return {"moving_positives": float(self.moving_positives)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.moving_positives = float(state["moving_positives"])

    def _losses(
        self,
        predictions: DensePredictions,
        masks: Sequence[tuple[Tensor, MaskTargets]],
        batch: TrainingBatch,
        targets: DetectionTargets,
    ) -> dict[str, Tensor]:
        config, device = self.config, predictions.bases.device
        basis_labels = moved(batch.basis_labels, device)
        semantic_labels = batch.semantic_labels
        if semantic_labels is not None:
            semantic_labels = moved(semantic_labels, device)
        positives, centerness, mask_centerness, basis_pixels, semantic_pixels = world_mean(
            torch.stack(
                [
                    torch.full((), float(len(targets.objects)), device=device),
                    targets.centerness.sum(),
                    torch.stack([truth.centerness.sum() for _, truth in masks]).sum(),
                    _count_known(basis_labels),
                    _count_known(semantic_labels, device),
                ]
            )
        )
        positives = positives.clamp(min=1)
        centerness = centerness.clamp(min=_MIN_CENTERNESS)

        labelled = moved(batch.labelled_classes, device).to(predictions.bases.dtype)
        distances = targets.cells.of(predictions.distances)
        classes = self._class_loss(predictions, distances, targets, labelled)
        boxes = box_losses(distances, targets.distances, config.box_loss)
        blender = self.model_config.blender
        summed_masks = torch.stack(
            [
                mask_loss(predictions.bases, attentions, truth, blender)
                for attentions, truth in masks
            ]
        ).sum()
        losses = {
            "loss_mask": config.mask_weight
            * summed_masks
            / mask_centerness.clamp(min=_MIN_CENTERNESS),
            "loss_fcos_cls": config.class_weight
            * classes
            / self._class_divisor(positives, predictions),
            "loss_fcos_loc": (boxes * targets.centerness).sum() / centerness,
        }
        if predictions.centerness_logits is not None:
            centres = targets.cells.of(predictions.centerness_logits).flatten()
            summed = centerness_loss(centres, targets.centerness)
            losses["loss_fcos_ctr"] = summed / positives
        if predictions.auxiliary_logits is not None:
            summed = label_loss(predictions.auxiliary_logits, basis_labels)
            losses["loss_basis_sem"] = config.basis_weight * summed / basis_pixels.clamp(min=1)
        if predictions.semantic_logits is not None:
            if semantic_labels is None:
                summed = 0 * predictions.semantic_logits.sum()
            else:
                summed = semantic_loss(predictions.semantic_logits, semantic_labels)
            losses["loss_sem_seg"] = config.semantic_weight * summed / semantic_pixels.clamp(min=1)
        return losses

    def _class_loss(
        self,
        predictions: DensePredictions,
        distances: Tensor,
        targets: DetectionTargets,
        labelled: Tensor,
    ) -> Tensor:
        """Return the class loss, summed; without centerness the classes say how boxes fit."""
        config, logits = self.config, predictions.class_logits
        if predictions.centerness_logits is None:
            return quality_class_loss(
                logits, distances.detach(), targets, labelled, gamma=config.focal_gamma
            )
        return class_loss(
            logits, targets, labelled, alpha=config.focal_alpha, gamma=config.focal_gamma
        )

    def _class_divisor(self, positives: Tensor, predictions: DensePredictions) -> Tensor | int:
        """Return what the class loss is divided by (spec, section 9.2)."""
        if self.config.class_normaliser == "fg":
            return positives
        if self.config.class_normaliser == "all":
            return sum(level.numel() // level.shape[1] for level in predictions.class_logits)
        before = self.moving_positives
        if not isinstance(before, Tensor):  # the same arithmetic after a resume
            before = positives.new_full((), before)
        self.moving_positives = _MOVING_MOMENTUM * before + (1 - _MOVING_MOMENTUM) * positives
        return self.moving_positives


def normalised(
    batch: TrainingBatch, config: InputConfig, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Return the network's input, (N, 3, H, W) on the device; the padding is 0."""
    pixels = moved(batch.pixels, device).to(torch.float32)
    for channel, (mean, std) in enumerate(zip(config.pixel_mean, config.pixel_std, strict=True)):
        pixels[:, channel].sub_(mean).div_(std)
    for picture, (height, width) in zip(pixels, batch.sizes, strict=True):
        picture[:, height:] = 0
        picture[:, :, width:] = 0
    return pixels.to(dtype)


def _count_known(labels: Tensor | None, device: torch.device | None = None) -> Tensor:
    if labels is None:
        return torch.zeros((), device=device)
    return (labels != unknown_in(labels)).sum().to(torch.float32)


def _in_full_precision(predictions: DensePredictions) -> DensePredictions:
    """Return the predictions in float32, or in float64 if they are; `box_features` as they are."""
    semantic, auxiliary = predictions.semantic_logits, predictions.auxiliary_logits
    centerness = predictions.centerness_logits
    return DensePredictions(
        class_logits=[_at_least_float32(level) for level in predictions.class_logits],
        distances=[_at_least_float32(level) for level in predictions.distances],
        centerness_logits=None
        if centerness is None
        else [_at_least_float32(level) for level in centerness],
        box_features=predictions.box_features,
        bases=_at_least_float32(predictions.bases),
        semantic_logits=None if semantic is None else _at_least_float32(semantic),
        auxiliary_logits=None if auxiliary is None else _at_least_float32(auxiliary),
    )


def _at_least_float32(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
