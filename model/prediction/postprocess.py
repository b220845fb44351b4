"""From dense predictions to detections, and from detections to masks (spec, sections 5 to 7)."""
# N images, R instances, C classes, h and w rows and columns of a level, M mask side

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from model.config import BlenderConfig, DetectionConfig
from model.network.blender import blend
from model.network.fcos import TopLayer
from model.prediction.boxes import clip, has_area, rescale
from model.structures import DensePredictions, Detections


def detect(
    predictions: DensePredictions,
    image: int,
    strides: tuple[int, ...],
    config: DetectionConfig,
    *,
    candidate_threshold: float = 0.0,
) -> Detections:
    """Return one picture's detections, best score first.

    Args:
        image: index in the batch.
        candidate_threshold: where it is above the configuration's, instances at the end are
            left out, and the work for them is saved.
    """
    threshold = max(config.candidate_threshold, candidate_threshold)
    levels = [
        _candidates(predictions, image, level, stride, config, threshold)
        for level, stride in enumerate(strides)
    ]
    found = Detections(
        **{
            name: torch.cat([getattr(candidates, name) for candidates in levels])
            for name in ("boxes_xyxy", "scores", "classes", "levels", "rows", "columns")
        }
    )
    if config.nms_threshold > 0:
        kept = batched_nms(found.boxes_xyxy, found.scores, found.classes, config.nms_threshold)
        found = found[kept]
    else:
        found = found[found.scores.argsort(descending=True, stable=True)]
    limit = config.max_instances
    if limit is not None and len(found) > limit:
        # Equal scores at the limit stay together, as in the original.
        found = found[found.scores >= found.scores[limit - 1]]
    return found


def _candidates(
    predictions: DensePredictions,
    image: int,
    level: int,
    stride: int,
    config: DetectionConfig,
    threshold: float,
) -> Detections:
    """One level's locations and classes above the threshold, at most the best so many."""
    logits = predictions.class_logits[level][image]
    num_columns = logits.shape[2]
    probabilities = logits.flatten(1).T.sigmoid()  # (C, h, w) -> (h * w, C)
    if predictions.centerness_logits is None:
        scores = probabilities.square()  # the probability is centerness too; its root is the score
    else:
        centerness = predictions.centerness_logits[level][image].flatten().sigmoid()
        scores = probabilities * centerness[:, None]
    judged = scores if config.threshold_with_centerness else probabilities
    locations, classes = (judged > threshold).nonzero(as_tuple=True)
    kept_scores = scores[locations, classes]
    if len(kept_scores) > config.max_candidates_per_level:
        kept_scores, best = kept_scores.topk(config.max_candidates_per_level, sorted=False)
        locations, classes = locations[best], classes[best]
    rows, columns = locations // num_columns, locations % num_columns
    distances = predictions.distances[level][image].flatten(1).T[locations] * stride
    centres = torch.stack([columns, rows], dim=1) * stride + stride // 2
    return Detections(
        boxes_xyxy=torch.cat([centres - distances[:, :2], centres + distances[:, 2:]], dim=1),
        scores=kept_scores.sqrt(),
        classes=classes,
        levels=torch.full_like(classes, level),
        rows=rows,
        columns=columns,
    )


def attentions_of(
    detections: Detections, predictions: DensePredictions, image: int, top_layer: TopLayer
) -> Tensor:
    """Return the attentions at the detections' own locations: (R, K, A, A)."""
    attentions = detections.scores.new_empty((len(detections), *top_layer.shape))
    for level, features in enumerate(predictions.box_features):
        here = (detections.levels == level).nonzero().flatten()
        if len(here):
            rows, columns = detections.rows[here], detections.columns[here]
            images = torch.full_like(rows, image)
            attentions[here] = top_layer.attentions_at(features, images, rows, columns)
    return attentions


def place_on_picture(
    detections: Detections, resized_size: tuple[int, int], output_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return the boxes in the picture, clipped to it, and which of them have area.

    Args:
        resized_size, output_size: (height, width) of the network's view and of the picture.
    Returns:
        (R, 4) boxes in pixels of the picture; (R,) bool.
    """
    boxes = rescale(
        detections.boxes_xyxy,
        scale_x=output_size[1] / resized_size[1],
        scale_y=output_size[0] / resized_size[0],
    )
    boxes = clip(boxes, *output_size)
    return boxes, has_area(boxes)


def mask_probabilities(
    detections: Detections,
    predictions: DensePredictions,
    image: int,
    top_layer: TopLayer,
    config: BlenderConfig,
) -> Tensor:
    """Return the detections' mask probabilities over their unclipped boxes: (R, M, M)."""
    attentions = attentions_of(detections, predictions, image, top_layer)
    images = torch.zeros_like(detections.classes)
    return blend(
        predictions.bases[image : image + 1], detections.boxes_xyxy, images, attentions, config
    )
