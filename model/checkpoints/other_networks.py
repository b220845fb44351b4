"""What weights of other networks are, told by the names of their tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable

# The first whose mark is in a name; names are ours where BlendMask has the same part.
_NETWORKS = (
    ("CondInst or BoxInst", r"^(mask_branch|controller)\."),
    ("Mask R-CNN", r"^roi_heads\.mask"),
    ("Keypoint R-CNN", r"^roi_heads\.keypoint"),
    ("Faster R-CNN", r"^roi_heads\.box"),
    ("a detector of mmdetection", r"^(bbox_head|roi_head|mask_head|neck)\."),
    ("RetinaNet", r"^head\.(cls_score|cls_subnet|classification_head)\b"),
    ("DETR or a kin of it", r"^(transformer|class_embed|query_embed)\."),
    ("YOLO", r"^(model\.)?\d+\.(conv|cv\d)\."),
    ("FCOS", r"^fcos_head\.cls_logits\."),
    ("an ImageNet ResNet of torchvision", r"^layer1\.0\.conv1\."),
)
# BlendMask's own parts: whoever has one is BlendMask, if perhaps another than asked for.
_OURS = ("basis_module.", "top_layer.")
_GOOD_BACKBONES = ("backbone.bottom_up.", "layer1.")


def other_network(names: Iterable[str]) -> str | None:
    """Return what the weights are of, in a sentence; None if it may be BlendMask or is unknown."""
    known = list(names)
    if any(name.startswith(_OURS) for name in known):
        return None
    for network, mark in _NETWORKS:
        telling = next((name for name in known if re.search(mark, name)), None)
        if telling is not None:
            return _sentence(network, telling, known)
    return None


def _sentence(network: str, telling: str, names: list[str]) -> str:
    advice = ""
    if any(name.startswith(_GOOD_BACKBONES) for name in names):
        advice = "; their backbone can start a training of one: --backbone-weights"
    return (
        f"the weights are of {network}, as the tensor {telling} shows, "
        f"and only BlendMask networks run here{advice}"
    )
