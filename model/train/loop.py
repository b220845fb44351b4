"""The training loop: read it top to bottom."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from model.train.distributed.world import gathered, wait_for_all, world_mean
from model.train.interrupt import StopRequest
from model.train.outputs.progress import Progress
from model.train.samples.batch import TrainingBatch
from model.train.state.optimizer import learning_rate
from model.train.state.training import Training

logger = logging.getLogger(__name__)

_MOST_SKIPPED_IN_A_ROW = 20


class NonFiniteLossError(ValueError):
    """A loss or a gradient became infinite or not a number."""


def train(
    training: Training,
    batches: Iterator[TrainingBatch],
    *,
    progress: Progress,
    evaluate: Callable[[], None] | None,
    save: Callable[[], None],
    stop: StopRequest,
    is_save_due: Callable[[], bool] = lambda: False,
) -> bool:
    """Train to the recipe's last iteration; return whether it got there, or was asked to stop.

    Args:
        batches: endless, from the batch that follows the last step.
        evaluate, save: every process calls them; they read the training. The weights are saved
            before they are evaluated: an evaluation may fail.
        is_save_due: whether the time has come, whatever the recipe says; any process may say so.

    Raises:
        NonFiniteLossError: a loss or a gradient is no number, and skipping was not asked for.
    """
    recipe = training.recipe
    training.network.train()
    while training.iteration < recipe.iterations:
        with progress.waiting_for_data():
            group = [next(batches) for _ in range(recipe.accumulate)]
        rate = _set_learning_rate(training)
        before = _StateBeforeForward(training) if training.skip_non_finite else None

        losses = _backward(training, group)
        flags = (stop.signal is not None, is_save_due())
        means, (anyone_stops, save_is_due) = _mean_of_all_processes(losses, flags)
        norm = _clip(training.parameters, recipe.optimizer.clip_norm)
        is_finite = math.isfinite(sum(means.values()) + norm)
        if is_finite:
            training.optimizer.step()
            if training.average is not None:
                training.average.update(training.network)
        else:
            _report_non_finite(training, group, losses, norm)
            assert before is not None
            before.restore(training)
        training.optimizer.zero_grad(set_to_none=True)
        training.num_skipped = 0 if is_finite else training.num_skipped + 1
        training.iteration += 1

        num_pictures = sum(len(batch.sizes) for batch in group) * training.world.size
        progress.step(training.iteration, means if is_finite else {}, rate, num_pictures)
        is_evaluated = not anyone_stops and training.is_due(recipe.evaluate_every)
        with progress.paused():
            is_saved = anyone_stops or save_is_due or training.is_due(recipe.checkpoint_every)
            if is_saved or (evaluate and is_evaluated):
                save()
            if evaluate and is_evaluated:
                evaluate()
                training.network.train()
                save()  # with what the evaluation found
        if anyone_stops:
            break
    wait_for_all()
    return training.iteration == recipe.iterations


def _set_learning_rate(training: Training) -> float:
    rate = learning_rate(training.iteration, training.recipe.optimizer)
    for group in training.optimizer.param_groups:
        group["lr"] = rate
    return rate


def _backward(training: Training, group: Sequence[TrainingBatch]) -> dict[str, Tensor]:
    """Add up the gradients of the mean loss over the batches; return the mean of each loss."""
    sums: dict[str, Tensor] = {}
    for number, batch in enumerate(group, start=1):
        is_last = number == len(group)
        with nullcontext() if is_last else _without_gradient_exchange(training.step):
            losses: dict[str, Tensor] = training.step(batch)
            total = torch.stack(list(losses.values())).sum() / len(group)
            total.backward()  # type: ignore[no-untyped-call]
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0) + loss.detach().float() / len(group)
    return sums


def _without_gradient_exchange(step: nn.Module) -> AbstractContextManager[None]:
    """Add gradients up in this process only: they are exchanged with a step's last batch."""
    return step.no_sync() if isinstance(step, DistributedDataParallel) else nullcontext()


def _mean_of_all_processes(
    losses: Mapping[str, Tensor], flags: Sequence[bool]
) -> tuple[dict[str, float], list[bool]]:
    """Return the mean of each loss over the processes, and whether any has each flag set."""
    mine = torch.stack(list(losses.values()))
    values = world_mean(torch.cat([mine, torch.tensor(flags).to(mine)])).tolist()
    means, shares = values[: len(losses)], values[len(losses) :]
    return dict(zip(losses, means, strict=True)), [share > 0 for share in shares]


def _clip(parameters: Sequence[nn.Parameter], limit: float | None) -> float:
    """Scale the gradients down to the limit, if there is one; return their norm before."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = get_total_norm(gradients)
    if limit is not None:
        clip_grads_with_norm_(parameters, limit, norm)
    return float(norm)


def _report_non_finite(
    training: Training,
    group: Sequence[TrainingBatch],
    losses: Mapping[str, Tensor],
    norm: float,
) -> None:
    """Say which pictures it was; raise unless such steps are to be skipped."""
    bad = [f"{name} is {float(v)}" for name, v in losses.items() if not math.isfinite(float(v))]
    ids = [image_id for batch in group for image_id in batch.image_ids]
    reports = gathered((bad, ids))
    guilty = [report for report in reports if report[0]] or reports
    what = ", ".join(dict.fromkeys(word for words, _ in guilty for word in words))
    message = (
        f"iteration {training.iteration}: {what or f'the norm of the gradients is {norm}'}; "
        f"pictures: {', '.join(str(i) for _, named in guilty for i in named)}"
    )
    if not training.skip_non_finite:
        raise NonFiniteLossError(
            f"{message}. A lower --lr, --clip-norm or a look at these pictures may help; "
            "--skip-non-finite leaves such steps out"
        )
    if training.num_skipped == _MOST_SKIPPED_IN_A_ROW:
        raise NonFiniteLossError(f"{message}. The {training.num_skipped} steps before were alike")
    if training.world.is_main:
        logger.warning("step left out: %s", message)


class _StateBeforeForward:
    """What a forward pass changes by itself: running statistics, the moving normaliser."""

    def __init__(self, training: Training) -> None:
        self._buffers = [buffer.detach().clone() for buffer in training.network.buffers()]
        self._criterion = dict(training.criterion.state_dict())

    @torch.no_grad()
    def restore(self, training: Training) -> None:
        """Undo what the forward passes since then did to it."""
        for buffer, value in zip(training.network.buffers(), self._buffers, strict=True):
            buffer.copy_(value)
        training.criterion.load_state_dict(self._criterion)
