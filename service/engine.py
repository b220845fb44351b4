"""What the routes know of the machinery behind them: a job goes in, encoded answers come out.

Nothing here imports the network or its libraries. `service.pool.pool_engine` is the engine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

from model.answers.dialects.choice import Dialect, Masks
from model.categories import Categories
from model.config import ModelConfig
from model.pictures.background import Background
from model.prediction.options import PredictOptions

Task = Literal["segment", "panoptic"]
# They take the run lengths as they are.
_BRIEF_FORMATS: tuple[Dialect, ...] = ("native", "coco", "roboflow")


@dataclass(kw_only=True)
class Picture:
    """One image of a request: its encoded bytes, and what the caller calls it.

    data: empty once the engine has taken them over.

    height, width: of the upright picture, as its header gives them; 0 before it is judged.
    """

    data: bytes
    id: str | None = None
    height: int = 0
    width: int = 0

    def drop_data(self) -> None:
        """Let the bytes go: they are kept elsewhere."""
        self.data = b""


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """What to cut out of a picture.

    number: place of an instance in the answer, from 0, or id of a segment; None: all together.
    crop: to the least box around it.
    """

    number: int | None
    crop: bool


@dataclass(frozen=True, kw_only=True)
class PictureTask:
    """What a picture is asked: the same record for the routes, the pool and the worker.

    predict: what the predictor is to keep.
    masks: how the answer tells them, as the task and the format allow.
    picture_type: media type of the picture to answer with; None answers JSON.
    format: whose JSON it is.
    cutout: what that picture shows, if it is no drawing.
    background: what shows where the caller's picture is transparent; None drops its alpha.
    """

    task: Task
    predict: PredictOptions
    masks: Masks
    picture_type: str | None
    format: Dialect = "native"
    cutout: Cutout | None = None
    background: Background | None = None

    @property
    def is_brief(self) -> bool:
        """Whether its answer is encoded in no time, however large the picture.

        Then nothing is drawn, outlined, compressed or told in another tool's way for it.
        """
        is_short = self.masks == "none" or (self.masks == "rle" and self.format in _BRIEF_FORMATS)
        return self.picture_type is None and is_short


@dataclass(frozen=True, kw_only=True)
class Job:
    """A request that has been judged: what to do with which pictures.

    asked: of each picture.
    deadline: when nobody waits any more, in seconds of `time.monotonic`.
    request_id: what the logs call the request.
    traceparent: the W3C header of the span that its work lies below; None if there is none.
    """

    asked: PictureTask
    model: str
    pictures: tuple[Picture, ...]
    deadline: float
    request_id: str
    traceparent: str | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """A job's answers, one for each picture, in order; and the seconds by stage, "queue" too.

    model: whose answers they are.
    """

    bodies: tuple[bytes, ...]
    seconds: dict[str, float]
    model: ModelInfo


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A loaded model as a client sees it.

    sha256: hex digest of the weights file. precision: "float32", ...
    """

    name: str
    sha256: str
    device: str
    precision: str
    config: ModelConfig
    categories: Categories

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What it can do."""
        return ("segment", "panoptic") if self.config.is_panoptic else ("segment",)

    def usual_threshold(self, of_the_server: float | None) -> float:
        """Return the least score told where a request names none: the server's, or the model's."""
        return self.config.detection.score_threshold if of_the_server is None else of_the_server

    @cached_property
    def edition(self) -> str:
        """What its answers depend on, as a digest: all of it but the device."""
        data = {**self.to_json(), "device": None}
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "device": self.device,
            "precision": self.precision,
            "config": self.config.to_dict(),
            "categories": self.categories.to_dict(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelInfo:
        """Return the model that `to_json` described."""
        return cls(
            name=data["name"],
            sha256=data["sha256"],
            device=data["device"],
            precision=data["precision"],
            config=ModelConfig.from_dict(data["config"]),
            categories=Categories.from_dict(data["categories"]),
        )


class LoadError(Exception):
    """The model cannot be had; the text is one line for the operator."""


class Engine(Protocol):
    """Runs jobs away from the event loop. All methods belong to one event loop."""

    @property
    def models(self) -> Sequence[ModelInfo]:
        """The loaded models; empty while loading."""
        ...

    @property
    def unready_reason(self) -> str | None:
        """Why no new traffic should come, for /readyz; None when it should."""
        ...

    def start(self) -> None:
        """Begin to load; return at once."""
        ...

    async def wait_until_loaded(self) -> None:
        """Return once jobs can run. Raises LoadError if they never will."""
        ...

    async def submit(self, job: Job) -> Result:
        """Return the answers. Cancelling the call drops the job if it has not started.

        Raises:
            ServiceError: the queue is full, an image cannot be decoded, the engine stopped, ...
        """
        ...

    def drain(self) -> None:
        """Say from now on that no new traffic should come, but go on taking what comes."""
        ...

    async def reload(self) -> None:
        """Load the weights anew, and return once they serve; what runs is finished as it began.

        Raises:
            LoadError: they cannot be had; those before go on serving.
        """
        ...

    def stop(self) -> None:
        """Refuse everything that has not started, and wind up."""
        ...

    async def wait_stopped(self) -> None:
        """Return once nothing of it is left."""
        ...
