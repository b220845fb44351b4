"""Pictures in, results out, no state between calls.

The command line, the service, the evaluation and the benchmarks all go through `Predictor`:
what is measured is what is served.
"""
# N images, R instances

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model import checkpoint as checkpoints
from model import panoptic
from model.blendmask import BlendMask
from model.categories import Categories
from model.config import ModelConfig
from model.geometry import canvas_size
from model.ops_devices import fetch
from model.postprocess import detect, mask_probabilities, place_on_picture
from model.preprocess import check_picture, prepare
from model.rle import paste_batch
from model.stages import StageTimes
from model.structures import (
    DensePredictions,
    Detections,
    ImageBatch,
    Instances,
    PanopticSegmentation,
)

# A score is the root of class probability × centerness; squaring a threshold may round it up.
_ROUNDING = 1 - 1e-6


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """What to keep of what the configuration yields for one picture.

    score_threshold: instances with a score at or above it.
    max_instances: the best so many of the wanted ones. None: all.
    category_ids: the data set's own ids of the wanted categories. None: all.
    masks: whether to compute run lengths.

    A partition is always that of the whole picture: the threshold decides which things enter
    it (above the configuration's own for that); what the number and the categories drop from
    it is void.
    """

    score_threshold: float = 0.0
    max_instances: int | None = None
    category_ids: frozenset[int] | None = None
    masks: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.score_threshold <= 1:
            raise ValueError(f"score_threshold is {self.score_threshold}; it must be 0 to 1")
        if self.max_instances is not None and self.max_instances < 1:
            raise ValueError(f"max_instances is {self.max_instances}; it must be 1 or more")


EVERYTHING = PredictOptions()


@dataclass(frozen=True, kw_only=True)
class _View:
    """One picture of a batch that went through the network."""

    number: int  # among the pictures that were asked for
    slot: int  # in the batch
    resized_size: tuple[int, int]
    output_size: tuple[int, int]
    predictions: DensePredictions


