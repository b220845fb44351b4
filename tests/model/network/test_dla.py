"""The projection that nothing reads is trained as the original trains it, and serves nobody."""

from __future__ import annotations

import torch

from model.network.dla import DeepTree


def tree() -> DeepTree:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DeepTree(8, 16, "bn")


def test_unread_projection_has_gradients_of_zero_and_moving_statistics() -> None:
    deep = tree().train()
    pixels = torch.rand(2, 8, 16, 16)
    deep(pixels).sum().backward()
    for parameter in deep.project.parameters():
        assert parameter.grad is not None
        assert (parameter.grad == 0).all()
    statistics = deep.project[1]
    assert isinstance(statistics, torch.nn.BatchNorm2d)
    assert statistics.running_mean is not None
    assert statistics.running_mean.abs().min() > 0


def test_unread_projection_changes_no_output_and_is_not_run_in_serving() -> None:
    deep, other = tree(), tree()
    torch.nn.init.constant_(other.project[0].weight, 5.0)
    pixels = torch.rand(2, 8, 16, 16)
    assert torch.equal(deep.train()(pixels), other.train()(pixels))
    before = {n: t.clone() for n, t in deep.state_dict().items()}
    calls: list[object] = []
    deep.project.register_forward_hook(lambda *_: calls.append(None))
    deep.eval()(pixels)
    assert calls == []
    assert all(torch.equal(t, before[n]) for n, t in deep.state_dict().items())
