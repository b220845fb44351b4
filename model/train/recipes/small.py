"""Small networks for training: on a MobileNetV2 (`--config small`), and the bundled one."""

from __future__ import annotations

from model.config import (
    BackboneConfig,
    BasisConfig,
    DetectionConfig,
    FCOSConfig,
    FPNConfig,
    InputConfig,
    ModelConfig,
    SemanticConfig,
)
from model.train.recipes.recipe import AugmentConfig, LossConfig, OptimizerConfig, Recipe

SMALL, SMALL_2 = "small", "small-2"
# ImageNet's, as torchvision's weights expect them, in 0..255.
RGB_MEAN = (123.675, 116.28, 103.53)
RGB_STD = (58.395, 57.12, 57.375)


def small_model(short_side: int = 320, channels: int = 128) -> ModelConfig:
    """Return a network of under 10 MB in half precision: three levels and p6, one shared tower."""
    return ModelConfig(
        name=SMALL,
        input=InputConfig(
            short_side=short_side,
            max_side=2 * short_side,
            channels="rgb",
            pixel_mean=RGB_MEAN,
            pixel_std=RGB_STD,
        ),
        backbone=BackboneConfig(kind="mobilenet_v2", norm="sync_bn"),
        fpn=FPNConfig(channels=channels, num_top_levels=1),
        fcos=FCOSConfig(num_share_convs=3, num_class_convs=0, num_box_convs=0),
        basis=BasisConfig(num_convs=2, channels=channels // 2),
    )


def small_2_model(short_side: int = 384, num_stuff: int = 53) -> ModelConfig:
    """Return the network of the bundled weights: NanoDet-g's detector, and BlendMask's parts.

    A score is the class probability itself, so the candidates' limit, which its square is
    compared with, is the square of the usual one.
    """
    return ModelConfig(
        name=SMALL_2,
        input=InputConfig(
            short_side=short_side,
            max_side=640 * short_side // 384,
            pixel_std=(57.375, 57.12, 58.395),
        ),
        backbone=BackboneConfig(kind="csp_net"),
        fpn=FPNConfig(kind="pan", channels=128, num_top_levels=0),
        fcos=FCOSConfig(kind="quality"),
        basis=BasisConfig(num_convs=2, channels=64, auxiliary_classes=None),
        semantic=SemanticConfig(num_classes=num_stuff + 1, channels=64) if num_stuff else None,
        detection=DetectionConfig(candidate_threshold=0.05**2),
    )


def small_recipe(iterations: int = 12_000, short_side: int = 320) -> Recipe:
    """Return a recipe for a few hundred to a few thousand pictures and one device."""
    short_sides = tuple(round(short_side * factor / 8) for factor in range(5, 11))
    return Recipe(
        augment=AugmentConfig(short_sides=short_sides, max_side=round(2.5 * short_side)),
        loss=LossConfig(sizes_of_interest=(64, 128, 256)),
        optimizer=OptimizerConfig(
            steps=(iterations * 2 // 3, iterations * 8 // 9),
            warmup_iterations=min(500, iterations // 10),
            clip_norm=10.0,
        ),
        iterations=iterations,
        freeze_at=0,
        ema_decay=0.999,
        checkpoint_every=500,
    )
