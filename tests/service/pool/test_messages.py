from __future__ import annotations

import json

import pytest
from service_fakes import INSTANCE_MODEL, task_of

from service.engine import ModelInfo
from service.pool.messages import (
    Answer,
    Batch,
    BatchItem,
    Defect,
    Load,
    Loaded,
    Message,
    ModelToLoad,
    Ready,
    from_json,
    to_json,
)

LOAD = Load(
    device="cuda:0",
    models=[
        ModelToLoad(name=None, weights="/w", config="c", overrides=["A", "1"], categories=None)
    ],
    max_pixels=1,
    max_side=2,
    decode_threads=3,
    warmup_sizes=[(480, 640)],
    max_batch_images=4,
    max_batch_pixels=5,
    arena_bytes=6,
    log_level="info",
    log_format="json",
)
BATCH = Batch(
    batch=1,
    model="m",
    items=[
        BatchItem(
            number=2,
            offset=3,
            length=4,
            asked=task_of(category_ids=frozenset({1, 2}), masks="png", picture_type="image/png"),
            id="\ud800ü",
            request_id="r",
        )
    ],
)


@pytest.mark.parametrize(
    "message",
    [
        LOAD,
        BATCH,
        Ready(warmed={"m": (100, 0.1 + 0.2)}),
        Answer(item=1, num_instances=2, seconds={"forward": 1e-9}),
        Defect(item=1, text="half a pair: \udfff"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert from_json(to_json(message)) == message


def test_a_model_that_is_told_is_the_model() -> None:
    told = from_json(to_json(Loaded(models=[INSTANCE_MODEL.to_json()])))
    assert isinstance(told, Loaded)
    assert [ModelInfo.from_json(model) for model in told.models] == [INSTANCE_MODEL]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("task", "dream"),
        ("masks", "gold"),
        ("predict", {"score_threshold": 2.0}),
        ("predict", {"category_ids": ["bus"]}),
    ],
)
def test_a_picture_cannot_be_asked_what_does_not_exist(member: str, value: object) -> None:
    told = json.loads(to_json(BATCH))
    told["items"][0]["asked"][member] = value
    with pytest.raises(ValueError, match="no message"):
        from_json(json.dumps(told).encode())
