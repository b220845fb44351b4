"""Bundled and released models by name, and every other way to say where weights are."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from model.adelaidet.config_files import read_config, with_overrides
from model.categories import Categories
from model.checkpoints.checkpoint import Checkpoint, load
from model.checkpoints.fit import check_fit
from model.config import ModelConfig
from model.files import sha256_of
from model.presets import PRESETS, preset
from model.zoo.bundled import BUNDLED, bundled_weights
from model.zoo.digest_ledger import check_digest
from model.zoo.download import download
from model.zoo.errors import ZooError
from model.zoo.hub import fetch

__all__ = ["BUNDLED", "DEFAULT_MODEL", "RELEASED", "ZooError", "open_model"]

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "small"
_RELEASED_REPOSITORY = "ZjuCv/AdelaiDet"
RELEASED: dict[str, str] = {
    name: f"{name}.pth"
    for name in (
        "R_50_1x",
        "R_50_3x",
        "R_101_3x",
        "R_101_dcni3_5x",
        "550_R_50_3x",
        "RT_R_50_4x_syncbn_shtw",
        "RT_R_50_4x_bn-head_syncbn_shtw",
        "DLA_34_syncbn_4x",
    )
}
_RELEASED_LICENCE = "released with AdelaiDet for non-commercial use only"
_HUB_FILE = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+):(?P<file>[^:\\]+)")


def open_model(
    weights: str | Path,
    *,
    config: str | Path | None = None,
    overrides: Sequence[str] = (),
    categories: str | Path | None = None,
    member: str | None = None,
) -> Checkpoint:
    """Return a checkpoint, fetched first if need be.

    Args:
        weights: a bundled name (`small`), a released one (`R_50_3x`), a local path, a hub file
            (`owner/repo:file`), or an address (`https://…#sha256=<hex>`). A `Path` is a path.
        config: a released configuration's name or an AdelaiDet YAML file; None takes the
            released name's, our file's own, or the one that the tensors fit.
        overrides: AdelaiDet's options, KEY VALUE KEY VALUE ….
        categories: a COCO-style JSON file.
        member: which network to take where a file holds several.
    Raises:
        ZooError: the weights cannot be had.
        ValueError: they cannot be read, or do not fit the configuration or the categories.
    """
    if config is None and isinstance(weights, str) and weights in PRESETS:
        config = weights
    chosen = None if config is None else _configuration(config, overrides)
    named = None if categories is None else Categories.from_coco(Path(categories))
    path, origin = _local_path(weights)
    checkpoint = load(path, config=chosen, categories=named, member=member)
    if chosen is None and overrides:
        adapted = with_overrides(checkpoint.config, overrides)
        check_fit(checkpoint.tensors, adapted)
        checkpoint = replace(checkpoint, config=adapted)
    if origin is not None:
        checkpoint = replace(checkpoint, provenance={**checkpoint.provenance, **origin})
    return checkpoint


def _configuration(given: str | Path, overrides: Sequence[str]) -> ModelConfig:
    config, path = str(given), Path(given).expanduser()
    if config not in PRESETS and (path.suffix in (".yaml", ".yml") or path.is_file()):
        return read_config(path, overrides)
    return with_overrides(preset(config), overrides)


def _local_path(given: str | Path) -> tuple[Path, dict[str, str] | None]:
    """Return where the weights lie, and where they came from if they were fetched."""
    if isinstance(given, Path):
        return given.expanduser(), None
    weights = given
    if weights in BUNDLED:
        return bundled_weights(weights), None
    if weights in PRESETS:
        if weights not in RELEASED:
            raise ZooError(
                f"no weights are published for {weights}; "
                f"give the path of a local file, and {weights} as its configuration"
            )
        return _from_hub(_RELEASED_REPOSITORY, RELEASED[weights])
    if "://" in weights:
        return download(weights), {"fetched_from": weights}
    path = Path(weights).expanduser()
    hub_file = _HUB_FILE.fullmatch(weights)
    if hub_file and not path.exists():
        return _from_hub(hub_file["repository"], hub_file["file"])
    if not path.exists():
        names = [*BUNDLED, *RELEASED]
        near = difflib.get_close_matches(weights, names, n=3, cutoff=0.4)
        raise ZooError(
            f"there is no file {weights}, and no bundled or released model is called so; "
            f"{'the nearest' if near else 'there are'}: {', '.join(near or names)}"
        )
    return path, None


def _from_hub(repository: str, file_name: str) -> tuple[Path, dict[str, str]]:
    name = f"{repository}:{file_name}"
    path = fetch(repository, file_name)
    sha256 = sha256_of(path)
    check_digest(name, sha256)
    logger.info("%s is at %s, sha256 %s", name, path, sha256)
    origin = {"fetched_from": name}
    if repository == _RELEASED_REPOSITORY:
        origin["licence"] = _RELEASED_LICENCE
    return path, origin
