"""Pictures in, results out, no state between calls.

The command line, the service, the evaluation and the benchmarks all go through `Predictor`:
what is measured is what is served.
"""
# N images

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch

from model.categories import Categories
from model.checkpoints import checkpoint as checkpoints
from model.config import ModelConfig
from model.geometry import canvas_size
from model.network.blendmask import BlendMask
from model.prediction.options import EVERYTHING, PredictOptions, one_each
from model.prediction.preprocess import PictureMap, check_picture, prepare
from model.prediction.readout import Readout
from model.prediction.stages import StageTimes
from model.structures import DensePredictions, ImageBatch, Instances, PanopticSegmentation

__all__ = ["EVERYTHING", "PredictOptions", "Predictor"]

_Options = TypeVar("_Options")
_Result = TypeVar("_Result")


class Predictor:
    """A network on a device, with what is needed to read its output.

    `segment` and `panoptic` do all of it. A server that has the next pictures at hand calls
    their two halves: `prepare` in any thread, then `segment_batch` or `panoptic_batch` in the
    one that runs the network.
    """

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
        self._readout = Readout(config, categories, self.model.top_layer)
        # Of its own, so that what is prepared does not queue behind what runs.
        self._preparing: torch.cuda.Stream | None = None
        if self.device.type == "cuda":
            self._preparing = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

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
        chosen = one_each(options, len(images))
        return self._by_canvas(self.segment_batch, images, chosen, stages or StageTimes())

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
        self._check_semantic()
        chosen = one_each(options, len(images))
        return self._by_canvas(self.panoptic_batch, images, chosen, stages or StageTimes())

    def segment_and_panoptic(
        self,
        images: Sequence[np.ndarray],
        segment_options: PredictOptions = EVERYTHING,
        panoptic_options: PredictOptions = EVERYTHING,
        *,
        stages: StageTimes | None = None,
    ) -> list[tuple[Instances, PanopticSegmentation]]:
        """Return what `segment` and `panoptic` would, from one pass through the network.

        Raises:
            ValueError: as for `panoptic`.
        """
        self._check_semantic()
        chosen = [(segment_options, panoptic_options)] * len(images)
        return self._by_canvas(self._both_of_batch, images, chosen, stages or StageTimes())

    def prepare(self, images: Sequence[np.ndarray], *, picture_map: PictureMap = map) -> ImageBatch:
        """Return pictures of one canvas as a batch on the device, once it is there.

        Any thread may call this while another runs a batch.

        Args:
            images: upright RGB uint8 (H, W, 3) arrays.
            picture_map: a thread pool's `map` resizes them in parallel.
        Raises:
            ValueError: the pictures don't share a canvas, or one is no such array.
        """
        arguments = (images, self.config.input, self.device)
        if self._preparing is None:
            return prepare(*arguments, picture_map=picture_map)
        running = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._preparing):
            batch = prepare(*arguments, picture_map=picture_map)
        self._preparing.synchronize()
        # The memory is not to be given to another picture before the network is through with it.
        batch.pixels.record_stream(running)
        return batch

    def segment_batch(
        self,
        batch: ImageBatch,
        options: PredictOptions | Sequence[PredictOptions] = EVERYTHING,
        *,
        stages: StageTimes | None = None,
    ) -> list[Instances]:
        """Return the instances of each picture of a batch; as `segment`, "preprocess" aside."""
        stages = stages or StageTimes()
        with stages.measure("forward"):
            predictions = self.forward(batch, semantic=False)
        with stages.measure("postprocess"):
            return self.read_instances(batch, predictions, options)

    def panoptic_batch(
        self,
        batch: ImageBatch,
        options: PredictOptions | Sequence[PredictOptions] = EVERYTHING,
        *,
        stages: StageTimes | None = None,
    ) -> list[PanopticSegmentation]:
        """Return the partition of each picture of a batch; as `panoptic`, "preprocess" aside."""
        self._check_semantic()
        stages = stages or StageTimes()
        chosen = one_each(options, len(batch.output_sizes))
        with stages.measure("forward"):
            predictions = self.forward(batch)
        with stages.measure("postprocess"):
            return self._readout.partitions(batch, predictions, chosen)

    @torch.inference_mode()
    def forward(self, batch: ImageBatch, *, semantic: bool = True) -> DensePredictions:
        """Return the network's predictions for a batch, once they are computed."""
        predictions: DensePredictions = self.model(batch.pixels, semantic=semantic)
        if self.device.type == "cuda":  # so that the stage times tell the truth
            torch.cuda.current_stream(self.device).synchronize()
        return predictions

    def read_instances(
        self,
        batch: ImageBatch,
        predictions: DensePredictions,
        options: PredictOptions | Sequence[PredictOptions] = EVERYTHING,
    ) -> list[Instances]:
        """Return the instances of each picture of a batch that `forward` has been through."""
        chosen = one_each(options, len(batch.output_sizes))
        return self._readout.instances(batch, predictions, chosen)

    def _both_of_batch(
        self,
        batch: ImageBatch,
        options: Sequence[tuple[PredictOptions, PredictOptions]],
        *,
        stages: StageTimes,
    ) -> list[tuple[Instances, PanopticSegmentation]]:
        with stages.measure("forward"):
            predictions = self.forward(batch)
        with stages.measure("postprocess"):
            instances = self._readout.instances(batch, predictions, [one for one, _ in options])
            partitions = self._readout.partitions(batch, predictions, [two for _, two in options])
        return list(zip(instances, partitions, strict=True))

    def _by_canvas(
        self,
        run: Callable[..., list[_Result]],
        images: Sequence[np.ndarray],
        options: Sequence[_Options],
        stages: StageTimes,
    ) -> list[_Result]:
        """Return the results in the order of the pictures, run in one batch for each canvas.

        Args:
            options: one for each picture.
        """
        by_canvas: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for number, image in enumerate(images):
            check_picture(image)
            by_canvas[canvas_size(image.shape[0], image.shape[1], self.config.input)].append(number)
        results: dict[int, _Result] = {}
        for numbers in by_canvas.values():
            with stages.measure("preprocess"):
                batch = self.prepare([images[number] for number in numbers])
            found = run(batch, [options[number] for number in numbers], stages=stages)
            results.update(zip(numbers, found, strict=True))
        return [results[number] for number in range(len(images))]

    def _check_semantic(self) -> None:
        if self.config.semantic is None:
            raise ValueError(
                f"{self.config.name} has no semantic head: it can segment instances, "
                "not whole pictures"
            )
