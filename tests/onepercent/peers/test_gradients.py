"""The machine's own kernels: float32 gradients of every network against those in float64.

A kernel may be wrong on some processors only. Under AVX-512, torch 2.13's oneDNN gives a wrong gradient for
convolutions with large kernels that are grouped or see one sample: right in float64, wrong by twice the gradient itself
in float32, and training goes on in silence. So the comparison runs where the tests run, with the kernels and widths
that the networks have.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import softplus
from torch.overrides import TorchFunctionMode

from hsilib.model.network import Network
from hsilib.registry import NETWORKS, create_model
from onepercent.peers.whole_image.network import WholeImageNetwork
from tests.helpers import make_nontrivial
from tests.onepercent.peers.whole_image.test_networks import image_of

N_BANDS, N_CLASSES = 24, 3
# Of the largest gradient. Rounding leaves some 1e-6; a wrong kernel is off by the gradient itself.
TOLERANCE = 1e-4


class Smooth(TorchFunctionMode):
    """A context in which nothing has a kink: softplus for ReLU, means for maxima, in either precision.

    A ReLU whose input is nearly 0 may be open in one precision and shut in the other, and the gradient of whatever
    lies before it jumps: weights changed by a millionth moved SSRN's by three hundredths of the largest. Where that
    happens hangs on the last digit, and so on the processor. Kernels of convolutions and products stay what they are.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.__name__
        if name == "relu":
            return softplus(args[0])
        if name == "leaky_relu":
            return 0.01 * args[0] + 0.99 * softplus(args[0])
        if name == "clamp" and kwargs is not None and kwargs.keys() == {"min"}:
            return kwargs["min"] + softplus(args[0] - kwargs["min"])
        if name == "amax":
            return args[0].mean(**(kwargs or {}))
        if "max_pool1d" in name:
            return functional.avg_pool1d(*args[:2])
        assert "max" not in name.replace("softmax", ""), f"{name} has a kink; say what stands for it"
        return func(*args, **(kwargs or {}))


def gradient_error(model: Network, x: torch.Tensor) -> tuple[float, str]:
    """The largest difference between a network's gradients in float32 and in float64, and whose it is.

    It is relative to the largest gradient of the whole network: a weight whose gradient is nothing but cancellation,
    such as a bias in front of a batch norm, has no digits to be right in.

    Parameters
    ----------
    model : float32, in training mode. x : raw values, of the network's shape.
    """
    exact = deepcopy(model).double()
    with Smooth():
        spread_loss(model(x)).backward()
        spread_loss(exact(x.double())).backward()
    errors, largest = {}, 0.0
    for (name, found), expected in zip(model.named_parameters(), exact.parameters(), strict=True):
        assert found.grad is not None, f"{name} has no gradient"
        assert expected.grad is not None, f"{name} has no gradient in float64"
        errors[name] = float((found.grad.double() - expected.grad).abs().max())
        largest = max(largest, float(expected.grad.abs().max()))
    worst = max(errors, key=lambda name: errors[name])
    return errors[worst] / largest, worst


def spread_loss(logits: torch.Tensor) -> torch.Tensor:
    """Smooth, with another slope for every logit, so that no two samples' gradients are alike."""
    slopes = torch.cos(torch.arange(logits.numel(), dtype=torch.float64)).reshape(logits.shape)
    return (slopes.to(logits.dtype) * logits + 0.5 * logits.square()).mean()


def prepared(name: str) -> tuple[Network, torch.Tensor]:
    """A network of the published sizes in training mode, without dropout, and what it is shown."""
    torch.manual_seed(0)
    model = make_nontrivial(create_model(name, N_BANDS, N_CLASSES)).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.fill_(0.1)  # a scale that starts at 0 gives what it scales no gradient
    if isinstance(model, WholeImageNetwork):
        image = image_of(N_BANDS)
        model.look_at(image)
        return model, image
    size = model.patch_size
    # Float64 convolutions over large patches take seconds. One patch alone would meet that wrong kernel: HybridSN's
    # hidden layer, whose kernel is as large as what it sees, has it for a batch of one under AVX-512, without groups.
    n = 2 if size > 20 else 4
    return model, 100 + 20 * torch.randn(n, N_BANDS, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NETWORKS)
def test_float32_gradients_are_those_of_float64(name: str) -> None:
    error, worst = gradient_error(*prepared(name))
    assert error < TOLERANCE, f"{worst} is off by {error:.1e} of the largest gradient"


class WrongBackward(torch.autograd.Function):
    """The identity, whose backward pass in float32 is what the faulty kernel's was: off by twice the gradient."""

    @staticmethod
    def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (gradient,) = gradients
        return -gradient if gradient.dtype == torch.float32 else gradient


@pytest.mark.parametrize(("name", "layer"), [("ssrn", "spectral.7"), ("cnn-2d", "layers.0"), ("ssftt", "block")])
def test_a_wrong_kernel_is_noticed(name: str, layer: str) -> None:
    model, x = prepared(name)
    assert gradient_error(model, x)[0] < TOLERANCE
    model.get_submodule(layer).register_forward_hook(lambda module, arguments, output: WrongBackward.apply(output))
    model.zero_grad()
    assert gradient_error(model, x)[0] > 100 * TOLERANCE


def test_a_wrong_grouped_convolution_is_noticed() -> None:
    """The kind of kernel that was wrong: CEGCN's depthwise convolutions, the gradient of one weight alone."""
    model, x = prepared("cegcn")
    weight = model.get_parameter("pixels.0.depthwise.weight")
    weight.register_hook(lambda gradient: 3 * gradient if gradient.dtype == torch.float32 else gradient)
    error, worst = gradient_error(model, x)
    assert worst == "pixels.0.depthwise.weight"
    assert error > 100 * TOLERANCE


@pytest.mark.parametrize("name", ["ssrn", "cnn-1d", "cegcn"])
def test_the_comparison_hangs_on_no_last_digit(name: str) -> None:
    """A change of a millionth, ten times what float32 rounds, moves no gradient by more than the tolerance."""
    model, x = prepared(name)
    changed = deepcopy(model)
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.mul_(1 + 1e-6 * torch.randn_like(parameter))
    with Smooth():
        for network in (model, changed):
            spread_loss(network(x)).backward()
    largest = max(float(p.grad.abs().max()) for p in model.parameters() if p.grad is not None)
    for first, second in zip(model.parameters(), changed.parameters(), strict=True):
        assert first.grad is not None
        assert second.grad is not None
        assert float((first.grad - second.grad).abs().max()) < TOLERANCE * largest
