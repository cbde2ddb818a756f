"""The matrix product against the convolution that it stands for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hsilib.model.attention import Pointwise


def pair(bias: bool) -> tuple[Pointwise, nn.Conv2d]:
    layers = []
    for create in (Pointwise(7, 5, bias=bias), nn.Conv2d(7, 5, 1, bias=bias)):
        torch.manual_seed(0)
        create.reset_parameters()
        layers.append(create)
    ours, convolution = layers
    assert isinstance(ours, Pointwise)
    return ours, convolution


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(16, 7, 1, 1), (1, 7, 6, 4), (3, 7, 5, 5)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_results_and_gradients_are_those_of_the_convolution(
    shape: tuple[int, ...], layout: torch.memory_format, bias: bool
) -> None:
    # In double precision: in single, the order of a sum of 75 terms up to 400 is worth more than what is asked here.
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).double().contiguous(memory_format=layout)
    results = []
    for layer in pair(bias):
        own = x.clone().requires_grad_()
        y = layer.double()(own)
        (y * torch.arange(y.numel()).view(y.shape)).sum().backward()
        results.append([y, own.grad, *(parameter.grad for parameter in layer.parameters())])
    for ours, expected in zip(*results, strict=True):
        assert ours is not None
        torch.testing.assert_close(ours, expected)
    assert results[0][0].is_contiguous(memory_format=torch.channels_last)


def test_weights_are_named_shaped_and_drawn_as_the_convolutions() -> None:
    ours, convolution = (layer.state_dict() for layer in pair(bias=True))
    assert list(ours) == list(convolution)
    assert all(torch.equal(ours[name], convolution[name]) for name in ours)
