"""What the routes know of the machinery behind them: a job goes in, encoded answers come out.

Nothing here imports the network or its libraries. `thread_engine.py` is the first engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from model.categories import Categories
from model.config import ModelConfig

Task = Literal["segment", "panoptic"]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image of a request: its encoded bytes, and what the caller calls it.

    height, width: of the upright picture, as its header gives them; 0 before it is judged.
    """

    data: bytes
    id: str | None = None
    height: int = 0
    width: int = 0


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
    """A job's answers, one for each picture, in order; and the seconds by stage, "queue" too."""

    bodies: tuple[bytes, ...]
    seconds: dict[str, float]


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

    def stop(self) -> None:
        """Refuse everything that has not started, and wind up."""
        ...
