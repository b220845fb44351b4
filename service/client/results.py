"""What a client gets: the answer's own numbers, and pixels of masks once they are asked for."""
# R instances or segments

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model.categories import Category
from service.client.errors import ClientError
from service.client.found import Found

if TYPE_CHECKING:
    import numpy as np
    import supervision


@dataclass(frozen=True, kw_only=True)
class _Result:
    """What both results have.

    model: name, digest of the weights and name of the categories, as the answer has them.
    """

    width: int
    height: int
    model: Mapping[str, str]

    @property
    def _rows(self) -> Sequence[Found]:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def names(self) -> list[str]:
        """The name of each one's category."""
        return [row.category for row in self._rows]

    def bitmaps(self) -> np.ndarray:
        """Return the masks as pixels: bool (R, height, width). ValueError without run lengths."""
        from model.answers.detections import bitmaps_of

        masks = [row.run_lengths for row in self._rows]
        return bitmaps_of(masks, self.height, self.width)

    def _detections(self, mask: np.ndarray | None, **data: Any) -> supervision.Detections:
        import numpy as np

        from model.answers.detections import detections_of

        boxes = np.array([row.bbox for row in self._rows], np.float32).reshape(-1, 4)
        scores = [np.nan if row.score is None else row.score for row in self._rows]
        return detections_of(
            [Category(id=row.category_id, name=row.category) for row in self._rows],
            xyxy=np.hstack((boxes[:, :2], boxes[:, :2] + boxes[:, 2:])),
            mask=mask,
            confidence=np.array(scores, np.float32),
            **data,
        )


@dataclass(frozen=True, kw_only=True)
class SegmentResult(_Result):
    """One picture's instances, best score first."""

    instances: tuple[Found, ...]

    @property
    def _rows(self) -> Sequence[Found]:
        return self.instances

    def to_supervision(self) -> supervision.Detections:
        """Return `supervision.Detections`, with masks if the answer has run lengths.

        `class_id` has the data set's own ids, `data["class_name"]` the names.

        Raises:
            ImportError: supervision is not installed.
        """
        has_masks = all(isinstance(one.segmentation, dict) for one in self.instances)
        return self._detections(self.bitmaps() if has_masks else None)

    def to_coco(self, image_id: int | str, *, boxes: bool = True) -> list[dict[str, Any]]:
        """Return rows of COCO's list of results, for `COCO.loadRes`.

        Args:
            boxes: whether rows have a `bbox`. Where they do, `loadRes` takes areas from boxes;
                without, from masks, as the evaluation of masks by size should.
        """
        rows = []
        for one in self.instances:
            row: dict[str, Any] = {"image_id": image_id, "category_id": one.category_id}
            if boxes:
                row["bbox"] = list(one.bbox)
            row["score"] = one.score
            if one.segmentation is not None:
                row["segmentation"] = one.segmentation
            rows.append(row)
        return rows


@dataclass(frozen=True, kw_only=True)
class PanopticResult(_Result):
    """One picture's partition into things and stuff.

    png: with masks="png", COCO's panoptic PNG.
    """

    segments: tuple[Found, ...]
    png: bytes | None = None

    @property
    def _rows(self) -> Sequence[Found]:
        return self.segments

    def segment_ids(self) -> np.ndarray:
        """Return the partition: int32 (height, width), 0 is void. ValueError without masks."""
        import numpy as np

        if self.png is not None:
            from PIL import Image

            red, green, blue = np.moveaxis(
                np.asarray(Image.open(io.BytesIO(self.png)).convert("RGB")).astype(np.int32), 2, 0
            )
            return np.asarray(red + 256 * green + 65536 * blue)
        ids = np.zeros((self.height, self.width), np.int32)
        for segment in self.segments:
            assert segment.id is not None
            ids[segment.bitmap()] = segment.id
        return ids

    def to_supervision(self) -> supervision.Detections:
        """Return `supervision.Detections` of things and stuff.

        `class_id` has the data set's own ids, `data["class_name"]` the names and
        `data["isthing"]` the kinds. Stuff has no score: its `confidence` is NaN.

        Raises:
            ImportError: supervision is not installed.
        """
        import numpy as np

        has_masks = self.png is not None or all(
            isinstance(one.segmentation, dict) for one in self.segments
        )
        ids = np.array([one.id for one in self.segments], np.int32)
        mask = self.segment_ids() == ids[:, None, None] if has_masks else None
        return self._detections(mask, isthing=np.array([s.isthing for s in self.segments], bool))

    def to_coco(self, image_id: int | str, file_name: str) -> dict[str, Any]:
        """Return COCO's panoptic annotation, to go with the PNG of that name (see `png`)."""
        infos = [
            {
                "id": one.id,
                "category_id": one.category_id,
                "area": one.area,
                "bbox": list(one.bbox),
                "iscrowd": 0,
            }
            for one in self.segments
        ]
        return {"image_id": image_id, "file_name": file_name, "segments_info": infos}


def read_segment(body: bytes) -> SegmentResult:
    """Return the result in an answer of /segment to one picture. Raises ClientError."""
    with _of_another_server(body):
        answer = json.loads(body)
        [image] = answer["images"]
        return SegmentResult(
            **_shared(answer, image), instances=tuple(_found(row) for row in image["instances"])
        )


def read_panoptic(body: bytes) -> PanopticResult:
    """Return the result in an answer of /panoptic to one picture. Raises ClientError."""
    with _of_another_server(body):
        answer = json.loads(body)
        [image] = answer["images"]
        png = image.get("png")
        return PanopticResult(
            **_shared(answer, image),
            segments=tuple(_found(row) for row in image["segments"]),
            png=None if png is None else base64.b64decode(png),
        )


def read_models(body: bytes) -> list[dict[str, Any]]:
    """Return the models in an answer of /models. Raises ClientError."""
    with _of_another_server(body):
        models: list[dict[str, Any]] = json.loads(body)["models"]
        return models


@contextmanager
def _of_another_server(body: bytes) -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, TypeError):
        start = body[:80].decode("utf-8", "replace")
        raise ClientError(
            f"what came is no answer of this API; it begins with {start!r}",
            num_tries=1,
            request_id=None,
        ) from None


def _shared(answer: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, Any]:
    return {"width": image["width"], "height": image["height"], "model": answer["model"]}


def _found(row: Mapping[str, Any]) -> Found:
    known = {name: row[name] for name in Found.__dataclass_fields__ if name in row}
    return Found(**{**known, "bbox": tuple(row["bbox"])})
