from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from model.operations import ops, reference

needs_compiler = pytest.mark.skipif(
    not ops.is_compiled("blend", "cpu"), reason="the CPU operations were not built"
)


def arguments(
    seed: int, *, number: int = 5, dtype: torch.dtype = torch.float32, attention: int = 14
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two pictures' bases; boxes within, across and beyond the canvas, tiny and degenerate."""
    generator = torch.Generator().manual_seed(seed)
    rand = functools.partial(torch.rand, generator=generator)
    corners = rand(number, 2) * 120 - 30
    extents = rand(number, 2) * 10 ** (rand(number, 1) * 3 - 1)
    extents[0] *= 0
    return (
        (rand(2, 4, 16, 20) * 6 - 3).to(dtype),
        torch.cat([corners, corners + extents], dim=1).to(dtype),
        (rand(number) * 2).long(),
        (rand(number, 4, attention, attention) * 8 - 4).to(dtype),
    )


@needs_compiler
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "rest",
    [(56, 1, True, True), (28, 1, True, False), (9, 2, False, True), (1, 3, True, True)],
)
def test_compiled_probabilities_are_the_references(
    seed: int, rest: tuple[int, int, bool, bool]
) -> None:
    values = arguments(seed, number=12, attention=[14, 7, 1, 5][seed % 4])
    ours = torch.ops.blendmask.blend(*values, *rest)
    torch.testing.assert_close(ours, reference.blend(*values, *rest), atol=1e-6, rtol=0)


@needs_compiler
def test_probability_is_exactly_a_half_off_the_canvas() -> None:
    bases, _, images, attentions = arguments(0)
    boxes = torch.tensor([[-400.0, -400.0, -100.0, -100.0]]).expand(5, 4)
    assert (ops.blend(bases, boxes, images, attentions, mask_size=56) == 0.5).all()


@needs_compiler
def test_large_logits_saturate() -> None:
    bases = torch.full((1, 1, 8, 8), 1000.0)
    boxes, images = torch.tensor([[8.0, 8.0, 20.0, 20.0]]), torch.zeros(1, dtype=torch.int64)
    attentions = torch.full((1, 1, 14, 14), -1000.0)
    for sign, expected in ((1, 1.0), (-1, 0.0)):
        mask = ops.blend(sign * bases, boxes, images, attentions, mask_size=8)
        torch.testing.assert_close(mask, torch.full((1, 8, 8), expected))


def test_gradients_are_right_in_bases_and_attentions() -> None:
    bases, boxes, images, attentions = arguments(1, number=2, dtype=torch.float64, attention=3)
    bases, attentions = bases[:, :, :6, :6].clone().requires_grad_(), attentions.requires_grad_()

    def blended(bases: Tensor, attentions: Tensor) -> Tensor:
        return ops.blend(bases, boxes, images, attentions, mask_size=5)

    assert torch.autograd.gradcheck(blended, (bases, attentions))


def test_gradients_are_the_references_in_single_precision() -> None:
    rest = (28, 1, True, True)
    gradients = []
    for blend in (torch.ops.blendmask.blend, reference.blend):
        bases, boxes, images, attentions = arguments(2)
        bases.requires_grad_()
        attentions.requires_grad_()
        blend(bases, boxes, images, attentions, *rest).square().sum().backward()
        gradients.append((bases.grad, attentions.grad))
    torch.testing.assert_close(gradients[0], gradients[1])


# The check itself looks at gradients of what is no leaf.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("number", [0, 3])
def test_operation_keeps_the_dispatchers_rules(number: int) -> None:
    bases, boxes, images, attentions = arguments(3, number=3)
    values = (bases, boxes[:number], images[:number], attentions[:number], 14, 1, True, True)
    torch.library.opcheck(torch.ops.blendmask.blend, values)
    bases.requires_grad_()
    torch.library.opcheck(torch.ops.blendmask.blend, values)


def test_compiled_graphs_go_through_it_forwards_and_backwards() -> None:
    bases, boxes, images, attentions = arguments(6)

    def loss(attentions: Tensor) -> Tensor:
        return ops.blend(bases, boxes, images, attentions, mask_size=8).sum()

    gradients = []
    for function in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        leaf = attentions.clone().requires_grad_()
        function(leaf).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


def test_narrow_types_and_adaptive_sampling_are_the_references() -> None:
    values = arguments(4)
    adaptive = ops.blend(*values, mask_size=7, sampling_ratio=0)
    torch.testing.assert_close(adaptive, reference.blend(*values, 7, 0, True, True))
    wide = tuple(value.double() if value.is_floating_point() else value for value in values)
    exact = ops.blend(*wide, mask_size=7)
    torch.testing.assert_close(ops.blend(*values, mask_size=7).double(), exact, atol=1e-5, rtol=0)
