"""What is left of a file's truth once each row is judged, and whether that is next to nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from model.datasets.annotations import Annotation
from model.datasets.described_picture import DescribedPicture
from model.datasets.findings import Findings
from model.datasets.own_box import has_corners_for_box, is_far_from_mask

_LEAST_SHARE = 0.1
_MANY_CROWDS = 0.2  # COCO has 1 in 80
# Objects whose boxes are compared with their masks; all of COCO's would take half a minute.
_SAMPLE = 500


def judge_remains(pictures: Sequence[DescribedPicture], findings: Findings) -> None:
    """Add what a file has lost nearly whole to the findings, which hold what was dropped of it."""
    usable = list(_annotations(pictures))
    num_rows = sum(picture.num_rows for picture in pictures)
    _judge("annotations", len(usable), num_rows, _OF_ANNOTATIONS, findings)
    num_masks = sum(annotation.shape is not None for annotation in usable)
    num_lost = findings.count("polygon") + findings.count("run_lengths")
    _judge("masks", num_masks, num_masks + num_lost, _OF_MASKS, findings)
    _judge_boxes(pictures, findings)
    num_crowds = sum(annotation.is_crowd for annotation in usable)
    if num_crowds and num_crowds >= _MANY_CROWDS * len(usable):
        findings.add("many_crowds", f"{num_crowds} of {len(usable)} annotations")


def summary(pictures: Sequence[DescribedPicture]) -> str:
    """Return in one line what of a file can be used."""
    usable = list(_annotations(pictures))
    objects = [annotation for annotation in usable if not annotation.is_crowd]
    num_masks = sum(annotation.shape is not None for annotation in objects)
    return (
        f"{len(pictures):,} pictures, {len(objects):,} objects, {num_masks:,} of them with a mask, "
        f"{len(usable) - len(objects):,} crowds"
    )


# The kinds of findings that take something away.
_OF_ANNOTATIONS = ("category", "annotation_row", "empty_box", "far_box")
_OF_MASKS = ("polygon", "run_lengths")


def _annotations(pictures: Sequence[DescribedPicture]) -> Iterator[Annotation]:
    for picture in pictures:
        yield from picture.annotations


def _judge(
    what: str, num_left: int, num_given: int, kinds: Sequence[str], findings: Findings
) -> None:
    if num_given == 0 or num_left >= _LEAST_SHARE * num_given:
        return
    causes = [finding for finding in findings.listed() if finding.kind in kinds]
    told = "; ".join(f"{c.count:,} {c.what}, such as {c.examples[0]}" for c in causes)
    findings.add("lost", f"{what}: {num_left:,} of {num_given:,} can be used ({told})")


def _judge_boxes(pictures: Sequence[DescribedPicture], findings: Findings) -> None:
    pairs = (
        (annotation, picture)
        for picture in pictures
        for annotation in picture.annotations
        if annotation.shape is not None and not annotation.is_crowd
    )
    sample = list(islice(pairs, _SAMPLE))
    far = [(a, p) for a, p in sample if is_far_from_mask(a, p.height, p.width)]
    if not far or len(sample) - len(far) >= _LEAST_SHARE * len(sample):
        return
    num_corners = sum(has_corners_for_box(a, p.height, p.width) for a, p in far)
    hint = "; they are corners x0, y0, x1, y1, where x, y, width, height are right"
    findings.add(
        "lost",
        f"boxes: {len(far):,} of {len(sample):,} are far from their mask"
        + (hint if 2 * num_corners > len(far) else "")
        + f", such as annotation {far[0][0].id!r} of {far[0][1].file_name}",
    )
