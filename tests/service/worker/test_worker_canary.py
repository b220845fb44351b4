from __future__ import annotations

import pytest
import tiny
import torch

from model.categories import Categories
from model.network.blendmask import BlendMask
from model.prediction.predictor import Predictor
from model.train.recipes.small import small_2_model
from service.worker.canary import Canary, canary_picture


def test_the_picture_is_always_the_same() -> None:
    picture = canary_picture()
    assert picture.shape == (240, 320, 3)
    assert (picture == canary_picture()).all()
    assert picture.std() > 30


@pytest.mark.parametrize("semantic", [False, True])
def test_a_sound_model_passes_again_and_again(semantic: bool) -> None:
    canary = Canary(tiny.tiny_predictor(semantic=semantic))
    assert [canary.complaint() for _ in range(3)] == [None, None, None]


def test_weights_that_are_no_numbers_are_found_out_at_once() -> None:
    predictor = tiny.tiny_predictor()
    torch.nn.init.constant_(predictor.model.fcos_head.cls_logits.bias, float("nan"))
    assert Canary(predictor).complaint() == "the network's classes are not finite"


def test_a_model_that_says_something_else_later_is_found_out() -> None:
    predictor = tiny.tiny_predictor()
    canary = Canary(predictor)
    assert canary.complaint() is None
    with torch.no_grad():
        predictor.model.fcos_head.cls_logits.bias += 0.1
    complaint = canary.complaint()
    assert complaint is not None
    assert "probabilities" in complaint


def test_boxes_that_move_are_found_out() -> None:
    predictor = tiny.tiny_predictor()
    canary = Canary(predictor)
    assert canary.complaint() is None
    with torch.no_grad():
        predictor.model.fcos_head.bbox_pred.bias += 1.0
    complaint = canary.complaint()
    assert complaint is not None
    assert "not found again" in complaint


def test_a_device_that_computes_otherwise_in_company_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = tiny.tiny_predictor()
    forward = predictor.model.forward

    def wrong(pixels: torch.Tensor, **options: bool) -> object:
        return forward(pixels * (1.0 if len(pixels) == 1 else 0.5), **options)

    monkeypatch.setattr(predictor.model, "forward", wrong)
    assert Canary(predictor).complaint() is not None


def test_network_without_centerness_passes() -> None:
    config = small_2_model(num_stuff=2)
    categories = Categories.numbered(80, 2)
    canary = Canary(Predictor(BlendMask(config).eval(), config, categories))
    assert canary.complaint() is None
