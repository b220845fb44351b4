"""What the routes know of the machinery behind them: a job goes in, encoded answers come out.

Nothing here imports the network or its libraries. `pool_engine.py` is the engine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

from model.categories import Categories
from model.config import ModelConfig

Task = Literal["segment", "panoptic"]


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


def is_brief(masks: str, picture_type: str | None) -> bool:
    """Return whether an answer of that kind is encoded in no time, however large its picture."""
    return picture_type is None and masks in ("rle", "none")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A request that has been judged: what to do with which pictures.

    score_threshold: instances with a score >= it, of those that the model's configuration
        yields; 0 keeps them all.
    category_ids: the data set's own; None keeps all.
    masks: "rle", "polygon", "png" or "none", as the task allows.
    picture_type: media type of the drawing to answer with; None answers JSON.
    deadline: when nobody waits any more, in seconds of `time.monotonic`.
    request_id: what the logs call the request.
    traceparent: the W3C header of the span that its work lies below; None if there is none.
    """

    task: Task
    model: str
    pictures: tuple[Picture, ...]
    score_threshold: float
    max_instances: int
    category_ids: frozenset[int] | None
    masks: str
    picture_type: str | None
    deadline: float
    request_id: str
    traceparent: str | None = None

    @property
    def is_brief(self) -> bool:
        """Whether nothing is drawn, outlined or compressed for the answers."""
        return is_brief(self.masks, self.picture_type)

    @property
    def num_bytes(self) -> int:
        """Encoded bytes of all pictures."""
        return sum(len(picture.data) for picture in self.pictures)


@dataclass(frozen=True, kw_only=True)
class PictureAnswer:
    """One picture's member of `images` as JSON, or its drawing; and the seconds by stage."""

    body: bytes
    seconds: dict[str, float] = field(default_factory=dict)


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
