"""What is found in a data set: how bad it is, how often it is there, and examples."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

logger = logging.getLogger(__name__)

Severity = Literal["error", "warning", "change", "note"]

NUM_EXAMPLES = 3

# In the order of the report. Errors would break training, or lose what was paid for; changes are
# what is read otherwise than it is written.
KINDS: dict[str, tuple[Severity, str]] = {
    "file": ("error", "data sets that cannot be read"),
    "picture_row": ("error", "pictures without a sound id, file_name, width or height"),
    "picture_id": ("error", "picture ids given more than once"),
    "missing": ("error", "picture files that don't exist"),
    "undecodable": ("error", "picture files that cannot be decoded"),
    "size": ("error", "picture files of another size than the annotation file says"),
    "annotation_row": ("error", "annotations without a sound bbox or category"),
    "category": ("error", "annotations of a category that isn't listed"),
    "panoptic_segments": ("error", "panoptic rows without sound image_id, file_name or segments"),
    "lost": ("error", "of its kinds of truth lost whole, or nearly"),
    "no_pictures": ("error", "data sets without a single usable picture"),
    "panoptic_missing": ("error", "panoptic PNGs that don't exist"),
    "panoptic_map": (
        "error",
        "panoptic PNGs that cannot be read, of another size, or with ids that no segment has",
    ),
    "stranger": ("warning", "annotations of a picture that isn't listed (never read)"),
    "annotation_id": ("warning", "annotation ids given more than once (other programs read one)"),
    "same_file": ("warning", "picture files listed more than once"),
    "same_object": ("warning", "objects given more than once (same picture, category and box)"),
    "outside": ("warning", "boxes that leave their picture by more than a pixel (clipped)"),
    "empty_box": ("warning", "boxes without area inside their picture (left out)"),
    "far_box": ("warning", "boxes that reach 50 times the picture's size out of it (left out)"),
    "label_line": ("warning", "lines of YOLO's texts that are no polygon and no box (left out)"),
    "polygon": (
        "warning",
        "masks with broken polygons: under 3 corners, odd, no numbers, far away (dropped)",
    ),
    "ring": ("warning", "broken polygons of masks that have others (dropped, the others stay)"),
    "run_lengths": ("warning", "run lengths that don't fit their picture (mask dropped)"),
    "apart": ("warning", "boxes far from their own mask (overlap under 50 %)"),
    "nothing_left": ("warning", "pictures of whose annotations nothing can be used (left out)"),
    "many_crowds": (
        "warning",
        "data sets of many crowds: CVAT's brush writes objects so, --crowds-are-objects reads them",
    ),
    "tiny": ("warning", "boxes under 4 pixels wide or high"),
    "rare": ("warning", "classes with fewer than 10 objects"),
    "absent": ("warning", "classes without any object"),
    "panoptic_row": ("warning", "pictures without panoptic truth (they train no stuff)"),
    "text_number": ("change", "pictures or annotations with numbers as text (read)"),
    "image_id": ("change", 'ids of pictures written in two ways, 1 and "1" (taken for one)'),
    "point_pairs": ("change", "masks of polygons in pairs of points (read as lists of numbers)"),
    "flat_polygon": ("change", "masks of one polygon that is in no list (read as one)"),
    "file_name": ("change", "file names written otherwise than the files are called (found)"),
    "address": ("change", "pictures with an address and no file_name (the end of it is taken)"),
    "root_category": ("change", "categories that only name the group of the others (left out)"),
    "unlabelled": ("note", "pictures without annotation (left out without --keep-empty)"),
    "only_crowd": ("note", "pictures with nothing but crowds (left out without --keep-empty)"),
    "crowd": ("note", "crowd annotations (background to the detector)"),
    "no_mask": ("note", "objects with a box only (they train the detector, not the mask)"),
    "partial": ("note", "data sets that label only some of the classes"),
    "gaps": ("note", "category ids with gaps (fine: classes are counted without them)"),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of thing found."""

    kind: str
    severity: Severity
    what: str
    count: int
    examples: list[str]


class Findings:
    """Counts what is found, kind by kind, and keeps the first examples, or all."""

    def __init__(self, *, keep_all: bool = False) -> None:
        self._keep_all = keep_all
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, example: str) -> None:
        """Count one more; `kind` is one of `KINDS`."""
        assert kind in KINDS, kind
        self._counts[kind] += 1
        examples = self._examples.setdefault(kind, [])
        if self._keep_all or len(examples) < NUM_EXAMPLES:
            examples.append(example)

    def take(self, others: Findings) -> None:
        """Add what others hold."""
        self._counts += others._counts
        for kind, examples in others._examples.items():
            own = self._examples.setdefault(kind, [])
            own += examples if self._keep_all else examples[: NUM_EXAMPLES - len(own)]

    def count(self, kind: str) -> int:
        """Return how many of a kind were found."""
        return self._counts[kind]

    def listed(self) -> list[Finding]:
        """Return what was found, worst first."""
        return [
            Finding(
                kind=kind,
                severity=severity,
                what=what,
                count=self._counts[kind],
                examples=self._examples[kind],
            )
            for kind, (severity, what) in KINDS.items()
            if self._counts[kind]
        ]

    def refuse_errors(self, what: Path) -> None:
        """Raise if an error is among what was found in a file.

        Raises:
            ValueError: it says of what kind, how many there are, and one of them.
        """
        for finding in self.listed():
            if finding.severity == "error":
                raise ValueError(
                    f"{what}: {finding.count} {finding.what}, such as {finding.examples[0]}; "
                    "check-data tells more"
                )

    def log_warnings(self, what: Path) -> None:
        """Say what was dropped of a file, and what was read otherwise than it is written."""
        for finding in self.listed():
            if finding.severity in ("warning", "change"):
                logger.warning(
                    "%s: %d %s, such as %s", what, finding.count, finding.what, finding.examples[0]
                )


@dataclass(frozen=True, kw_only=True)
class ClassCount:
    """How much of a class there is: objects without crowds, those with a mask, pictures."""

    objects: int
    masks: int
    pictures: int


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What data sets hold and what is wrong with them.

    titles: a line for each data set. classes: by name, in the network's order.
    """

    titles: list[str]
    num_pictures: int
    num_annotations: int
    classes: Mapping[str, ClassCount]
    findings: list[Finding]

    @property
    def breaks_training(self) -> bool:
        """Whether an error is among the findings."""
        return any(finding.severity == "error" for finding in self.findings)

    def text(self) -> str:
        """Return the report for people."""
        lines = [*self.titles, ""]
        lines.append(
            f"{self.num_pictures:,} pictures, {self.num_annotations:,} annotations, "
            f"{len(self.classes)} classes"
        )
        if self.classes:
            width = max(len(name) for name in self.classes)
            lines.append(f"  {'class':<{width}} {'objects':>9} {'masks':>9} {'pictures':>9}")
            lines += [
                f"  {name:<{width}} {c.objects:>9,} {c.masks:>9,} {c.pictures:>9,}"
                for name, c in self.classes.items()
            ]
        lines.append("")
        for finding in self.findings:
            lines.append(f"{finding.severity}: {finding.count:,} {finding.what}")
            lines += [f"    {example}" for example in finding.examples]
            if finding.count > len(finding.examples):
                lines.append("    …")
        lines.append("This would break training." if self.breaks_training else "Fit for training.")
        return "\n".join(lines) + "\n"
