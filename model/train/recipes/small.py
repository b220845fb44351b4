"""A small network for one's own training, on a MobileNetV2: `--config small`."""

from __future__ import annotations

from model.config import (
    BackboneConfig,
    BasisConfig,
    FCOSConfig,
    FPNConfig,
    InputConfig,
    ModelConfig,
)
from model.train.recipes.recipe import AugmentConfig, LossConfig, OptimizerConfig, Recipe

SMALL = "small"
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
