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

from model.config import BackboneConfig, FCOSConfig, FPNConfig, ModelConfig
from model.network.blendmask import BlendMask
from model.train.losses import criterion as losses_module
from model.train.losses.criterion import Criterion, normalised
from model.train.losses.mask_losses import label_loss
from model.train.recipes.recipe import LossConfig
from model.train.samples.batch import TrainingBatch
from model.train.starting_weights.initialise import freeze_parts, initialise

CPU = torch.device("cpu")
LOSS = LossConfig(sizes_of_interest=(32, 64))
TWO_PICTURES = [[(4, 4, 40, 44), (30, 10, 60, 30)], [(8, 20, 60, 60)]]


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


def one_picture(batch: TrainingBatch, index: int) -> TrainingBatch:
    part = slice(index, index + 1)
    assert batch.semantic_labels is not None
    return TrainingBatch(
        pixels=batch.pixels[part],
        sizes=batch.sizes[part],
        boxes_xyxy=batch.boxes_xyxy[part],
        classes=batch.classes[part],
        masks=batch.masks[part],
        has_mask=batch.has_mask[part],
        basis_labels=batch.basis_labels[part],
        semantic_labels=batch.semantic_labels[part],
        labelled_classes=batch.labelled_classes[part],
        image_ids=batch.image_ids[part],
    )


@pytest.mark.parametrize("boxes", [TWO_PICTURES, [TWO_PICTURES[0], []]])
def test_mean_over_processes_is_the_loss_of_all_their_pictures(
    boxes: Sequence[Sequence[tuple[float, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = batch_of(boxes, semantic=True)
    assert whole.semantic_labels is not None
    whole.semantic_labels[0, :40] = 255
    whole.basis_labels[1, 3:] = 255
    if boxes[1]:
        whole.has_mask[1][:] = False
    config = tiny_config(semantic=True)
    model, criterion = network(config).double().eval(), Criterion(LOSS, config)
    parts = [one_picture(whole, 0), one_picture(whole, 1)]
    expected = criterion(model, whole, CPU)

    counts: list[Tensor] = []

    def seen(values: Tensor) -> Tensor:
        counts.append(values)
        return values

    monkeypatch.setattr(losses_module, "world_mean", seen)
    for part in parts:
        criterion(model, part, CPU)
    mean = torch.stack(counts).mean(dim=0)
    monkeypatch.setattr(losses_module, "world_mean", lambda _: mean)
    found = [criterion(model, part, CPU) for part in parts]
    for name, loss in expected.items():
        ours = sum(losses[name].item() for losses in found) / 2
        assert ours == pytest.approx(loss.item(), rel=1e-6), name


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


def quality_config(*, semantic: bool) -> ModelConfig:
    config = tiny_config(semantic=semantic)
    return replace(
        config,
        backbone=BackboneConfig(kind="csp_net"),
        fpn=FPNConfig(kind="pan", channels=32, num_top_levels=0),
        fcos=FCOSConfig(kind="quality", num_classes=3),
    )


def test_head_without_centerness_trains_without_its_loss() -> None:
    config = quality_config(semantic=True)
    model = network(config)
    batch = batch_of(TWO_PICTURES, semantic=True)
    losses = Criterion(LOSS, config)(model, batch, CPU)
    assert "loss_fcos_ctr" not in losses
    sum(losses.values()).backward()
    without = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()
    ]
    assert without == []


def test_own_boxes_add_to_the_mask_loss_alone() -> None:
    config = quality_config(semantic=False)
    model = network(config)
    for predictor in model.fcos_head.bbox_pred:
        torch.nn.init.zeros_(predictor.weight)
        torch.nn.init.zeros_(predictor.bias)  # 5 strides to each side
    batch = batch_of([[(0, 0, 64, 64)]])
    plain = Criterion(LOSS, config)(model, batch, CPU)
    more = Criterion(replace(LOSS, own_boxes=3), config)(model, batch, CPU)
    assert plain["loss_mask"] != more["loss_mask"]
    assert {n for n in plain if plain[n] != more[n]} == {"loss_mask"}


def test_frozen_semantic_head_does_not_run() -> None:
    model = network(tiny_config(semantic=True))
    freeze_parts(model, ["stuff"])
    losses = Criterion(LOSS, tiny_config(semantic=True))(
        model, batch_of(TWO_PICTURES, semantic=True), CPU
    )
    assert "loss_sem_seg" not in losses
