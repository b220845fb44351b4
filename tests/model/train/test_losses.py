"""The losses say what they should, also of batches with little or nothing in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from tiny import tiny_config
from torch import Tensor
from training_batches import batch_of

from model.blendmask import BlendMask
from model.config import ModelConfig
from model.train.batch import TrainingBatch
from model.train.cells import Cells
from model.train.config import LossConfig
from model.train.detection_losses import box_losses, class_loss
from model.train.initialise import initialise
from model.train.losses import Criterion, normalised
from model.train.mask_losses import label_loss
from model.train.targets import DetectionTargets

CPU = torch.device("cpu")
LOSS = LossConfig(sizes_of_interest=(32, 64))
TWO_PICTURES = [[(4, 4, 40, 44), (30, 10, 60, 30)], [(8, 20, 60, 60)]]
LN2 = math.log(2)


def network(config: ModelConfig) -> BlendMask:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BlendMask(config)
        initialise(model, backbone=None, freeze_at=0)
        # Attentions of zero would leave the bases without a gradient for their differences.
        torch.nn.init.normal_(model.top_layer.bias)
    return model.train()


def losses_of(
    batch: TrainingBatch, *, config: ModelConfig | None = None, loss: LossConfig = LOSS
) -> dict[str, Tensor]:
    config = config or tiny_config(semantic=batch.semantic_labels is not None)
    return Criterion(loss, config)(network(config), batch, CPU)


def one_location(class_index: int) -> DetectionTargets:
    """The top left cell of the only picture answers for an object of that class."""
    zero = torch.zeros(1, dtype=torch.int64)
    return DetectionTargets(
        cells=Cells(counts=[1], images=zero, rows=zero, columns=zero),
        objects=zero,
        classes=torch.tensor([class_index]),
        distances=torch.ones(1, 4),
        centerness=torch.ones(1),
    )


def test_focal_loss_weighs_the_undecided_as_its_formula_says() -> None:
    logits = [torch.zeros(1, 2, 1, 2)]
    loss = class_loss(logits, one_location(0), torch.ones(1, 2), alpha=0.25, gamma=2.0)
    # One yes and three noes, each at probability one half.
    assert loss.item() == pytest.approx((0.25 + 3 * 0.75) * 0.25 * LN2)


def test_focal_loss_forgives_what_is_right_and_surely_so() -> None:
    logits = torch.full((1, 2, 1, 1), -30.0)
    logits[0, 1] = 30.0
    loss = class_loss([logits], one_location(1), torch.ones(1, 2), alpha=0.25, gamma=2.0)
    assert loss.item() == pytest.approx(0, abs=1e-12)
    wrong = class_loss([-logits], one_location(1), torch.ones(1, 2), alpha=0.25, gamma=2.0)
    assert wrong.item() == pytest.approx((0.25 + 0.75) * 30)


def test_unlabelled_class_has_no_loss() -> None:
    logits = [torch.zeros(1, 2, 1, 1)]
    labelled = torch.tensor([[1.0, 0.0]])
    loss = class_loss(logits, one_location(0), labelled, alpha=0.25, gamma=2.0)
    assert loss.item() == pytest.approx(0.25 * 0.25 * LN2)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # Boxes of 2 × 2 and 2 × 4 with 4 in common; one cell is added: (4 + 1) / (8 + 1).
        ("linear_iou", 1 - 5 / 9),
        ("iou", -math.log(5 / 9)),
        ("giou", 1 - 5 / 9),
    ],
)
def test_box_loss_of_a_box_in_another(kind: str, expected: float) -> None:
    inner, outer = torch.tensor([[1.0, 1, 1, 1]]), torch.tensor([[1.0, 1, 1, 3]])
    assert box_losses(inner, outer, kind).item() == pytest.approx(expected)  # type: ignore[arg-type]


def test_giou_counts_what_the_hull_adds() -> None:
    # 4 × 1 crossed with 1 × 4: 1 in common, 7 in union, 16 in the hull.
    wide, high = torch.tensor([[2.0, 0.5, 2, 0.5]]), torch.tensor([[0.5, 2.0, 0.5, 2]])
    assert box_losses(wide, high, "giou").item() == pytest.approx(1 - 2 / 8 + 9 / 16)


def test_all_losses_are_there_under_the_originals_names() -> None:
    losses = losses_of(batch_of(TWO_PICTURES, semantic=True))
    assert set(losses) == {
        "loss_fcos_cls",
        "loss_fcos_loc",
        "loss_fcos_ctr",
        "loss_mask",
        "loss_basis_sem",
        "loss_sem_seg",
    }
    assert all(loss.item() > 0 for loss in losses.values())


@pytest.mark.parametrize("boxes", [[[], []], TWO_PICTURES])
@pytest.mark.parametrize("labels", ["all", "none"])
def test_every_parameter_has_a_finite_gradient(
    boxes: Sequence[Sequence[tuple[float, ...]]], labels: str
) -> None:
    batch = batch_of(boxes, semantic=labels == "all", has_mask=labels == "all")
    if labels == "none":
        batch = replace(
            batch,
            basis_labels=torch.full_like(batch.basis_labels, 255),
            labelled_classes=torch.zeros_like(batch.labelled_classes),
        )
    config = tiny_config(semantic=True)
    config = replace(config, fcos=replace(config.fcos, use_scale=True))
    model = network(config)
    losses = Criterion(LOSS, config)(model, batch, CPU)
    torch.stack(list(losses.values())).sum().backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert missing == []
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_batch_without_objects_has_only_losses_of_labels() -> None:
    losses = losses_of(batch_of([[], []], semantic=True))
    assert [losses[n].item() for n in ("loss_mask", "loss_fcos_loc", "loss_fcos_ctr")] == [0] * 3
    assert losses["loss_fcos_cls"].item() > 0
    assert losses["loss_sem_seg"].item() > 0


def test_batch_without_known_labels_has_no_loss_of_labels() -> None:
    batch = batch_of(TWO_PICTURES, semantic=True)
    assert batch.semantic_labels is not None
    unknown = replace(
        batch,
        basis_labels=torch.full_like(batch.basis_labels, 255),
        semantic_labels=torch.full_like(batch.semantic_labels, 255),
    )
    losses = losses_of(unknown)
    assert losses["loss_basis_sem"].item() == 0
    assert losses["loss_sem_seg"].item() == 0
    without = losses_of(replace(batch, semantic_labels=None), config=tiny_config(semantic=True))
    assert without["loss_sem_seg"].item() == 0


def test_box_without_a_mask_trains_the_detector_only() -> None:
    with_masks, without = (losses_of(batch_of(TWO_PICTURES, has_mask=m)) for m in (True, False))
    assert without["loss_mask"].item() == 0
    for name in ("loss_fcos_cls", "loss_fcos_loc", "loss_fcos_ctr", "loss_basis_sem"):
        assert without[name].item() == with_masks[name].item() > 0


def test_mask_loss_is_that_of_the_objects_with_masks_alone() -> None:
    batch = batch_of(TWO_PICTURES)
    some = replace(batch, has_mask=[torch.tensor([False, True]), torch.tensor([True])])
    # The other masks may be anything.
    noise = replace(some, masks=[batch.masks[0].clone(), batch.masks[1]])
    noise.masks[0][0] = ~noise.masks[0][0]
    assert losses_of(some)["loss_mask"].item() == losses_of(noise)["loss_mask"].item()
    assert losses_of(some)["loss_mask"].item() != losses_of(batch)["loss_mask"].item()


def test_unknown_labels_do_not_count() -> None:
    logits = torch.zeros(1, 4, 1, 2)
    labels = torch.tensor([[[3, 255]]], dtype=torch.uint8)
    assert label_loss(logits, labels).item() == pytest.approx(math.log(4))


def test_padding_is_zero_after_normalisation() -> None:
    batch = replace(batch_of([[]]), sizes=[(40, 56)])
    config = tiny_config().input
    pixels = normalised(batch, config, CPU, torch.float32)
    assert pixels[0, :, 40:].abs().max() == 0
    assert pixels[0, :, :, 56:].abs().max() == 0
    corner = batch.pixels[0, :, 39, 55].float() - torch.tensor(config.pixel_mean)
    torch.testing.assert_close(pixels[0, :, 39, 55], corner)


def test_losses_are_float32_under_autocast_and_near_those_without() -> None:
    batch = batch_of(TWO_PICTURES, semantic=True)
    config = tiny_config(semantic=True)
    plain = losses_of(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = Criterion(LOSS, config)(network(config), batch, CPU)
    assert {loss.dtype for loss in rough.values()} == {torch.float32}
    for name, loss in plain.items():
        assert rough[name].item() == pytest.approx(loss.item(), rel=0.15), name


def test_losses_follow_the_networks_float64() -> None:
    config = tiny_config()
    losses = Criterion(LOSS, config)(network(config).double(), batch_of(TWO_PICTURES), CPU)
    assert {loss.dtype for loss in losses.values()} == {torch.float64}


def test_moving_normaliser_starts_at_a_hundred_and_is_kept() -> None:
    config, batch = tiny_config(), batch_of(TWO_PICTURES)
    model = network(config)
    criterion = Criterion(replace(LOSS, class_normaliser="moving_fg"), config)
    plain = Criterion(LOSS, config)
    with torch.no_grad():
        first = criterion(model, batch, CPU)["loss_fcos_cls"].item()
        by_positives = plain(model, batch, CPU)["loss_fcos_cls"].item()
    moving = criterion.state_dict()["moving_positives"]
    positives = (moving - 90) / 0.1
    assert positives == pytest.approx(round(positives), abs=1e-3)
    assert first * moving == pytest.approx(by_positives * positives, rel=1e-4)
    resumed = Criterion(criterion.config, config)
    resumed.load_state_dict(criterion.state_dict())
    with torch.no_grad():
        second = [c(model, batch, CPU)["loss_fcos_cls"].item() for c in (criterion, resumed)]
    assert second[0] == second[1] != first


def test_network_without_an_auxiliary_head_has_no_basis_loss() -> None:
    config = tiny_config()
    config = replace(config, basis=replace(config.basis, auxiliary_classes=None))
    assert "loss_basis_sem" not in losses_of(batch_of(TWO_PICTURES), config=config)


@pytest.mark.gpu
def test_step_on_cuda_has_the_cpus_losses_and_never_waits_for_the_device() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    config, batch = tiny_config(semantic=True), batch_of(TWO_PICTURES, semantic=True)
    expected = losses_of(batch)
    device = torch.device("cuda")
    model, criterion = network(config).to(device), Criterion(LOSS, config)
    criterion(model, batch, device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses = criterion(model, batch, device)
        torch.stack(list(losses.values())).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for name, loss in expected.items():
        assert losses[name].item() == pytest.approx(loss.item(), rel=1e-3), name
