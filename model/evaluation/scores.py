"""A predictor's results beside the truth, in the terms of the metrics."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from model.categories import Categories
from model.datasets.panoptic_file import TrueSegment
from model.evaluation.average_precision import AveragePrecision, Shapes
from model.evaluation.data import Picture
from model.evaluation.panoptic_quality import PanopticQuality
from model.evaluation.shared_classes import SharedClasses
from model.evaluation.truth import TrueObjects
from model.structures import Instances, PanopticSegmentation


class InstanceScores:
    """Box and mask AP of the classes that model and data share."""

    def __init__(self, classes: SharedClasses, categories: Categories) -> None:
        self.classes = classes
        self._ids = np.array([category.id for category in categories.things], dtype=np.int64)
        self._box = AveragePrecision(classes.ids)
        self._mask = AveragePrecision(classes.ids)
        self._counts = {"truths": 0, "truths_without_mask": 0, "detections": 0}

    def add(self, picture: Picture, truth: TrueObjects, found: Instances) -> list[dict[str, Any]]:
        """Count one picture; return its detections as rows of COCO's results file."""
        assert found.masks is not None
        assert found.areas is not None
        ids = self._ids[found.classes]
        boxes = xywh(found.boxes_xyxy)
        scores = found.scores.astype(np.float64)
        box_areas = boxes[:, 2] * boxes[:, 3]
        self._box.add(
            picture.id,
            Shapes(shapes=boxes, category_ids=ids, areas=box_areas),
            scores,
            truth.boxes,
            truth.is_crowd,
        )
        # Where only the box is known, a mask in it is neither right nor wrong: as in a crowd.
        self._mask.add(
            picture.id,
            Shapes(shapes=found.masks, category_ids=ids, areas=found.areas),
            scores,
            truth.masks,
            truth.is_crowd | truth.lacks_mask,
        )
        evaluated = np.isin(truth.boxes.category_ids, list(self.classes.ids))
        self._counts["truths"] += int(evaluated.sum())
        self._counts["truths_without_mask"] += int((truth.lacks_mask & evaluated).sum())
        self._counts["detections"] += len(found)
        return [
            {
                "image_id": picture.id,
                "category_id": int(ids[i]),
                "bbox": boxes[i].tolist(),
                "score": float(scores[i]),
                "segmentation": {"size": mask["size"], "counts": mask["counts"].decode()},
            }
            for i, mask in enumerate(found.masks)
        ]

    def report(self) -> dict[str, Any]:
        """Return "box" and "mask", their best F1s, the tables of classes, and the counts."""
        best = {"box": self._box.best_f1(), "mask": self._mask.best_f1()}
        return {
            "box": self._box.numbers(),
            "mask": self._mask.numbers(),
            "best_f1": {kind: None if one is None else asdict(one) for kind, one in best.items()},
            "per_class": {
                "box": with_names(self._box.per_category(), self.classes),
                "mask": with_names(self._mask.per_category(), self.classes),
            },
            "counts": dict(self._counts),
        }


class PartitionScores:
    """Panoptic quality of the classes that model and data share."""

    def __init__(self, classes: SharedClasses, categories: Categories) -> None:
        self.classes = classes
        self._categories = categories
        self._quality = PanopticQuality(
            (category.id for category in classes.things),
            (category.id for category in classes.stuff),
        )
        self._counts = {"true_segments": 0, "found_segments": 0}

    def add(self, truth: tuple[np.ndarray, list[TrueSegment]], found: PanopticSegmentation) -> None:
        """Count one picture."""
        true_map, segments = truth
        categories = {
            segment.id: self._categories.of(segment.label, segment.is_thing).id
            for segment in found.segments
        }
        self._quality.add(true_map, segments, found.segment_ids, categories)
        self._counts["true_segments"] += sum(s.category_id in self.classes.ids for s in segments)
        self._counts["found_segments"] += len(categories)

    def report(self) -> dict[str, Any]:
        """Return the numbers of "panoptic", its table of classes, and the counts."""
        return {
            "panoptic": self._quality.numbers(),
            "per_class": {"panoptic": with_names(self._quality.per_category(), self.classes)},
            "counts": dict(self._counts),
        }


def xywh(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Return (n, 4) float64 boxes x, y, width, height."""
    corners = boxes_xyxy.astype(np.float64)
    return np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1)


def with_names(rows: list[dict[str, Any]], classes: SharedClasses) -> list[dict[str, Any]]:
    """Return the rows with each category's name behind its id."""
    names = {category.id: category.name for category in (*classes.things, *classes.stuff)}
    return [{"id": row["id"], "name": names[row["id"]], **row} for row in rows]
