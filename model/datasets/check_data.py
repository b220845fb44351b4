"""`python -m model.train check-data`: what in a data set would hurt, before it does."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from model.datasets.annotation_file import read_document, read_json, read_pictures
from model.datasets.check_rows import FoundKind, check_annotation, check_file, check_map
from model.datasets.classes import LabelledCategories, categories_of, listed_ids, unite
from model.datasets.described_picture import DescribedPicture
from model.datasets.findings import ClassCount, DataReport, Findings
from model.datasets.numbers_as_text import ImageId
from model.datasets.panoptic_file import Partition, read_partitions
from model.datasets.sources import Source, find_source

_RARE = 10


@dataclass
class _Tally:
    """What is counted over all data sets."""

    findings: Findings
    parts: list[LabelledCategories] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    num_pictures: int = 0
    num_annotations: int = 0
    objects: Counter[int] = field(default_factory=Counter)
    masks: Counter[int] = field(default_factory=Counter)
    pictures: Counter[int] = field(default_factory=Counter)


def check(
    given: Sequence[str | Path | Source],
    *,
    split: str = "train",
    quick: bool = False,
    crowds_are_objects: bool = False,
    list_all: bool = False,
) -> DataReport:
    """Return what data sets hold and what is wrong with them; nothing that is wrong raises.

    Args:
        given: as for training.
        split: which part of a folder, "train" or "val".
        quick: read the headers of the pictures, not their pixels.
        crowds_are_objects: of data sets that are given as paths, as for training.
        list_all: keep all that is found, not a few examples of each kind.
    """
    tally = _Tally(findings=Findings(keep_all=list_all))
    for item in given:
        findings = Findings(keep_all=list_all)
        try:
            source = _source(item, split, crowds_are_objects)
            document = read_document(source.annotations, source.images, findings)
            panoptic = read_json(source.panoptic) if source.panoptic else None
            part = categories_of(document, panoptic, source.annotations.stem)
        except ValueError as error:
            tally.findings.add("file", str(error))
            continue
        tally.parts.append(part)
        _check_source(source, document, panoptic, part, quick, tally, findings)
        tally.findings.take(findings)
    return _report(tally)


def _source(given: str | Path | Source, split: str, crowds_are_objects: bool) -> Source:
    if isinstance(given, Source):
        return given
    return replace(find_source(given, split=split), crowds_are_objects=crowds_are_objects)


def _check_source(
    source: Source,
    document: dict[str, Any],
    panoptic: dict[str, Any] | None,
    part: LabelledCategories,
    quick: bool,
    tally: _Tally,
    findings: Findings,
) -> None:
    listed = listed_ids(document, source.annotations.stem)
    pictures = read_pictures(
        document,
        listed,
        source.images,
        findings,
        crowds_are_objects=source.crowds_are_objects,
    )
    partitions = None
    if panoptic is not None:
        partitions = read_partitions(panoptic, [picture.id for picture in pictures], findings)
    _check_files(source, pictures, partitions, quick, findings)
    _check_repetitions(pictures, findings)
    things = {category.id for category in part.categories.things}
    usable = sum(_check_objects(picture, things, tally, findings) for picture in pictures)
    if not usable:
        findings.add("no_pictures", str(source.annotations))
    ids = sorted(things)
    if ids and ids != list(range(ids[0], ids[0] + len(ids))):
        findings.add("gaps", f"{source.annotations}: {len(ids)} ids from {ids[0]} to {ids[-1]}")
    tally.num_pictures += len(document["images"])
    tally.num_annotations += len(document["annotations"])
    tally.titles.append(
        f"{source.annotations}: {len(pictures):,} pictures in {source.images}, "
        f"{usable:,} with usable annotations" + (", panoptic" if panoptic is not None else "")
    )


def _check_files(
    source: Source,
    pictures: Sequence[DescribedPicture],
    partitions: Mapping[ImageId, Partition] | None,
    quick: bool,
    findings: Findings,
) -> None:
    def look(picture: DescribedPicture) -> list[FoundKind | None]:
        name, height, width = picture.file_name, picture.height, picture.width
        found = [check_file(source.images / name, height, width, quick=quick)]
        if partitions is not None and source.panoptic_images is not None:
            partition = partitions.get(picture.id)
            folder = source.panoptic_images
            found.append(check_map(folder, name, partition, height, width, quick=quick))
        return found

    with ThreadPoolExecutor(max_workers=4) as pool:
        for found in pool.map(look, pictures):
            for one in found:
                if one is not None:
                    findings.add(*one)


def _check_repetitions(pictures: Sequence[DescribedPicture], findings: Findings) -> None:
    """Look for files, annotation ids and objects that are there more than once."""
    files: set[str] = set()
    ids: set[str] = set()
    for picture in pictures:
        if picture.file_name in files:
            findings.add("same_file", f"{picture.file_name} again as picture {picture.id!r}")
        files.add(picture.file_name)
        objects: set[tuple[Any, ...]] = set()
        for annotation in picture.annotations:
            name = f"annotation {annotation.id!r} of {picture.file_name}"
            if annotation.id is not None and repr(annotation.id) in ids:
                findings.add("annotation_id", name)
            ids.add(repr(annotation.id))
            same = (annotation.category_id, annotation.box_xywh)
            if same in objects:
                findings.add("same_object", name)
            objects.add(same)


def _check_objects(
    picture: DescribedPicture, things: Set[int], tally: _Tally, findings: Findings
) -> bool:
    """Count and judge a picture's annotations; return whether training can use the picture."""
    classes: set[int] = set()
    for annotation in picture.annotations:
        check_annotation(annotation, picture, findings)
        if not annotation.is_crowd and annotation.category_id in things:
            classes.add(annotation.category_id)
            tally.objects[annotation.category_id] += 1
            tally.masks[annotation.category_id] += annotation.shape is not None
    tally.pictures.update(classes)
    if picture.num_rows == 0:
        findings.add("unlabelled", picture.file_name)
    elif not picture.annotations:
        findings.add("nothing_left", picture.file_name)
    elif all(annotation.is_crowd for annotation in picture.annotations):
        findings.add("only_crowd", picture.file_name)
    return bool(classes)


