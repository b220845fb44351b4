from __future__ import annotations

from typing import Any

from service.pool.batching import BatchLimits, Item, Queue
from service.pool.cost import CostModel

_SMALL, _LARGE = (320, 448, "segment"), (640, 832, "segment")


def _item(
    submitted: float = 0.0, *, group: Any = _SMALL, deadline: float = 100.0, alone: bool = False
) -> Item:
    height, width, _ = group
    return Item(
        group=group,
        canvas_pixels=height * width,
        source_pixels=300 * 400,
        num_bytes=1000,
        submitted=submitted,
        deadline=deadline,
        alone=alone,
    )


def _queue(*items: Item, max_images: int = 8, max_pixels: int = 10**9) -> Queue:
    queue = Queue(BatchLimits(max_images=max_images, max_pixels=max_pixels))
    for item in items:
        queue.add(item)
    return queue


def _take(queue: Queue, *, now: float = 1.0, is_idle: bool = True) -> list[Item]:
    batch, _ = queue.take(lambda item: True, is_idle=is_idle, now=now, cost=CostModel())
    return batch


def _known_cost(seconds_per_image: float) -> CostModel:
    cost = CostModel()
    cost.observe(320 * 448, seconds_per_image)
    return cost


def test_a_picture_alone_is_taken_at_once() -> None:
    item = _item()
    queue = _queue(item)
    assert _take(queue) == [item]
    assert len(queue) == 0


def test_an_empty_queue_gives_nothing() -> None:
    assert _take(_queue()) == []


def test_pictures_of_one_canvas_run_together_in_order_of_arrival() -> None:
    items = [_item(0), _item(1), _item(2)]
    assert _take(_queue(*items)) == items


def test_the_oldest_picture_decides_the_canvas() -> None:
    first, other, third = _item(0, group=_LARGE), _item(1), _item(2, group=_LARGE)
    queue = _queue(first, other, third)
    assert _take(queue) == [first, third]
    assert list(queue) == [other]


def test_tasks_do_not_mix() -> None:
    first, second = _item(0), _item(1, group=(320, 448, "panoptic"))
    assert _take(_queue(first, second)) == [first]


def test_a_batch_has_at_most_so_many_images() -> None:
    items = [_item(n) for n in range(5)]
    assert _take(_queue(*items, max_images=3)) == items[:3]


def test_a_batch_has_at_most_so_many_padded_pixels() -> None:
    items = [_item(n) for n in range(5)]
    assert _take(_queue(*items, max_pixels=2 * 320 * 448 + 1)) == items[:2]


def test_a_picture_beyond_the_pixel_limit_runs_alone() -> None:
    items = [_item(0), _item(1)]
    assert _take(_queue(*items, max_pixels=100)) == items[:1]


def test_what_has_to_be_alone_gets_no_company() -> None:
    first, second = _item(0, alone=True), _item(1)
    assert _take(_queue(first, second)) == [first]


def test_what_has_to_be_alone_joins_nobody() -> None:
    first, second, third = _item(0), _item(1, alone=True), _item(2)
    assert _take(_queue(first, second, third)) == [first, third]


def test_what_has_to_be_alone_waits_for_an_idle_worker_and_is_not_overtaken() -> None:
    queue = _queue(_item(0, alone=True), _item(1))
    assert _take(queue, is_idle=False) == []
    assert len(queue) == 2


def test_a_picture_put_back_is_first_again() -> None:
    first, second = _item(0), _item(1, group=_LARGE)
    queue = _queue(first, second)
    batch = _take(queue)
    queue.put_back(batch)
    assert list(queue) == [first, second]


def test_a_passed_deadline_comes_out_without_running() -> None:
    late, fine = _item(0, deadline=5), _item(1)
    batch, hopeless = _queue(late, fine).take(
        lambda item: True, is_idle=True, now=5.0, cost=CostModel()
    )
    assert (batch, hopeless) == ([fine], [late])


def test_a_deadline_that_cannot_be_met_any_more_comes_out_too() -> None:
    late = _item(0, deadline=10)
    _, hopeless = _queue(late).take(lambda item: True, is_idle=True, now=8.5, cost=_known_cost(2.0))
    assert hopeless == [late]


def test_an_estimate_alone_never_condemns_a_picture() -> None:
    item = _item(0, deadline=10)
    batch, _ = _queue(item).take(lambda item: True, is_idle=True, now=0.0, cost=_known_cost(50.0))
    assert batch == [item]


def test_what_is_not_accepted_stays() -> None:
    first, second = _item(0), _item(1)
    queue = _queue(first, second)
    batch, _ = queue.take(lambda item: item is second, is_idle=True, now=1.0, cost=CostModel())
    assert batch == [second]
    assert list(queue) == [first]


def test_sums_follow_what_comes_and_goes() -> None:
    first, second = _item(0), _item(1, group=_LARGE)
    queue = _queue(first, second)
    assert (queue.num_bytes, queue.canvas_pixels) == (2000, 320 * 448 + 640 * 832)
    assert queue.remove(first)
    assert not queue.remove(first)
    assert (len(queue), queue.num_bytes, queue.source_pixels) == (1, 1000, 300 * 400)


def test_the_expected_time_counts_full_batches() -> None:
    cost = CostModel()
    for pixels in (100_000, 200_000, 400_000):
        cost.observe(pixels, 1e-6 * pixels + 0.5)
    queue = _queue(*(_item(n) for n in range(4)), max_images=2)
    assert abs(queue.expected_seconds(cost) - (4 * 320 * 448 * 1e-6 + 2 * 0.5)) < 1e-6
