"""Networks to serve where no trained one is at hand: random weights that find objects."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from tiny import CATEGORIES, tiny_config

from model.checkpoints import checkpoint
from model.config import ModelConfig
from model.network.blendmask import BlendMask
from model.train.recipes.small import small_model

# Names in place of a weights file: the tests' toy, and the small network of `--config small`.
RANDOM = ("random-tiny", "random-small")


def random_weights(name: str, folder: Path) -> Path:
    """Write a file of random weights, and return its path."""
    config = tiny_config() if name == "random-tiny" else _small()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BlendMask(config)
        for parameter in model.fcos_head.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        for layer, bias in ((model.fcos_head.cls_logits, -1.0), (model.fcos_head.bbox_pred, 2.0)):
            assert layer.bias is not None
            torch.nn.init.constant_(layer.bias, bias)
    path = folder / f"{name}.safetensors"
    checkpoint.save(
        path,
        checkpoint.Checkpoint(
            config=config,
            categories=dataclasses.replace(CATEGORIES, stuff=()),
            tensors=model.state_dict(),
            sha256="",
            provenance={"source": "random numbers"},
        ),
    )
    return path


def _small() -> ModelConfig:
    config = small_model()
    fcos = dataclasses.replace(config.fcos, num_classes=len(CATEGORIES.things))
    backbone = dataclasses.replace(config.backbone, norm="bn")
    return dataclasses.replace(config, fcos=fcos, backbone=backbone)
