"""Whether data can be evaluated on, looked at before hours are spent on what is to be evaluated."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from model.categories import Categories
from model.datasets.check_rows import FoundKind, check_file, check_map
from model.datasets.findings import Findings
from model.evaluation.data import EvaluationData, Picture
from model.evaluation.shared_classes import shared_classes

logger = logging.getLogger(__name__)

# Below this share of its pictures an evaluation says nothing about the data.
_LEAST_SHARE = 0.1


def check_ready(data: EvaluationData, categories: Categories, *, with_stuff: bool) -> None:
    """Read all that an evaluation will read, and say what of it cannot be used.

    Args:
        categories: of the network that will be evaluated.
        with_stuff: look at the panoptic truth too, if there is one.

    Raises:
        ValueError: the network and the data have no class in common, or next to no picture can
            be evaluated.
    """
    _check_classes(data, categories, with_stuff)
    findings = Findings()
    num_usable = 0
    with ThreadPoolExecutor(max_workers=4) as pool:
        for found in pool.map(lambda picture: _check(data, picture, with_stuff), data.pictures):
            num_usable += not found
            _add(findings, found)
    for finding in findings.listed():
        logger.warning(
            "data to evaluate on: %d %s, such as %s",
            *(finding.count, finding.what, finding.examples[0]),
        )
    if num_usable < _LEAST_SHARE * len(data.pictures) or num_usable == 0:
        causes = "; ".join(
            f"{finding.count} {finding.what}, such as {finding.examples[0]}"
            for finding in findings.listed()
        )
        raise ValueError(
            f"{num_usable} of {len(data.pictures)} pictures can be evaluated on"
            + (f": {causes}" if causes else "")
        )


def _check_classes(data: EvaluationData, categories: Categories, with_stuff: bool) -> None:
    if data.instances is not None:
        shared_classes(
            Categories(name=categories.name, things=categories.things),
            Categories(name=data.instances.name, things=data.instances.categories.things),
            labelled_ids=data.labelled_ids,
            only_common=True,
        )
    if data.panoptic is not None and with_stuff:
        shared_classes(categories, data.panoptic.categories, only_common=True)


def _check(data: EvaluationData, picture: Picture, with_stuff: bool) -> list[FoundKind]:
    height, width = picture.height, picture.width
    found = [check_file(picture.file.path, height, width, quick=False)]
    if with_stuff and data.panoptic_folder is not None:
        found.append(
            check_map(data.panoptic_folder, picture.file.name, picture.partition, height, width)
        )
    return [one for one in found if one is not None]


def _add(findings: Findings, found: Iterable[FoundKind]) -> None:
    for kind, example in found:
        findings.add(kind, example)
