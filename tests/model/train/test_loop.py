from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import (
    batch_of,
    batches_from,
    flat,
    keeper_in,
    run,
    tiny_recipe,
    tiny_training,
    weights_of,
)
from torch import Tensor

from model.checkpoints import checkpoint
from model.network.blendmask import BlendMask
from model.train.interrupt import StopRequest
from model.train.loop import NonFiniteLossError, train
from model.train.outputs.progress import Progress
from model.train.recipes.recipe import OptimizerConfig
from model.train.samples.batch import TrainingBatch
from model.train.state.optimizer import learning_rate
from model.train.state.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")


class FakeCriterion:
    """The mean over the pictures of what the bias of the class layer has to do with their number.

    Its gradient of `ctrness.bias` is the mean of the pictures' numbers.
    """

    def __init__(self, bad: frozenset[int] = frozenset()) -> None:
        self.bad = bad
        self.num_calls = 0

    def __call__(
        self, model: BlendMask, batch: TrainingBatch, device: torch.device
    ) -> dict[str, Tensor]:
        self.num_calls += 1
        model.get_buffer("backbone.bottom_up.features.0.1.running_mean").add_(1)
        numbers = torch.tensor([float(i) for i in batch.image_ids])
        loss = (numbers * model.fcos_head.ctrness.bias).mean()  # type: ignore[operator]
        if self.bad & set(batch.image_ids):
            loss = loss * float("nan")
        return {"loss_one": loss, "loss_two": torch.zeros(())}

    def state_dict(self) -> dict[str, Any]:
        return {"num_calls": self.num_calls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.num_calls = state["num_calls"]


def _bias(training: Any) -> float:
    return float(training.network.fcos_head.ctrness.bias.detach())


_PLAIN = OptimizerConfig(
    learning_rate=0.1, momentum=0.0, weight_decay=0.0, warmup_iterations=0, steps=(1,)
)


def test_each_iteration_takes_its_own_learning_rate() -> None:
    training = tiny_training(tiny_recipe(optimizer=_PLAIN, iterations=2), criterion=FakeCriterion())
    run(training, iter([batch_of([1]), batch_of([1])]))
    # 0.1 at iteration 0, a tenth of it from step 1 on; the gradient is 1.
    assert _bias(training) == pytest.approx(-0.1 - 0.01)


def test_rate_follows_the_schedule_of_the_recipe() -> None:
    training = tiny_training()
    seen = []

    class Spy(FakeCriterion):
        def __call__(self, *args: Any) -> dict[str, Tensor]:
            seen.append(training.optimizer.param_groups[0]["lr"])
            return super().__call__(*args)

    training.step.criterion = Spy()  # type: ignore[assignment]
    run(training)
    assert seen == [learning_rate(i, training.recipe.optimizer) for i in range(6)]


def test_two_accumulated_batches_are_one_of_twice_the_size() -> None:
    apart = tiny_training(
        tiny_recipe(optimizer=_PLAIN, accumulate=2, iterations=1), criterion=FakeCriterion()
    )
    run(apart, iter([batch_of([1, 2]), batch_of([3, 6])]))
    together = tiny_training(tiny_recipe(optimizer=_PLAIN, iterations=1), criterion=FakeCriterion())
    run(together, iter([batch_of([1, 2, 3, 6])]))
    assert _bias(apart) == _bias(together) == pytest.approx(-0.1 * 3)


def test_gradients_are_clipped_to_the_norm() -> None:
    optimizer = replace(_PLAIN, clip_norm=0.5)
    training = tiny_training(
        tiny_recipe(optimizer=optimizer, iterations=1), criterion=FakeCriterion()
    )
    run(training, iter([batch_of([8])]))
    assert _bias(training) == pytest.approx(-0.1 * 0.5, rel=1e-4)


def test_averaged_weights_are_the_ones_to_serve() -> None:
    training = tiny_training(
        tiny_recipe(optimizer=_PLAIN, iterations=1, ema_decay=0.5), criterion=FakeCriterion()
    )
    run(training, iter([batch_of([11])]))
    # One update: the decay is (1 + 1) / (10 + 1), the step -0.1 × 11.
    assert float(training.weights["fcos_head.ctrness.bias"]) == pytest.approx(-1.1 * 9 / 11)
    assert _bias(training) == pytest.approx(-1.1)


def test_loss_that_is_no_number_stops_and_names_the_pictures() -> None:
    training = tiny_training(criterion=FakeCriterion(bad=frozenset({5})))
    before = _bias(training)
    with pytest.raises(NonFiniteLossError, match=r"iteration 0: loss_one is nan; pictures: 4, 5\."):
        run(training, iter([batch_of([4, 5])]))
    assert _bias(training) == before


def test_skipped_step_leaves_no_trace() -> None:
    recipe = tiny_recipe(optimizer=_PLAIN, iterations=2)
    training = tiny_training(
        recipe, criterion=FakeCriterion(bad=frozenset({5})), skip_non_finite=True
    )
    run(training, iter([batch_of([5]), batch_of([10])]))
    assert training.iteration == 2
    assert _bias(training) == pytest.approx(-0.01 * 10)
    statistics = training.network.get_buffer("backbone.bottom_up.features.0.1.running_mean")
    assert (statistics == 1).all()  # one forward pass, not two
    assert training.criterion.state_dict() == {"num_calls": 1}


def test_skipping_ends_where_nothing_else_happens() -> None:
    training = tiny_training(
        tiny_recipe(iterations=100),
        criterion=FakeCriterion(bad=frozenset({5})),
        skip_non_finite=True,
    )

    def for_ever() -> Iterator[TrainingBatch]:
        while True:
            yield batch_of([5])

    with pytest.raises(NonFiniteLossError, match="The 20 steps before were alike"):
        run(training, for_ever())


def test_pictures_without_objects_train() -> None:
    training = tiny_training(tiny_recipe(iterations=2))
    before = flat(dict(training.network.named_parameters()))
    run(training, iter([batch_of([0, 1], empty=True), batch_of([2, 3])]))
    after = flat(dict(training.network.named_parameters()))
    assert torch.isfinite(after).all()
    assert not torch.equal(before, after)


def test_half_precision_trains_close_to_single() -> None:
    losses = {}
    for precision in ("float32", "bf16"):
        training = tiny_training(tiny_recipe(precision=precision, iterations=1))
        values = training.step(batch_of([0, 1]))
        losses[precision] = {name: float(value.detach()) for name, value in values.items()}
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["bf16"] != losses["float32"]


def test_signal_stops_after_the_step_and_saves(tmp_path: Path) -> None:
    training = tiny_training(criterion=FakeCriterion())
    recipe = training.recipe

    def interrupting() -> Iterator[TrainingBatch]:
        for number, batch in enumerate(batches_from(0)):
            if number == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    with StopRequest() as stop:
        is_done = run(training, interrupting(), keeper=keeper_in(tmp_path, recipe), stop=stop)
    assert not is_done
    assert stop.signal == signal.SIGTERM
    assert training.iteration == 3
    assert (tmp_path / "resume.pt").exists()


def test_second_ctrl_c_stops_at_once() -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_evaluation_and_saves_come_when_they_are_due() -> None:
    training = tiny_training(
        tiny_recipe(iterations=5, evaluate_every=2, checkpoint_every=3), criterion=FakeCriterion()
    )
    events = _events(training, lambda: False)
    # What is evaluated has been saved before, and what that finds is saved after.
    expected = "save 2, evaluate 2, save 2, save 3, save 4, evaluate 4, save 4, save 5, evaluate 5"
    assert ", ".join(events) == f"{expected}, save 5"


def test_saves_come_by_time_too() -> None:
    training = tiny_training(tiny_recipe(iterations=5), criterion=FakeCriterion())
    # Asked once in each step.
    times = iter([False, True, False, False, False])
    events = _events(training, lambda: next(times))
    assert events == ["save 2", "save 5", "evaluate 5", "save 5"]


def _events(training: Training, is_save_due: Callable[[], bool]) -> list[str]:
    events: list[str] = []
    train(
        training,
        batches_from(0),
        progress=Progress(None, start=0, end=5, every=1),
        evaluate=lambda: events.append(f"evaluate {training.iteration}"),
        save=lambda: events.append(f"save {training.iteration}"),
        stop=StopRequest(),
        is_save_due=is_save_due,
    )
    return events


def test_saved_network_is_the_one_that_was_trained(tmp_path: Path) -> None:
    training = tiny_training(tiny_recipe(iterations=1))
    run(training, keeper=keeper_in(tmp_path, training.recipe))
    served = checkpoint.load(tmp_path / "last.safetensors")
    assert served.categories.things[2].name == "class 3"
    assert served.provenance["iteration"] == "1 of 1"
    assert served.provenance["data"] == "made up"
    assert {n: t.numpy().tobytes() for n, t in served.tensors.items()} == weights_of(training)


def test_run_of_another_network_is_not_taken_over(tmp_path: Path) -> None:
    training = tiny_training(tiny_recipe(iterations=1))
    keeper = keeper_in(tmp_path, training.recipe)
    state = {**training.state(), **keeper.identity()}
    state["config"] = state["config"].replace('"num_classes": 3', '"num_classes": 4')
    with pytest.raises(ValueError, match=r"fcos\.num_classes: 4 -> 3"):
        keeper.check_same_run(state)
