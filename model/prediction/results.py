"""Results with the categories that their classes mean: they can draw themselves.

A plain record of `model.structures` has all that the service needs; what is added here costs one
reference, and nothing is made before it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from model.categories import Categories
from model.pictures.pixels import Picture, pixels_of
from model.structures import Instances, PanopticSegmentation

if TYPE_CHECKING:
    import supervision

# Of a result that is looked at in a notebook.
_NUM_SHOWN = 5


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LabelledInstances(Instances):
    """One picture's instances, and the categories that `classes` counts."""

    categories: Categories

    def __repr__(self) -> str:
        rows = zip(self.names, self.scores, strict=True)
        return _shown(self, "instance", [f"{name} {score:.2f}" for name, score in rows])

    @property
    def names(self) -> list[str]:
        """The name of each instance's category."""
        return [self.categories.things[index].name for index in self.classes.tolist()]

    def bitmaps(self) -> np.ndarray:
        """Return the masks as pixels: bool (R, height, width).

        Raises:
            ValueError: the result was made without masks.
        """
        from model.answers.detections import bitmaps

        return bitmaps(self)

    def draw(self, picture: Picture) -> Image.Image:
        """Return the picture with each instance's mask, contour, box, name and score on it.

        Args:
            picture: the one that was segmented, in any form that `Predictor.segment` takes.
        Raises:
            ValueError: it cannot be read, or has another size.
        """
        # Only who draws waits for OpenCV.
        from model.answers.drawing import overlay_instances

        return Image.fromarray(overlay_instances(pixels_of(picture), self, self.categories))

    def to_supervision(self) -> supervision.Detections:
        """Return `supervision.Detections`: boxes, scores, masks if there are any, and classes.

        `class_id` has the data set's own ids, `data["class_name"]` the names.

        Raises:
            ImportError: supervision is not installed.
        """
        from model.answers.detections import instance_detections

        return instance_detections(self, self.categories)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LabelledPartition(PanopticSegmentation):
    """One picture's partition, and the categories that its segments' labels count."""

    categories: Categories

    def __repr__(self) -> str:
        return _shown(self, "segment", self.names)

    @property
    def names(self) -> list[str]:
        """The name of each segment's category."""
        return [self.categories.of(one.label, one.is_thing).name for one in self.segments]

    def draw(self, picture: Picture) -> Image.Image:
        """Return the picture with every segment's colour, border and name on it.

        Args:
            picture: the one that was partitioned, in any form that `Predictor.panoptic` takes.
        Raises:
            ValueError: it cannot be read, or has another size.
        """
        from model.answers.drawing import overlay_panoptic

        return Image.fromarray(overlay_panoptic(pixels_of(picture), self, self.categories))

    def to_supervision(self) -> supervision.Detections:
        """Return `supervision.Detections` of things and stuff.

        `class_id` has the data set's own ids, `data["class_name"]` the names and
        `data["isthing"]` the kinds. Stuff has no score: its `confidence` is NaN.

        Raises:
            ImportError: supervision is not installed.
        """
        from model.answers.detections import panoptic_detections

        return panoptic_detections(self, self.categories)


def _shown(result: LabelledInstances | LabelledPartition, kind: str, rows: Sequence[str]) -> str:
    count = f"{len(rows)} {kind}{'' if len(rows) == 1 else 's'}"
    more = ["…"] if len(rows) > _NUM_SHOWN else []
    found = f": {', '.join([*rows[:_NUM_SHOWN], *more])}" if rows else ""
    return f"<{count} in {result.width}×{result.height} pixels{found}>"
