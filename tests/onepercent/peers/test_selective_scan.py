"""The scan against the recurrence that defines it, in both precisions, with its gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import silu, softplus

from onepercent.peers.networks.selective_scan import SelectiveStateSpace, linear_recurrence, selective_scan

LENGTHS = [1, 7, 64, 225]


def inputs(
    length: int,
    dtype: torch.dtype = torch.float64,
    strength: float = 1.0,
    n: int = 2,
    channels: int = 3,
    state: int = 4,
) -> list[torch.Tensor]:
    """x, Δ, A, B, C with steps and rates as in a network, ``strength`` times as fast a decay."""
    generator = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, delta = normal(n, length, channels), softplus(normal(n, length, channels) - 2)
    a = -strength * torch.arange(1.0, state + 1, dtype=torch.float64).repeat(channels, 1)
    tensors = [x, delta, a, normal(n, length, state), normal(n, length, state)]
    return [tensor.to(dtype) for tensor in tensors]


def sequential(x: torch.Tensor, delta: torch.Tensor, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """h ← exp(Δ A) h + Δ B x, y = C · h, one step after the other."""
    state = x.new_zeros(x.shape[0], x.shape[2], a.shape[1])
    outputs = []
    for t in range(x.shape[1]):
        step = delta[:, t, :, None]
        state = torch.exp(step * a) * state + step * x[:, t, :, None] * b[:, t, None]
        outputs.append((state * c[:, t, None]).sum(-1))
    return torch.stack(outputs, dim=1)


@pytest.mark.parametrize("strength", [0.01, 1.0, 1000.0])
@pytest.mark.parametrize("chunk", [1, 8, 300])
@pytest.mark.parametrize("length", LENGTHS)
def test_the_scan_is_the_recurrence(length: int, chunk: int, strength: float) -> None:
    """For decays that last the whole sequence and for ones that underflow within a step."""
    arguments = inputs(length, strength=strength)
    torch.testing.assert_close(selective_scan(*arguments, chunk=chunk), sequential(*arguments), atol=1e-10, rtol=0)


@pytest.mark.parametrize("length", LENGTHS)
def test_single_precision(length: int) -> None:
    expected = sequential(*inputs(length))
    found = selective_scan(*inputs(length, torch.float32))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("length", LENGTHS)
def test_gradients_are_those_of_the_recurrence(length: int) -> None:
    arguments = [tensor.requires_grad_() for tensor in inputs(length)]
    weights = torch.cos(torch.arange(2.0 * length * 3, dtype=torch.float64)).reshape(2, length, 3)
    expected = torch.autograd.grad((weights * sequential(*arguments)).sum(), arguments)
    found = torch.autograd.grad((weights * selective_scan(*arguments)).sum(), arguments)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)
        assert torch.isfinite(one).all()


def test_gradients_by_finite_differences() -> None:
    arguments = [tensor.requires_grad_() for tensor in inputs(11, n=1, channels=2, state=2)]
    assert torch.autograd.gradcheck(lambda *tensors: selective_scan(*tensors, chunk=4), arguments)


def test_a_very_strong_decay_overflows_nothing() -> None:
    """The cumulative sum of Δ A reaches −2.25 · 10⁷ here: exp of its negative would be infinite."""
    x, delta, a, b, c = inputs(225, torch.float32)
    arguments = [tensor.requires_grad_() for tensor in (x, torch.full_like(delta, 10.0), 1e4 * a, b, c)]
    y = selective_scan(*arguments)
    torch.testing.assert_close(y, 10 * x * (b * c).sum(-1, keepdim=True))
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(y.sum(), arguments))


@pytest.mark.parametrize("length", [1, 2, 3, 8, 13])
def test_recurrences_with_a_closed_form(length: int) -> None:
    """No decay sums up, a constant one is a geometric series, full decay forgets."""
    ones = torch.ones(1, length, 1, dtype=torch.float64)
    steps = torch.arange(1.0, length + 1, dtype=torch.float64).reshape(1, length, 1)
    torch.testing.assert_close(linear_recurrence(ones, ones), steps)
    torch.testing.assert_close(linear_recurrence(0.5 * ones, ones), 2 - 0.5 ** (steps - 1))
    assert torch.equal(linear_recurrence(0 * ones, steps), steps)


def test_the_block_is_what_its_layers_say() -> None:
    """The whole block by hand, from a step-by-step convolution and the sequential scan."""
    torch.manual_seed(0)
    block = SelectiveStateSpace(8, state=4).double()
    z = torch.randn(2, 9, 8, dtype=torch.float64)
    x, gate = (z @ block.widen.weight.T).chunk(2, dim=-1)
    kernel = block.convolution.weight[:, 0]
    convolved = torch.zeros_like(x)
    for t in range(9):
        for back in range(min(t, 3) + 1):
            convolved[:, t] += kernel[:, 3 - back] * x[:, t - back]
    assert block.convolution.bias is not None
    x = silu(convolved + block.convolution.bias)
    low, b, c = (x @ block.select.weight.T).split([1, 4, 4], dim=-1)
    delta = softplus(low @ block.step.weight.T + block.step.bias)
    y = sequential(x, delta, -torch.exp(block.log_rates), b, c) + block.skip * x
    torch.testing.assert_close(block(z), (y * silu(gate)) @ block.narrow.weight.T, atol=1e-10, rtol=0)


def test_the_block_starts_as_the_reference_does() -> None:
    """Rates −1 … −M, steps between 0.001 and 0.1."""
    torch.manual_seed(0)
    block = SelectiveStateSpace(32)
    assert torch.allclose(torch.exp(block.log_rates[5]), torch.arange(1.0, 17))
    steps = softplus(block.step.bias.detach())
    assert 1e-3 <= float(steps.min()) < 3e-3 < 3e-2 < float(steps.max()) <= 0.1 + 1e-6
    assert block.rank == math.ceil(32 / 16) == 2


def test_the_block_looks_back_only() -> None:
    """A change at token 5 changes the tokens from 5 on and none before."""
    torch.manual_seed(0)
    block = SelectiveStateSpace(8).double()
    z = torch.randn(1, 12, 8, dtype=torch.float64)
    other = z.clone()
    other[:, 5] += 1
    difference = (block(other) - block(z)).abs().amax(dim=(0, 2))
    assert torch.equal(difference[:5], torch.zeros(5, dtype=torch.float64))
    assert (difference[5:] > 0).all()
