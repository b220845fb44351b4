"""Instances and stuff share the pixels of a picture: one partition (spec, section 8)."""
# R instances, M mask side, S semantic labels, h and w rows and columns at stride 4

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from model.config import PanopticConfig
from model.operations import ops
from model.operations.copies import fetch
from model.operations.devices import num_segments
from model.prediction.rle_strings import head_of, strings
from model.structures import RLE, PanopticSegmentation, Segment


def merge(
    probabilities: Tensor,
    boxes_xyxy: Tensor,
    scores: Tensor,
    classes: Tensor,
    logits: Tensor,
    *,
    resized_size: tuple[int, int],
    output_size: tuple[int, int],
    config: PanopticConfig,
    instance_score_threshold: float | None = None,
    masks: bool = True,
) -> PanopticSegmentation:
    """Return the partition: instances by descending score, then stuff where they left room.

    Args:
        probabilities, boxes_xyxy: (R, M, M) and (R, 4), as of `model.prediction.paste.BoxedMaps`.
        scores, classes: (R,), best score first.
        logits: (S, h, w), label 0 for things. Enlarged to the padded input, cut to the resized
            picture and resized to the picture, all bilinearly; the first of equal labels wins.
        resized_size, output_size: (height, width) of the network's view and of the picture.
        instance_score_threshold: instead of the configuration's.
        masks: whether the segments get run lengths.
    """
    threshold = instance_score_threshold
    if threshold is None:
        threshold = config.instance_score_threshold
    rules: dict[str, Any] = {
        "resized_size": resized_size,
        "output_size": output_size,
        "score_threshold": threshold,
        "max_overlap": config.max_overlap,
        "min_stuff_area": config.min_stuff_area,
    }
    ids, sources, areas, boxes_xywh, rles = _merged(
        (probabilities, boxes_xyxy, scores, logits), rules, masks=masks
    )
    scores, classes = fetch(scores, classes)
    best_first, labels = scores.tolist(), classes.tolist()
    segments = []
    for number, (source, area, box, rle) in enumerate(
        zip(sources.tolist(), areas.tolist(), boxes_xywh.tolist(), rles, strict=True)
    ):
        is_thing = source >= 0
        segments.append(
            Segment(
                id=number + 1,
                label=labels[source] if is_thing else -source,
                is_thing=is_thing,
                score=best_first[source] if is_thing else None,
                area=area,
                bbox_xywh=(box[0], box[1], box[2], box[3]),
                mask=rle,
            )
        )
    return PanopticSegmentation(segment_ids=ids.numpy(), segments=segments)


def _merged(
    given: tuple[Tensor, Tensor, Tensor, Tensor], rules: dict[str, Any], *, masks: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Sequence[RLE | None]]:
    """Return ids, sources, areas, boxes and run lengths, on the CPU and without spare room."""
    *merged, counts, offsets = ops.panoptic_merge(*given, **rules)
    if masks:
        text, text_offsets = ops.compress_rle(counts, offsets)
    else:
        text, text_offsets = counts[:0], offsets[:0]
    head = head_of(text, len(offsets))
    ids, *segments, offsets, text_offsets, head = fetch(*merged, offsets, text_offsets, head)
    if offsets[-1] > len(counts):  # there was no room on the device
        probabilities, boxes_xyxy, scores, logits = given
        again = (probabilities.cpu(), boxes_xyxy.cpu(), scores.cpu(), logits.cpu())
        return _merged(again, rules, masks=masks)
    number = num_segments(segments[0])
    sources, areas, boxes_xywh = (one[:number] for one in segments)
    rles: Sequence[RLE | None] = [None] * number
    if masks:
        rles = strings(text, head, text_offsets[: number + 1], *rules["output_size"])
    return ids, sources, areas, boxes_xywh, rles


def choose(result: PanopticSegmentation, kept_ids: Collection[int]) -> PanopticSegmentation:
    """Return the partition with only those segments, the rest void."""
    kept = [segment for segment in result.segments if segment.id in kept_ids]
    if len(kept) == len(result.segments):
        return result
    names = np.zeros(1 + max(segment.id for segment in result.segments), dtype=np.int32)
    for segment in kept:
        names[segment.id] = segment.id
    return dataclasses.replace(result, segment_ids=names[result.segment_ids], segments=kept)
