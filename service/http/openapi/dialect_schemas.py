"""What other tools' answers look like, as records: the OpenAPI document is made from them.

They are built by `model.answers.dialects`; tests hold the two together.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from service.http.openapi.schemas import RunLengths, Wire


class CocoResult(Wire):
    """One row of COCO's results."""

    image_id: int | str | None = Field(
        description="The image's id; a number where that is one, or the name of a file called so."
    )
    category_id: int
    bbox: tuple[float, float, float, float] = Field(description="x, y, width, height.")
    score: float
    segmentation: RunLengths | None = None


class CocoResults(RootModel[list[CocoResult]]):
    """COCO's list of results, of all images together."""


class CocoSegment(Wire):
    """One segment of a panoptic annotation."""

    id: int
    category_id: int
    area: int
    bbox: tuple[int, int, int, int]
    iscrowd: Literal[0]


class CocoPanopticAnnotation(Wire):
    """One image's panoptic annotation."""

    image_id: int | str | None
    file_name: str
    segments_info: list[CocoSegment]
    png: str | None = Field(None, description="Base64 of the PNG that `file_name` is for.")


class CocoPanoptic(Wire):
    """COCO's panoptic annotations, one for each image."""

    annotations: list[CocoPanopticAnnotation]


class Point(Wire):
    """A corner of an outline, in pixels."""

    x: float
    y: float


class RoboflowPrediction(BaseModel):
    """One prediction of Roboflow's."""

    model_config = ConfigDict(extra="forbid")

    x: float = Field(description="Of the box's centre.")
    y: float
    width: float
    height: float
    confidence: float
    class_: str = Field(alias="class")
    class_id: int
    detection_id: str
    rle: RunLengths | None = None
    points: list[Point] | None = None


class RoboflowSize(Wire):
    """Of the upright image."""

    width: int
    height: int


class RoboflowImage(Wire):
    """Roboflow's answer for an image."""

    image: RoboflowSize
    predictions: list[RoboflowPrediction]


class LabelStudioRegion(Wire):
    """One region of Label Studio's."""

    id: str
    from_name: str
    to_name: str
    type: Literal["brushlabels", "polygonlabels", "rectanglelabels"]
    value: dict[str, Any]
    original_width: int
    original_height: int
    image_rotation: Literal[0]
    score: float | None = None


class LabelStudioPrediction(Wire):
    """One image's regions. model_version: of a backend's only."""

    result: list[LabelStudioRegion]
    score: float
    model_version: str | None = None


class LabelStudioAnswer(Wire):
    """What an ML backend of Label Studio's answers with."""

    results: list[LabelStudioPrediction]
    model_version: str


class CvatShape(Wire):
    """One shape of CVAT's."""

    confidence: float | None = None
    label: str
    type: Literal["mask", "polygon", "rectangle"]
    points: list[float]
    mask: list[int] | None = Field(
        None, description="The crop's pixels, row by row, and left, top, right, bottom, inclusive."
    )


class CvatShapes(RootModel[list[CvatShape]]):
    """What a serverless function of CVAT's answers with for one image."""


class FiftyOneDetection(BaseModel):
    """One detection of FiftyOne's."""

    model_config = ConfigDict(extra="forbid")

    cls: Literal["Detection"] = Field(alias="_cls")
    label: str
    bounding_box: tuple[float, float, float, float]
    mask: dict[str, Any] | None = Field(None, description="Of the box, as MongoDB's JSON.")
    confidence: float | None


class FiftyOneDetections(BaseModel):
    """FiftyOne's detections of an image."""

    model_config = ConfigDict(extra="forbid")

    cls: Literal["Detections"] = Field(alias="_cls")
    detections: list[FiftyOneDetection]


class RoboflowImages(RootModel[list[RoboflowImage]]):
    """Roboflow's answers for several images."""


class CvatImages(RootModel[list[CvatShapes]]):
    """CVAT's shapes for several images."""


class FiftyOneImages(RootModel[list[FiftyOneDetections]]):
    """FiftyOne's detections of several images."""


# Of either task, by format; those of COCO differ.
SHARED: tuple[type[BaseModel], ...] = (
    *(RoboflowImage, RoboflowImages, LabelStudioAnswer),
    *(CvatShapes, CvatImages, FiftyOneDetections, FiftyOneImages),
)
