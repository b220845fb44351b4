"""The reference numbers: what is there, and the checkpoints they were computed with.

The folder is `BLENDMASK_GOLDEN`, by default the one in this repository. Tests run whatever
configurations and photos they find in it.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from model.checkpoints import checkpoint
from model.config import ModelConfig
from model.pictures.decode import decode_image
from model.prediction.predictor import Predictor
from model.presets import preset

OURS = Path(__file__).parent / "golden"
FOLDER = Path(os.environ.get("BLENDMASK_GOLDEN") or OURS)
if not (FOLDER / "_images").is_dir() or not any(FOLDER.rglob("manifest.json")):
    raise FileNotFoundError(
        f"{FOLDER} has no _images or no manifest.json: is BLENDMASK_GOLDEN a golden folder?"
    )

# One of each kind of network: these run in the ordinary suite, the rest with -m golden_all.
QUICK = (
    "550_R_50_dcni3_5x",
    "RT_R_50_4x_bn-head_syncbn_shtw",
    "DLA_34_syncbn_4x",
    "Panoptic/R_50_1x",
)


def configurations() -> list[str]:
    """Names of the configurations that have numbers here."""
    return sorted(str(p.parent.relative_to(FOLDER)) for p in FOLDER.rglob("manifest.json"))


def photos(name: str) -> list[str]:
    """Names of the photos that this configuration has answers for."""
    stems = {path.stem for path in (FOLDER / "_images").iterdir()}
    return sorted(path.stem for path in (FOLDER / name).glob("*.json") if path.stem in stems)


def param(name: str, *values: Any) -> Any:
    """A test parameter that is slow unless its configuration is a quick one."""
    marks = () if name in QUICK else (pytest.mark.golden_all,)
    return pytest.param(name, *values, marks=marks, id="-".join([name, *map(str, values)]))


def read(name: str) -> Any:
    """The JSON file of that name (without its ending) in the folder."""
    return json.loads((FOLDER / f"{name}.json").read_bytes())


def labels(name: str) -> np.ndarray:
    """The label picture of that name, as integers."""
    return np.asarray(Image.open(FOLDER / f"{name}.png")).astype(np.int64)


def image(name: str) -> np.ndarray:
    """A photo as RGB uint8 (H, W, 3), read as a user's is."""
    (path,) = (FOLDER / "_images").glob(f"{name}.*")
    return decode_image(path.read_bytes())


def has_small(name: str) -> bool:
    """Whether the folder has intermediates of this configuration, and the photo they are of."""
    return (FOLDER / name / "small_320x256.json").is_file() and has_photo("astronaut")


def has_photo(name: str) -> bool:
    """Whether the folder has this photo."""
    return any((FOLDER / "_images").glob(f"{name}.*"))


def require(name: str, photo: str) -> None:
    """Skip a test where another folder than ours lacks what it needs; ours lacks nothing.

    Raises:
        FileNotFoundError: ours does.
    """
    if name in configurations() and photo in photos(name):
        return
    missing = f"no numbers of {name} and {photo} in {FOLDER}"
    if FOLDER == OURS:
        raise FileNotFoundError(missing)
    pytest.skip(missing)


def as_yaml(options: dict[str, Any]) -> str:
    """Flat options, {"A.B": 1}, as the YAML file that says the same in a tree."""
    tree: dict[str, Any] = {}
    for key, value in options.items():
        *sections, name = key.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
        branch[name] = value
    return yaml.safe_dump(tree)


def write_original_checkpoint(name: str, path: Path) -> Path:
    """Write the very checkpoint that a configuration's numbers were computed with."""
    rows = read(f"{name}/manifest")["state_dict"]
    state = OrderedDict(
        (r["name"], torch.from_numpy(synthetic(r["name"], r["shape"]))) for r in rows
    )
    torch.save({"model": state}, path)
    return path


@functools.lru_cache(maxsize=1)
def predictor(name: str, folder: Path) -> Predictor:
    """A predictor with the synthetic checkpoint of a configuration, read as a user would."""
    path = write_original_checkpoint(name, folder / "original.pth")
    loaded = checkpoint.load(path, config=preset(name))
    path.unlink()
    return Predictor.from_checkpoint(loaded, device="cpu")


def with_config(predictor: Predictor, config: ModelConfig) -> Predictor:
    """The same weights under another configuration."""
    model = type(predictor.model)(config)
    model.load_state_dict(predictor.model.state_dict())
    return Predictor(model, config, predictor.categories)


def synthetic(name: str, shape: Sequence[int]) -> np.ndarray:
    """The value of a tensor of the original in the checkpoints that the numbers were made with."""
    return np.asarray(_synth().make(name, tuple(shape)))


@functools.cache
def _synth() -> Any:
    spec = importlib.util.spec_from_file_location("synth", FOLDER / "synth.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
