"""A network small enough to run in milliseconds, with seeded random weights."""

from __future__ import annotations

import torch

from model.categories import Categories, Category
from model.config import (
    BackboneConfig,
    BasisConfig,
    BlenderConfig,
    FCOSConfig,
    FPNConfig,
    InputConfig,
    ModelConfig,
    PanopticConfig,
    SemanticConfig,
)
from model.network.blendmask import BlendMask
from model.prediction.predictor import Predictor

CATEGORIES = Categories(
    name="pets",
    things=(Category(id=3, name="cat"), Category(id=5, name="dog"), Category(id=9, name="hamster")),
    stuff=(Category(id=11, name="grass"), Category(id=12, name="carpet")),
)


def tiny_config(*, semantic: bool = False) -> ModelConfig:
    """A configuration with every kind of part, as narrow as they come."""
    return ModelConfig(
        name="tiny",
        input=InputConfig(short_side=64, max_side=128),
        backbone=BackboneConfig(kind="mobilenet_v2", norm="bn"),
        fpn=FPNConfig(channels=32, num_top_levels=0),
        fcos=FCOSConfig(num_classes=3, num_class_convs=1, num_box_convs=1),
        basis=BasisConfig(channels=32, num_convs=1, norm="bn", auxiliary_classes=3),
        blender=BlenderConfig(attention_size=7, mask_size=28),
        semantic=SemanticConfig(num_classes=3, channels=32) if semantic else None,
        panoptic=PanopticConfig(min_stuff_area=16, instance_score_threshold=0.3),
    )


def tiny_predictor(*, semantic: bool = False, seed: int = 0) -> Predictor:
    """A predictor whose random weights find objects."""
    config = tiny_config(semantic=semantic)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BlendMask(config)
        for parameter in model.fcos_head.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        torch.nn.init.constant_(model.fcos_head.cls_logits.bias, -1.0)
        torch.nn.init.constant_(model.fcos_head.bbox_pred.bias, 2.0)
    return Predictor(model, config, CATEGORIES)
