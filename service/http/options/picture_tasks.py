"""What the options of a request ask of each of its pictures."""

from __future__ import annotations

from model.prediction.options import PredictOptions
from service.engine import Cutout, ModelInfo, PictureTask, Task
from service.errors import OptionError
from service.http.options.records import PanopticOptions, SegmentOptions, masks_to_tell


def picture_task(
    task: Task,
    options: SegmentOptions | PanopticOptions,
    model: ModelInfo,
    usual_threshold: float,
    picture_type: str | None,
) -> PictureTask:
    """Return what the options ask of each picture.

    Args:
        usual_threshold: where they name none.
        picture_type: of the picture to answer with; None: JSON.
    Raises:
        OptionError: the model has not the classes.
    """
    threshold = options.score_threshold
    masks = masks_to_tell(task, options)
    cutout = None
    if options.render == "cutout":
        number = options.instance if isinstance(options, SegmentOptions) else options.segment
        cutout = Cutout(number=number, crop=bool(options.crop))
    if task == "segment":
        needs_masks = masks != "none" or cutout is not None
    else:  # a drawing and a PNG are made from the partition
        needs_masks = masks in ("rle", "polygon") and picture_type is None
    predict = PredictOptions(
        score_threshold=usual_threshold if threshold is None else threshold,
        max_instances=options.max_instances,
        category_ids=_category_ids(model, options.classes),
        masks=needs_masks,
    )
    return PictureTask(
        task=task,
        predict=predict,
        masks=masks,
        picture_type=picture_type,
        format=options.format,
        cutout=cutout,
        background=options.background,
    )


def _category_ids(model: ModelInfo, classes: tuple[str | int, ...] | None) -> frozenset[int] | None:
    if classes is None:
        return None
    try:
        return frozenset(model.categories.find(wanted).id for wanted in classes)
    except ValueError as error:
        raise OptionError(str(error)) from None