def _report(tally: _Tally) -> DataReport:
    findings = tally.findings
    classes: dict[str, ClassCount] = {}
    try:
        united = unite(tally.parts) if tally.parts else None
    except ValueError as error:
        findings.add("file", str(error))
        united = None
    for category in united.things if united is not None else ():
        count = ClassCount(
            objects=tally.objects[category.id],
            masks=tally.masks[category.id],
            pictures=tally.pictures[category.id],
        )
        classes[category.name] = count
        if count.objects < _RARE:
            kind = "rare" if count.objects else "absent"
            findings.add(kind, f"{category.name}: {count.objects}")
    for part in tally.parts:
        if united is not None and len(part.labelled_ids) < len(united.things):
            names = [c.name for c in united.things if c.id in part.labelled_ids]
            findings.add("partial", f"{part.categories.name}: {', '.join(names[:8])}")
    return DataReport(
        titles=tally.titles,
        num_pictures=tally.num_pictures,
        num_annotations=tally.num_annotations,
        classes=classes,
        findings=findings.listed(),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report; return 1 if something would break training, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m model.train check-data", description="Look for what would hurt training."
    )
    data_help = (
        "a folder (COCO's, a labelling tool's export, YOLO's), an annotation file, or "
        "FILE.json:PICTURES; several for one run"
    )
    parser.add_argument("--data", nargs="+", required=True, metavar="PATH", help=data_help)
    parser.add_argument("--split", choices=("train", "val"), default="train", help="(train)")
    parser.add_argument("--quick", action="store_true", help="read headers of pictures only")
    crowd_help = "read crowds as objects: CVAT's brush writes objects so"
    parser.add_argument("--crowds-are-objects", action="store_true", help=crowd_help)
    list_help = "name all that is found, not three of each kind"
    parser.add_argument("--list", action="store_true", help=list_help)
    args = parser.parse_args(argv)
    report = check(
        args.data,
        split=args.split,
        quick=args.quick,
        crowds_are_objects=args.crowds_are_objects,
        list_all=args.list,
    )
    sys.stdout.write(report.text())
    return int(report.breaks_training)
