"""The optimiser and the learning rate of each iteration (spec, section 9.5)."""

from __future__ import annotations

import torch
from torch import nn

from model.train.recipes.recipe import OptimizerConfig

_NORMS = (
    nn.modules.batchnorm._BatchNorm,  # SyncBatchNorm too
    nn.GroupNorm,
    nn.LayerNorm,
)


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Return SGD with momentum, or AdamW, over the parameters that are not frozen.

    Biases decay as weights do; the parameters of normalisations by `norm_weight_decay`. The
    learning rate is that of iteration 0.

    Raises:
        ValueError: all parameters are frozen.
    """
    of_norms = {
        parameter
        for module in model.modules()
        if isinstance(module, _NORMS)
        for parameter in module.parameters(recurse=False)
    }
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError("all parameters are frozen; a lower freeze_at leaves some to train")
    groups = [
        {
            "params": [p for p in trained if p not in of_norms],
            "weight_decay": config.weight_decay,
        },
        {
            "params": [p for p in trained if p in of_norms],
            "weight_decay": config.norm_weight_decay,
        },
    ]
    groups = [group for group in groups if group["params"]]
    rate = learning_rate(0, config)
    if config.kind == "adamw":
        return torch.optim.AdamW(groups, lr=rate)
    return torch.optim.SGD(groups, lr=rate, momentum=config.momentum)


def learning_rate(iteration: int, config: OptimizerConfig) -> float:
    """Return the learning rate of an iteration, counted from 0.

    It rises linearly from `warmup_factor` of its value over `warmup_iterations`, and is
    multiplied by `gamma` from each of `steps` on.
    """
    rate = config.learning_rate * config.gamma ** sum(step <= iteration for step in config.steps)
    if iteration >= config.warmup_iterations:
        return rate
    progress = iteration / config.warmup_iterations
    return rate * (config.warmup_factor * (1 - progress) + progress)
