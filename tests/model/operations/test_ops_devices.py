from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from model.operations import copies, devices, ops

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    devices._agrees.cache_clear()
    devices.say_once.cache_clear()
    yield
    devices._agrees.cache_clear()
    devices.say_once.cache_clear()


def test_packed_tensors_come_back_whatever_their_types_and_shapes() -> None:
    tensors = (
        torch.arange(3, dtype=torch.uint8),
        torch.arange(6, dtype=torch.int64).view(2, 3).T,
        torch.zeros(0, 4),
        torch.arange(5, dtype=torch.int32),
        torch.tensor([True, False, True]),
        torch.tensor([0.5, float("inf")]),
    )
    back = copies.unpack(copies.pack(tensors), tensors)
    assert [one.dtype for one in back] == [one.dtype for one in tensors]
    assert all(map(torch.equal, back, tensors))


def test_tensors_on_the_cpu_are_not_copied() -> None:
    tensor = torch.ones(3)
    assert copies.fetch(tensor)[0] is tensor


@pytest.mark.parametrize("operation", ["paste_rle", "compress_rle", "blend", "panoptic_merge"])
def test_every_operation_agrees_with_itself(operation: str) -> None:
    assert devices._agrees(operation, CPU)


@pytest.mark.parametrize("operation", ["paste_rle", "compress_rle", "blend", "panoptic_merge"])
def test_kernel_that_returns_something_else_is_not_used(
    operation: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    right = getattr(torch.ops.blendmask, operation)
    calls: list[int] = []

    def wrong(*arguments: Any) -> Any:
        calls.append(1)
        result = right(*arguments)
        if len(calls) > 1:  # the second call is the CPU's
            return result
        first = result if isinstance(result, torch.Tensor) else result[0]
        first.view(-1)[0] += 1
        return result

    monkeypatch.setattr(torch.ops.blendmask, operation, wrong)
    with caplog.at_level(logging.WARNING):
        assert [devices._agrees(operation, CPU) for _ in range(3)] == [False] * 3
    assert [record.message for record in caplog.records] == [
        "A kernel does not return what the CPU's operation does; it is not used"
    ]
    assert len(calls) == 2


def test_kernel_that_fails_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(torch.ops.blendmask, "paste_rle", fails)
    assert not devices._agrees("paste_rle", CPU)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB."),
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA out of memory. (originally from torch_call_dispatcher API call failed)"),
    ],
)
def test_failure_of_the_device_says_nothing_of_the_kernel(
    error: RuntimeError, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    right = torch.ops.blendmask.paste_rle
    failures = [error, error]

    def fails_twice(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return right(*arguments)

    monkeypatch.setattr(torch.ops.blendmask, "paste_rle", fails_twice)
    for _ in range(2):
        with pytest.raises(type(error), match=r"memory"):
            devices._agrees("paste_rle", CPU)
    assert devices._agrees("paste_rle", CPU)  # asked again, and right
    assert caplog.records == []


def test_kernel_is_not_blamed_where_the_device_has_failed_for_good(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any) -> Any:  # as the launch of a kernel says it
        raise RuntimeError("CUDA error: unspecified launch failure")

    def has_failed(device: torch.device) -> None:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.ops.blendmask, "paste_rle", fails)
    monkeypatch.setattr(devices, "_touch", has_failed)
    with pytest.raises(torch.AcceleratorError):
        devices._agrees("paste_rle", CPU)
    assert caplog.records == []


def test_devices_without_compiled_operations_are_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    device = torch.device("xpu")
    with caplog.at_level(logging.WARNING):
        assert not devices.is_usable("paste_rle", device)
        assert not devices.is_usable("compress_rle", device)
    (record,) = caplog.records
    assert record.device == "xpu"


def test_operation_is_usable_on_the_cpu_whatever_is_compiled() -> None:
    assert devices.is_usable("paste_rle", CPU)
    assert ops.placed("paste_rle") == ()