class Predictor:
    """A network on a device, with what is needed to read its output."""

    def __init__(
        self,
        model: BlendMask,
        config: ModelConfig,
        categories: Categories,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config
        self.categories = categories
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()
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

    @classmethod
    def from_checkpoint(cls, checkpoint: checkpoints.Checkpoint, device: str = "auto") -> Predictor:
        """Return a predictor for a checkpoint; "auto" takes a CUDA device if there is one."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        model = checkpoints.build_model(checkpoint, device)
        return cls(model, checkpoint.config, checkpoint.categories, device)

    def segment(
        self,
        images: Sequence[np.ndarray],
        options: PredictOptions | Sequence[PredictOptions] = EVERYTHING,
        *,
        stages: StageTimes | None = None,
    ) -> list[Instances]:
        """Return each picture's instances.

        Pictures that share a canvas run as one batch; the canvas depends on the picture and
        the configuration alone, so company changes no answer.

        Args:
            images: upright RGB uint8 (H, W, 3) arrays of any sizes.
            options: for all pictures, or one for each.
            stages: receives the seconds spent in "preprocess", "forward" and "postprocess".

        Raises:
            ValueError: a picture is no such array, or the options don't fit.
        """
        stages = stages or StageTimes()
        chosen = _one_each(options, len(images))
        results: dict[int, Instances] = {}
        for views in self._batches(images, stages, semantic=False):
            with stages.measure("postprocess"):
                found = self._instances(views, [chosen[view.number] for view in views])
            results.update(zip((view.number for view in views), found, strict=True))
        return [results[number] for number in range(len(images))]

    def panoptic(
        self,
        images: Sequence[np.ndarray],
        options: PredictOptions | Sequence[PredictOptions] = EVERYTHING,
        *,
        stages: StageTimes | None = None,
    ) -> list[PanopticSegmentation]:
        """Return each picture's partition; arguments as for `segment`.

        Raises:
            ValueError: the network has no semantic head, or as for `segment`.
        """
        if self.config.semantic is None:
            raise ValueError(
                f"{self.config.name} has no semantic head: it can segment instances, "
                "not whole pictures"
            )
        stages = stages or StageTimes()
        chosen = _one_each(options, len(images))
        results: dict[int, PanopticSegmentation] = {}
        for views in self._batches(images, stages, semantic=True):
            with stages.measure("postprocess"):
                for view in views:
                    results[view.number] = self._partition(view, chosen[view.number])
        return [results[number] for number in range(len(images))]

    def _batches(
        self, images: Sequence[np.ndarray], stages: StageTimes, *, semantic: bool
    ) -> Iterator[list[_View]]:
        by_canvas: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for number, image in enumerate(images):
            check_picture(image)
            by_canvas[canvas_size(image.shape[0], image.shape[1], self.config.input)].append(number)
        for numbers in by_canvas.values():
            with stages.measure("preprocess"):
                batch = prepare([images[n] for n in numbers], self.config.input, self.device)
            with stages.measure("forward"):
                predictions = self.forward(batch, semantic=semantic)
            yield [
                _View(
                    number=number,
                    slot=slot,
                    resized_size=batch.resized_sizes[slot],
                    output_size=batch.output_sizes[slot],
                    predictions=predictions,
                )
                for slot, number in enumerate(numbers)
            ]

    @torch.inference_mode()
    def forward(self, batch: ImageBatch, *, semantic: bool = True) -> DensePredictions:
        """Return the network's predictions for a batch, once they are computed."""
        predictions: DensePredictions = self.model(batch.pixels, semantic=semantic)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # so that the stage times tell the truth
        return predictions

    @torch.inference_mode()
    def _detect(self, view: _View, least_score: float) -> tuple[Detections, Tensor]:
        """Return the detections with that score or a better one, and their boxes in the picture."""
        found = detect(
            view.predictions,
            view.slot,
            self.config.strides,
            self.config.detection,
            candidate_threshold=least_score**2 * _ROUNDING,
        )
        boxes, kept = place_on_picture(found, view.resized_size, view.output_size)
        kept &= found.scores >= least_score
        return found[kept], boxes[kept]

    @torch.inference_mode()
    def _probabilities(self, view: _View, found: Detections) -> Tensor:
        return mask_probabilities(
            found, view.predictions, view.slot, self.model.top_layer, self.config.blender
        )

    def _instances(
        self, views: Sequence[_View], options: Sequence[PredictOptions]
    ) -> list[Instances]:
        """Return the instances of a batch; what the device made of it comes in few copies."""
        selected = [self._select(*each) for each in zip(views, options, strict=True)]
        with_masks = [each.masks for each in options]
        pasted = iter(
            paste_batch(
                [
                    (self._probabilities(view, found), boxes, *view.output_size)
                    for view, (found, boxes), wanted in zip(
                        views, selected, with_masks, strict=True
                    )
                    if wanted
                ]
            )
        )
        rows = iter(
            fetch(*(t for found, boxes in selected for t in (boxes, found.scores, found.classes)))
        )
        results = []
        for view, wanted in zip(views, with_masks, strict=True):
            boxes, scores, classes = (next(rows).numpy() for _ in range(3))
            masks = next(pasted) if wanted else None
            results.append(
                Instances(
                    height=view.output_size[0],
                    width=view.output_size[1],
                    boxes_xyxy=boxes,
                    scores=scores,
                    classes=classes,
                    masks=masks.masks if masks else None,
                    areas=masks.areas if masks else None,
                )
            )
        return results

    def _select(self, view: _View, options: PredictOptions) -> tuple[Detections, Tensor]:
        """Return the wanted detections and their boxes in the picture."""
        found, boxes = self._detect(view, options.score_threshold)
        wanted = self._wanted_things(found, options)[: options.max_instances]
        return found[wanted], boxes[wanted]

    def _wanted_things(self, found: Detections, options: PredictOptions) -> Tensor:
        """Return the indices of the detections whose category is wanted, best first."""
        if options.category_ids is None:
            return torch.arange(len(found), device=found.classes.device)
        ids = self._thing_ids[found.classes.cpu().numpy()]
        wanted = np.flatnonzero(np.isin(ids, list(options.category_ids)))
        return torch.from_numpy(wanted).to(found.classes.device)

    def _partition(self, view: _View, options: PredictOptions) -> PanopticSegmentation:
        assert view.predictions.semantic_logits is not None
        least_score = max(options.score_threshold, self.config.panoptic.instance_score_threshold)
        found, boxes = self._detect(view, least_score)
        with torch.inference_mode():
            result = panoptic.merge(
                self._probabilities(view, found),
                boxes,
                found.scores,
                found.classes,
                view.predictions.semantic_logits[view.slot],
                resized_size=view.resized_size,
                output_size=view.output_size,
                config=self.config.panoptic,
                instance_score_threshold=least_score,
                masks=options.masks,
            )
        wanted = [
            segment
            for segment in result.segments
            if options.category_ids is None
            or self.categories.of(segment.label, segment.is_thing).id in options.category_ids
        ]
        things = [segment.id for segment in wanted if segment.is_thing]
        stuff = [segment.id for segment in wanted if not segment.is_thing]
        chosen = {*things[: options.max_instances], *stuff}
        return panoptic.choose(result, chosen)


def _one_each(
    options: PredictOptions | Sequence[PredictOptions], number: int
) -> Sequence[PredictOptions]:
    if isinstance(options, PredictOptions):
        return [options] * number
    if len(options) != number:
        raise ValueError(f"there are {number} pictures but {len(options)} options")
    return options
