"""From a batch's dense predictions to its pictures' instances and partitions."""
# N images, R instances, M mask side

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.categories import Categories
from model.config import ModelConfig
from model.network.fcos import TopLayer
from model.operations.copies import fetch_groups
from model.prediction import panoptic
from model.prediction.options import PredictOptions
from model.prediction.paste import BoxedMaps, PastedMasks, paste
from model.prediction.postprocess import detect, mask_probabilities, place_on_picture
from model.prediction.results import LabelledInstances, LabelledPartition
from model.structures import DensePredictions, Detections, ImageBatch

# A score is the root of class probability × centerness; squaring a threshold may round it up.
_ROUNDING = 1 - 1e-6


@dataclass(frozen=True, kw_only=True)
class _View:
    """One picture of a batch that went through the network."""

    slot: int  # in the batch
    resized_size: tuple[int, int]
    output_size: tuple[int, int]
    predictions: DensePredictions


class Readout:
    """Reads what a network of that configuration predicts.

    Args:
        top_layer: the network's own; it yields attentions at the kept locations only.
    Raises:
        ValueError: the categories are not as many as the network's classes.
    """

    def __init__(self, config: ModelConfig, categories: Categories, top_layer: TopLayer) -> None:
        self._config = config
        self._categories = categories
        self._top_layer = top_layer
        self._thing_ids = np.array([category.id for category in categories.things])
        num_stuff = config.semantic.num_classes - 1 if config.semantic else 0
        if len(categories.things) != config.fcos.num_classes or (
            num_stuff and len(categories.stuff) != num_stuff
        ):
            raise ValueError(
                f"the categories have {len(categories.things)} things and "
                f"{len(categories.stuff)} kinds of stuff; the network predicts "
                f"{config.fcos.num_classes} and {num_stuff}"
            )

    @torch.inference_mode()
    def instances(
        self,
        batch: ImageBatch,
        predictions: DensePredictions,
        options: Sequence[PredictOptions],
    ) -> list[LabelledInstances]:
        """Return each picture's instances; what the device made of them comes in few copies.

        Args:
            options: one for each picture.
        """
        views = _views(batch, predictions)
        selected = [self._select(view, wanted) for view, wanted in zip(views, options, strict=True)]
        masks = self._masks(views, selected, options)
        rows = fetch_groups([(boxes, found.scores, found.classes) for found, boxes in selected])
        return [
            LabelledInstances(
                categories=self._categories,
                height=view.output_size[0],
                width=view.output_size[1],
                boxes_xyxy=boxes.numpy(),
                scores=scores.numpy(),
                classes=classes.numpy(),
                masks=pasted.masks if pasted else None,
                areas=pasted.areas if pasted else None,
            )
            for view, (boxes, scores, classes), pasted in zip(views, rows, masks, strict=True)
        ]

    @torch.inference_mode()
    def partitions(
        self,
        batch: ImageBatch,
        predictions: DensePredictions,
        options: Sequence[PredictOptions],
    ) -> list[LabelledPartition]:
        """Return each picture's partition; the predictions have semantic logits."""
        views = _views(batch, predictions)
        return [self._partition(view, wanted) for view, wanted in zip(views, options, strict=True)]

    def _partition(self, view: _View, options: PredictOptions) -> LabelledPartition:
        assert view.predictions.semantic_logits is not None
        rules = self._config.panoptic
        least_score = self._config.panoptic_threshold(options.least_score)
        found, boxes = self._detect(view, least_score)
        result = panoptic.merge(
            self._probabilities(view, found),
            boxes,
            found.scores,
            found.classes,
            view.predictions.semantic_logits[view.slot],
            resized_size=view.resized_size,
            output_size=view.output_size,
            config=rules,
            instance_score_threshold=least_score,
            masks=options.masks,
        )
        wanted = [
            segment
            for segment in result.segments
            if options.category_ids is None
            or self._categories.of(segment.label, segment.is_thing).id in options.category_ids
        ]
        things = [segment.id for segment in wanted if segment.is_thing]
        stuff = [segment.id for segment in wanted if not segment.is_thing]
        chosen = panoptic.choose(result, {*things[: options.max_instances], *stuff})
        return LabelledPartition(
            categories=self._categories, segment_ids=chosen.segment_ids, segments=chosen.segments
        )

    def _masks(
        self,
        views: Sequence[_View],
        selected: Sequence[tuple[Detections, Tensor]],
        options: Sequence[PredictOptions],
    ) -> list[PastedMasks | None]:
        """Return each picture's masks, None where they are not asked for."""
        asked = [number for number, wanted in enumerate(options) if wanted.masks]
        pasted = paste([self._maps(views[number], *selected[number]) for number in asked])
        by_number = dict(zip(asked, pasted, strict=True))
        return [by_number.get(number) for number in range(len(views))]

    def _maps(self, view: _View, found: Detections, boxes_xyxy: Tensor) -> BoxedMaps:
        height, width = view.output_size
        return BoxedMaps(
            probabilities=self._probabilities(view, found),
            boxes_xyxy=boxes_xyxy,
            height=height,
            width=width,
        )

    def _select(self, view: _View, options: PredictOptions) -> tuple[Detections, Tensor]:
        """Return the wanted detections and their boxes in the picture."""
        found, boxes = self._detect(view, options.least_score)
        wanted = self._wanted_things(found, options)[: options.max_instances]
        return found[wanted], boxes[wanted]

    def _detect(self, view: _View, least_score: float) -> tuple[Detections, Tensor]:
        """Return the detections with that score or a better one, and their boxes in the picture."""
        found = detect(
            view.predictions,
            view.slot,
            self._config.strides,
            self._config.detection,
            candidate_threshold=least_score**2 * _ROUNDING,
        )
        boxes, kept = place_on_picture(found, view.resized_size, view.output_size)
        kept &= found.scores >= least_score
        return found[kept], boxes[kept]

    def _probabilities(self, view: _View, found: Detections) -> Tensor:
        """Return the masks of the detections over their unclipped boxes: (R, M, M)."""
        return mask_probabilities(
            found, view.predictions, view.slot, self._top_layer, self._config.blender
        )

    def _wanted_things(self, found: Detections, options: PredictOptions) -> Tensor:
        """Return the indices of the detections whose category is wanted, best first."""
        if options.category_ids is None:
            return torch.arange(len(found), device=found.classes.device)
        ids = self._thing_ids[found.classes.cpu().numpy()]
        wanted = np.flatnonzero(np.isin(ids, list(options.category_ids)))
        return torch.from_numpy(wanted).to(found.classes.device)


def _views(batch: ImageBatch, predictions: DensePredictions) -> list[_View]:
    sizes = zip(batch.resized_sizes, batch.output_sizes, strict=True)
    return [
        _View(slot=slot, resized_size=resized, output_size=output, predictions=predictions)
        for slot, (resized, output) in enumerate(sizes)
    ]
