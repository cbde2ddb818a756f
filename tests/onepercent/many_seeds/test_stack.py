"""K modules as one: the same outputs, gradients and running statistics, for every registered network."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from hsilib.registry import create_model
from onepercent.many_seeds.stack import Stack, clip_each, has_recurrent_layers
from tests.helpers import PATCH_NETWORKS


@pytest.mark.parametrize("name", PATCH_NETWORKS)
def test_a_stack_computes_what_its_modules_compute(name: str) -> None:
    """In training mode, dropout off; the sum of the logits' squares, its gradients and BatchNorm's statistics.

    In float64: on processors with AVX-512, oneDNN's float32 gradients of large grouped convolutions are wrong.
    """
    modules = []
    for seed in range(3):
        torch.manual_seed(seed)
        modules.append(create_model(name, 24, 3).double().train())
    if has_recurrent_layers(modules[0]):
        assert name == "cnn-bilstm"
        return
    for module in modules:
        for part in module.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
    alone = copy.deepcopy(modules)
    size = modules[0].patch_size
    patches = torch.randn(3, 4, 24, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    stack = Stack(modules)
    logits = stack.call("forward", patches)
    logits.square().sum().backward()
    for k, module in enumerate(alone):
        expected = module(patches[k])
        expected.square().sum().backward()
        torch.testing.assert_close(logits[k], expected, atol=1e-9, rtol=1e-7)
        for key, parameter in module.named_parameters():
            if parameter.grad is not None:
                torch.testing.assert_close(stack.parameters[key].grad[k], parameter.grad, atol=1e-9, rtol=1e-7, msg=key)
        for key, buffer in module.named_buffers():
            torch.testing.assert_close(stack.buffers[key][k], buffer)


def test_gradients_are_clipped_module_by_module_in_closed_form() -> None:
    """Of three modules with two parameters, the second's norm is 5 and the third's 0."""
    matrix, scalar = torch.zeros(3, 2, 1), torch.zeros(3)
    matrix.grad = torch.tensor([[[0.3], [0.0]], [[0.0], [3.0]], [[0.0], [0.0]]])
    scalar.grad = torch.tensor([0.4, 4.0, 0.0])
    unused = torch.zeros(3, 2)
    norms = clip_each([matrix, scalar, unused], 1.0)
    torch.testing.assert_close(norms, torch.tensor([0.5, 5.0, 0.0]))
    torch.testing.assert_close(matrix.grad, torch.tensor([[[0.3], [0.0]], [[0.0], [0.6]], [[0.0], [0.0]]]))
    torch.testing.assert_close(scalar.grad, torch.tensor([0.4, 0.8, 0.0]))


def test_each_module_sees_the_stacked_values_and_keeps_them() -> None:
    modules = [nn.Linear(2, 1) for _ in range(2)]
    stack = Stack(modules)
    with torch.no_grad():
        stack.parameters["weight"].copy_(torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]))
    assert modules[1].weight.tolist() == [[3.0, 4.0]]
    modules[0].load_state_dict({"weight": torch.tensor([[5.0, 6.0]]), "bias": torch.tensor([math.pi])})
    assert stack.parameters["weight"][0].tolist() == [[5.0, 6.0]]
    stack.release()
    with torch.no_grad():
        stack.parameters["weight"].zero_()
    assert modules[0].weight.tolist() == [[5.0, 6.0]]
    assert modules[0].weight.requires_grad


def test_a_stack_computes_in_mixed_precision() -> None:
    """Under vmap ``conv2d`` becomes ``convolution``, which CUDA casts and the CPU does not; both cast a product."""
    stack = Stack([nn.Linear(4, 2, bias=False) for _ in range(3)])
    with torch.autocast("cpu", torch.bfloat16):
        assert stack.call("forward", torch.ones(3, 5, 4)).dtype == torch.bfloat16
    assert torch._C._dispatch_has_kernel_for_dispatch_key("aten::convolution", "AutocastCUDA")
