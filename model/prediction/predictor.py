"""Pictures in, results out, no state between calls.

A notebook, the command line, the service, the evaluation and the benchmarks all go through
`Predictor`: what is measured is what is served. Long because two methods are typed twice, for one
picture and for several.
"""
# N images

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar, overload

import numpy as np
import torch

from model.categories import Categories
from model.checkpoints import checkpoint as checkpoints
from model.config import ModelConfig
from model.network.blendmask import BlendMask
from model.pictures.pixels import Picture, as_list
from model.prediction.by_canvas import run_by_canvas
from model.prediction.device import find_device
from model.prediction.options import EVERYTHING, PredictOptions, one_each
from model.prediction.preprocess import PictureMap, prepare
from model.prediction.readout import Readout
from model.prediction.results import LabelledInstances, LabelledPartition
from model.prediction.stages import StageTimes
from model.structures import DensePredictions, ImageBatch

__all__ = ["EVERYTHING", "PredictOptions", "Predictor"]

# The most pictures in a batch, where nobody says: what fits into the memory of most machines.
BATCH_SIZE = 8

_Options = TypeVar("_Options")
_Result = TypeVar("_Result")


class Predictor:
    """A network on a device, with what is needed to read its output.

    `load` opens one; `segment` and `panoptic` do all of it. A server that has the next pictures
    at hand calls their two halves: `prepare` in any thread, then `segment_batch` or
    `panoptic_batch` in the one that runs the network.
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

    def __repr__(self) -> str:
        counts = (
            f"{len(self.categories.things)} things, {len(self.categories.stuff)} kinds of stuff"
        )
        return f"<Predictor {self.config.name} on {self.device}: {self.categories.name}, {counts}>"

    @classmethod
    def load(
        cls,
        weights: str | Path,
        config: str | Path | None = None,
        device: torch.device | str = "auto",
        *,
        categories: str | Path | None = None,
        overrides: Sequence[str] = (),
        member: str | None = None,
    ) -> Predictor:
        """Return a predictor for weights from anywhere, fetched first if need be.

        Args:
            weights: a bundled name (`small`), a released one (`R_50_3x`), a path, a hub file
                (`owner/repo:file`), or an address (`https://…#sha256=<hex>`).
            config: a released configuration's name or an AdelaiDet YAML file; None takes what
                the name or the file says, or what the tensors fit.
            device: auto, cpu, cuda or cuda:1; "auto" is a CUDA device if there is one.
            categories: a COCO-style JSON file with the categories.
            overrides: AdelaiDet's options, KEY VALUE KEY VALUE ….
            member: which network to take where the file holds several.
        Raises:
            ValueError: the weights cannot be had or read, do not fit the configuration, or there
                is no such device.
        """
        # The hub's client takes its time to import; who has a checkpoint need not wait for it.
        from model.zoo.open_model import open_model

        chosen = find_device(device)
        checkpoint = open_model(
            weights, config=config, categories=categories, overrides=overrides, member=member
        )
        return cls.from_checkpoint(checkpoint, str(chosen))

    @classmethod
    def from_checkpoint(cls, checkpoint: checkpoints.Checkpoint, device: str = "auto") -> Predictor:
        """Return a predictor for a checkpoint; "auto" takes a CUDA device if there is one."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        model = checkpoints.build_model(checkpoint, device)
        return cls(model, checkpoint.config, checkpoint.categories, device)

    @overload  # a str is an iterable of str, too; as the first overload says, it is a path
    def segment(  # type: ignore[overload-overlap]
        self,
        images: Picture,
        options: PredictOptions | Sequence[PredictOptions] = ...,
        *,
        stages: StageTimes | None = ...,
        batch_size: int = ...,
    ) -> LabelledInstances: ...

    @overload
    def segment(
        self,
        images: Iterable[Picture],
        options: PredictOptions | Sequence[PredictOptions] = ...,
        *,
        stages: StageTimes | None = ...,
        batch_size: int = ...,
    ) -> list[LabelledInstances]: ...

    def segment(
        self,
        images: Picture | Iterable[Picture],
        options: PredictOptions | Sequence[PredictOptions] = EVERYTHING,
        *,
        stages: StageTimes | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> LabelledInstances | list[LabelledInstances]:
        """Return a picture's instances; a list of them for a list of pictures.

        Pictures that share a canvas run as one batch; the canvas depends on the picture and
        the configuration alone, so company changes no answer.

        Args:
            images: one picture, or several of any sizes. A picture is a path, the bytes of a
                file, an upright RGB uint8 (H, W, 3) array, or a PIL picture
                (`model.pictures.pixels.pixels_of` has the whole list).
            options: for all pictures, or one for each.
            stages: receives the seconds spent in "preprocess", "forward" and "postprocess".
            batch_size: the most pictures in a batch.

        Raises:
            ValueError: a picture is no such thing, or the options don't fit.
            OSError: a file cannot be read.
        """
        pictures, several = as_list(images)
        chosen = one_each(options, len(pictures))
        results = self._run(self.segment_batch, pictures, chosen, stages, batch_size)
        return results if several else results[0]

    @overload  # a str is an iterable of str, too; as the first overload says, it is a path
    def panoptic(  # type: ignore[overload-overlap]
        self,
        images: Picture,
        options: PredictOptions | Sequence[PredictOptions] = ...,
        *,
        stages: StageTimes | None = ...,
        batch_size: int = ...,
    ) -> LabelledPartition: ...

    @overload
    def panoptic(
        self,
        images: Iterable[Picture],
        options: PredictOptions | Sequence[PredictOptions] = ...,
        *,
        stages: StageTimes | None = ...,
        batch_size: int = ...,
    ) -> list[LabelledPartition]: ...

    def panoptic(
        self,
        images: Picture | Iterable[Picture],
        options: PredictOptions | Sequence[PredictOptions] = EVERYTHING,
        *,
        stages: StageTimes | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> LabelledPartition | list[LabelledPartition]:
        """Return a picture's partition, or a list of them; arguments as for `segment`.

        Raises:
            ValueError: the network has no semantic head, or as for `segment`.
            OSError: a file cannot be read.
        """
        self._check_semantic()
        pictures, several = as_list(images)
        chosen = one_each(options, len(pictures))
        results = self._run(self.panoptic_batch, pictures, chosen, stages, batch_size)
        return results if several else results[0]

    def segment_and_panoptic(
        self,
        images: Sequence[Picture],
        segment_options: PredictOptions = EVERYTHING,
        panoptic_options: PredictOptions = EVERYTHING,
        *,
        stages: StageTimes | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> list[tuple[LabelledInstances, LabelledPartition]]:
        """Return what `segment` and `panoptic` would, from one pass through the network.

        Raises:
            ValueError: as for `panoptic`.
        """
        self._check_semantic()
        chosen = [(segment_options, panoptic_options)] * len(images)
        return self._run(self._both_of_batch, images, chosen, stages, batch_size)

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
    ) -> list[LabelledInstances]:
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
    ) -> list[LabelledPartition]:
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
    ) -> list[LabelledInstances]:
        """Return the instances of each picture of a batch that `forward` has been through."""
        chosen = one_each(options, len(batch.output_sizes))
        return self._readout.instances(batch, predictions, chosen)

    def _both_of_batch(
        self,
        batch: ImageBatch,
        options: Sequence[tuple[PredictOptions, PredictOptions]],
        *,
        stages: StageTimes,
    ) -> list[tuple[LabelledInstances, LabelledPartition]]:
        with stages.measure("forward"):
            predictions = self.forward(batch)
        with stages.measure("postprocess"):
            instances = self._readout.instances(batch, predictions, [one for one, _ in options])
            partitions = self._readout.partitions(batch, predictions, [two for _, two in options])
        return list(zip(instances, partitions, strict=True))

    def _run(
        self,
        of_batch: Callable[..., list[_Result]],
        pictures: Sequence[Picture],
        options: Sequence[_Options],
        stages: StageTimes | None,
        batch_size: int,
    ) -> list[_Result]:
        times = stages or StageTimes()

        def run(images: list[np.ndarray], chosen: list[_Options]) -> list[_Result]:
            with times.measure("preprocess"):
                batch = self.prepare(images)
            return of_batch(batch, chosen, stages=times)

        return run_by_canvas(
            run, pictures, options, config=self.config.input, batch_size=batch_size
        )

    def _check_semantic(self) -> None:
        if self.config.semantic is None:
            raise ValueError(
                f"{self.config.name} has no semantic head: it can segment instances, "
                "not whole pictures"
            )
