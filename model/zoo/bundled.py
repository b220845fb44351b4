"""Models that come with the package: no network is needed for them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from model.zoo.errors import LOCAL_FILE_ADVICE, ZooError

# Of our own making; AdelaiDet has released nothing by these names.
BUNDLED: dict[str, str] = {"small": "small.safetensors"}


def bundled_weights(name: str) -> Path:
    """Return the file of a bundled model.

    Raises:
        ZooError: this installation lacks it.
    """
    path = Path(str(resources.files("model").joinpath("weights", BUNDLED[name])))
    if not path.is_file():
        raise ZooError(
            f"the bundled weights {name} are not in this installation "
            f"(make demo-weights makes them); {LOCAL_FILE_ADVICE}"
        )
    return path
