"""`python -m model.train check-data`: what in a data set would hurt, before it does."""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.datasets.annotation_file import read_json
from model.datasets.check_rows import check_annotation, check_file, is_sound_picture
from model.datasets.classes import LabelledCategories, categories_of, unite
from model.datasets.findings import ClassCount, DataReport, Findings
from model.datasets.sources import Source, find_source

_RARE = 10


@dataclass
class _Tally:
    """What is counted over all data sets."""

    findings: Findings = field(default_factory=Findings)
    parts: list[LabelledCategories] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    num_pictures: int = 0
    num_annotations: int = 0
    objects: Counter[int] = field(default_factory=Counter)
    masks: Counter[int] = field(default_factory=Counter)
    pictures: Counter[int] = field(default_factory=Counter)


def check(
    given: Sequence[str | Path | Source], *, split: str = "train", quick: bool = False
) -> DataReport:
    """Return what data sets hold and what is wrong with them; nothing that is wrong raises.

    Args:
        given: as for training.
        split: which part of a folder, "train" or "val".
        quick: read the headers of the pictures, not their pixels.
    """
    tally = _Tally()
    for item in given:
        try:
            source = item if isinstance(item, Source) else find_source(item, split=split)
            document = read_json(source.annotations)
            panoptic = read_json(source.panoptic) if source.panoptic else None
            part = categories_of(document, panoptic, source.annotations.stem)
        except ValueError as error:
            tally.findings.add("file", str(error))
            continue
        tally.parts.append(part)
        _check_source(source, document, panoptic, part, quick, tally)
    return _report(tally)


def _check_source(
    source: Source,
    document: dict[str, Any],
    panoptic: dict[str, Any] | None,
    part: LabelledCategories,
    quick: bool,
    tally: _Tally,
) -> None:
    findings = tally.findings
    pictures = _check_pictures(source, document["images"], findings)
    _check_files(source, list(pictures.values()), quick, findings)
    usable = _check_annotations(document["annotations"], pictures, part, tally)
    if not usable:
        findings.add("no_pictures", str(source.annotations))
    if panoptic is not None and source.panoptic_images is not None:
        _check_panoptic(source.panoptic_images, panoptic, pictures, findings)
    ids = sorted(category.id for category in part.categories.things)
    if ids and ids != list(range(ids[0], ids[0] + len(ids))):
        findings.add("gaps", f"{source.annotations}: {len(ids)} ids from {ids[0]} to {ids[-1]}")
    tally.num_pictures += len(document["images"])
    tally.num_annotations += len(document["annotations"])
    tally.titles.append(
        f"{source.annotations}: {len(pictures):,} pictures in {source.images}, "
        f"{usable:,} with usable annotations" + (", panoptic" if panoptic is not None else "")
    )


def _check_pictures(
    source: Source, rows: Sequence[Any], findings: Findings
) -> dict[int | str, dict[str, Any]]:
    """Return the sound pictures by id."""
    pictures: dict[int | str, dict[str, Any]] = {}
    files: set[str] = set()
    for row in rows:
        if not is_sound_picture(row):
            findings.add("picture_row", f"{source.annotations}: {row!r:.100}")
            continue
        if row["id"] in pictures:
            findings.add("picture_id", f"{row['id']!r}: {row['file_name']}")
        if row["file_name"] in files:
            findings.add("same_file", f"{row['file_name']} again as picture {row['id']!r}")
        files.add(row["file_name"])
        pictures[row["id"]] = row
    return pictures


def _check_files(
    source: Source, rows: Sequence[dict[str, Any]], quick: bool, findings: Findings
) -> None:
    def look(row: dict[str, Any]) -> tuple[str, str] | None:
        path = source.images / row["file_name"]
        return check_file(path, row["height"], row["width"], quick=quick)

    with ThreadPoolExecutor(max_workers=4) as pool:
        for found in pool.map(look, rows):
            if found is not None:
                findings.add(*found)


def _check_annotations(
    rows: Sequence[Any],
    pictures: dict[int | str, dict[str, Any]],
    part: LabelledCategories,
    tally: _Tally,
) -> int:
    """Count and judge the annotations; return the number of pictures that training can use."""
    findings = tally.findings
    known = {category.id for category in part.categories.things}
    by_picture: defaultdict[int | str, list[tuple[int, bool]]] = defaultdict(list)
    ids: set[Any] = set()
    objects: set[tuple[Any, ...]] = set()
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("image_id"), int | str):
            findings.add("annotation_row", f"{row!r:.100}")
            continue
        name = f"annotation {row.get('id')!r} of picture {row['image_id']!r}"
        if "id" in row and row["id"] in ids:
            findings.add("annotation_id", name)
        ids.add(row.get("id"))
        category = row.get("category_id")
        if row["image_id"] not in pictures:
            findings.add("stranger", name)
        elif category not in known:
            findings.add("category", f"{name}: category {category!r}")
        else:
            same = (row["image_id"], category, str(row.get("bbox")))
            if same in objects and "bbox" in row:
                findings.add("same_object", name)
            objects.add(same)
            usable = check_annotation(row, pictures[row["image_id"]], findings)
            by_picture[row["image_id"]].append((category, usable))
            if usable:
                tally.objects[category] += 1
                tally.masks[category] += bool(row.get("segmentation"))
    return _count_pictures(pictures, by_picture, tally)


def _count_pictures(
    pictures: dict[int | str, dict[str, Any]],
    by_picture: defaultdict[int | str, list[tuple[int, bool]]],
    tally: _Tally,
) -> int:
    num_usable = 0
    for image_id, picture in pictures.items():
        found = by_picture.get(image_id)
        classes = {category for category, usable in found or () if usable}
        if not found:
            tally.findings.add("unlabelled", picture["file_name"])
        elif not classes:
            tally.findings.add("only_crowd", picture["file_name"])
        num_usable += bool(classes)
        tally.pictures.update(classes)
    return num_usable


def _check_panoptic(
    folder: Path,
    panoptic: dict[str, Any],
    pictures: dict[int | str, dict[str, Any]],
    findings: Findings,
) -> None:
    described = set()
    for row in panoptic["annotations"]:
        described.add(row.get("image_id"))
        path = folder / str(row.get("file_name"))
        if row.get("image_id") in pictures and not path.is_file():
            findings.add("panoptic_missing", str(path))
    for image_id, picture in pictures.items():
        if image_id not in described:
            findings.add("panoptic_row", picture["file_name"])


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
    data_help = "a COCO folder, an annotation file, or FILE.json:PICTURES; several for one run"
    parser.add_argument("--data", nargs="+", required=True, metavar="PATH", help=data_help)
    parser.add_argument("--split", choices=("train", "val"), default="train", help="(train)")
    parser.add_argument("--quick", action="store_true", help="read headers of pictures only")
    args = parser.parse_args(argv)
    report = check(args.data, split=args.split, quick=args.quick)
    sys.stdout.write(report.text())
    return int(report.breaks_training)
