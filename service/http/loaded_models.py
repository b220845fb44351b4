"""Which of the loaded models a request means."""

from __future__ import annotations

from collections.abc import Sequence

from service.engine import Engine, ModelInfo, Task
from service.errors import NoSuchModelError, OptionError, UnavailableError
from service.wording import quoted

# What a caller is told to wait while the model loads: nobody can know.
RETRY_S = 5


def choose_model(loaded: Sequence[ModelInfo], task: Task, name: str | None) -> ModelInfo:
    """Return the model of that name, or the first that can do the task.

    Raises:
        NoSuchModelError, OptionError: there is none of that name, or it cannot do the task.
    """
    model = find_model(loaded, name) if name is not None else None
    able = [other for other in loaded if task in other.tasks]
    if model is None and able:
        return able[0]
    if model is None or model not in able:
        names = ", ".join(other.name for other in able) or "none of the loaded ones"
        raise OptionError(
            f"model {(model or loaded[0]).name!r} cannot do /{task}; these can: {names}"
        )
    return model


def require_models(engine: Engine) -> Sequence[ModelInfo]:
    """Return the loaded models. Raises UnavailableError while there are none."""
    if not engine.models:
        reason = engine.unready_reason or "no model is loaded"
        raise UnavailableError(f"{reason}; ask again later", retry_after_s=RETRY_S)
    return engine.models


def find_model(loaded: Sequence[ModelInfo], name: str) -> ModelInfo:
    """Return the loaded model of that name. Raises NoSuchModelError, which names those loaded."""
    for model in loaded:
        if model.name == name:
            return model
    names = ", ".join(model.name for model in loaded)
    raise NoSuchModelError(f"no loaded model is called {quoted(name)}; there are: {names}")
