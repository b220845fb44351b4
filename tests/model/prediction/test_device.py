from __future__ import annotations

from typing import Any

import pytest
import torch

from model.prediction.device import find_device


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.fixture
def one_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)


def test_auto_is_the_processor_where_there_is_no_cuda_device(no_cuda: None) -> None:
    assert find_device("auto") == torch.device("cpu")


def test_auto_is_a_cuda_device_where_there_is_one(one_cuda: None) -> None:
    assert find_device("auto").type == "cuda"
    assert find_device("cuda:0") == torch.device("cuda:0")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", torch.device("cuda")])
def test_missing_cuda_device_is_refused(name: str, no_cuda: None) -> None:
    with pytest.raises(ValueError, match=rf"device {name}: there are 0 CUDA devices; auto"):
        find_device(name)


def test_second_cuda_device_is_refused_where_there_is_one(one_cuda: None) -> None:
    with pytest.raises(ValueError, match="device cuda:1: there are 1 CUDA devices"):
        find_device("cuda:1")


@pytest.mark.parametrize("name", ["toaster", "", "mps", "meta", torch.device("meta"), None])
def test_unknown_device_is_refused_with_the_known_ones(name: Any) -> None:
    with pytest.raises(ValueError, match=f"device {name}: give auto, cpu, cuda or cuda:1"):
        find_device(name)
