"""What quantum-inspired attention is compared with: same size, no input, or nothing at all."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hsilib.errors import InputError
from hsilib.model.attention import (
    ATTENTIONS,
    ConstantPhase,
    QuantumInspiredAttention,
    SqueezeExcitation,
)
from hsilib.model.dual_branch import FUSIONS, SpatialEncoder, SpectralEncoder
from hsilib.registry import create_model
from tests.helpers import SMALL, make_nontrivial


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def features(channels: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(3, channels, 4, 5, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [2, 8, 96, 160])
def test_squeeze_excitation_has_exactly_as_many_parameters(channels: int) -> None:
    quantum, usual = QuantumInspiredAttention(channels), SqueezeExcitation(channels)
    assert size(usual) == size(quantum)
    assert {n: p.shape for n, p in usual.named_parameters()} == {n: p.shape for n, p in quantum.named_parameters()}


def test_squeeze_excitation_is_the_sigmoid_of_two_matrices() -> None:
    """Equation 3 of Hu et al., s = σ(W₂ δ(W₁ z)), with plain matrices for one pixel."""
    torch.manual_seed(0)
    layer, x = SqueezeExcitation(16), features(16)
    w1, w2 = layer.squeeze.weight.flatten(1), layer.excite.weight.flatten(1)
    pixel = x[1, :, 2, 3]
    gate = torch.sigmoid(w2 @ (w1 @ pixel + layer.squeeze.bias).clamp(min=0) + layer.excite.bias)
    torch.testing.assert_close(layer(x)[1, :, 2, 3], pixel * gate)


def test_squeeze_excitation_can_close_a_channel_and_the_quantum_gate_cannot() -> None:
    layers = (SqueezeExcitation(8), QuantumInspiredAttention(8))
    for layer in layers:
        nn.init.zeros_(layer.excite.weight)
        nn.init.constant_(layer.excite.bias, -20.0)
    closed, open_ = (layer(torch.ones(1, 8, 1, 1)) for layer in layers)
    assert closed.max() < 1e-8
    assert open_.min() > 0.196


def test_the_constant_phase_starts_at_zero_and_does_not_depend_on_its_input() -> None:
    layer = ConstantPhase(6)
    assert size(layer) == 6
    torch.testing.assert_close(layer(features(6)), features(6) / (1 + math.exp(-1)))
    with torch.no_grad():
        layer.phase.copy_(torch.linspace(-3, 3, 6)[:, None, None])
    gates = [layer(x) / x for x in (features(6, 1), features(6, 2))]
    expected = QuantumInspiredAttention.gate(torch.linspace(-3, 3, 6))[:, None, None].expand(3, -1, 4, 5)
    for gate in gates:
        torch.testing.assert_close(gate, expected)


def test_none_is_the_identity_without_parameters() -> None:
    layer = ATTENTIONS["none"](6)
    assert torch.equal(layer(features(6)), features(6))
    assert size(layer) == 0
    assert not layer.state_dict()


def test_names() -> None:
    kinds = {name: type(ATTENTIONS[name](8)) for name in ATTENTIONS}
    assert kinds == {
        "quantum": QuantumInspiredAttention,
        "squeeze-excitation": SqueezeExcitation,
        "constant-phase": ConstantPhase,
        "none": nn.Identity,
    }


def test_an_unknown_name_gets_the_nearest_one() -> None:
    for encoder in (SpectralEncoder, SpatialEncoder):
        with pytest.raises(InputError, match="unknown attention 'quantom': did you mean quantum"):
            encoder(6, attention="quantom")
    with pytest.raises(InputError, match="unknown attention 'quantom'"):
        create_model("dual-branch", 6, 3, attention="quantom")
    with pytest.raises(InputError, match="unknown fusion 'concat': did you mean concatenation"):
        create_model("dual-branch", 6, 3, fusion="concat")


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_parameter_of_every_variant_learns(attention: str, fusion: str) -> None:
    torch.manual_seed(0)
    model = make_nontrivial(create_model("dual-branch", 6, 3, attention=attention, fusion=fusion, **SMALL))
    patches = 100 + 20 * torch.randn(5, 6, 5, 5, generator=torch.Generator().manual_seed(1))
    logits = model(patches)
    assert logits.shape == (5, 3)
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0, 1])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert torch.isfinite(parameter.grad).all(), f"{name} has a gradient that is not finite"
        assert parameter.grad.abs().sum() > 0, f"{name} has a gradient of zero"


def test_the_size_of_every_variant() -> None:
    """Widths 160 and 96, so bottlenecks of 20 and 12."""
    bottlenecks = sum(2 * c * (c // 8) + c // 8 + c for c in (160, 96))
    sizes = {name: size(create_model("dual-branch", 20, 4, attention=name)) for name in ATTENTIONS}
    assert sizes["quantum"] - sizes["none"] == bottlenecks
    assert sizes["squeeze-excitation"] == sizes["quantum"]
    assert sizes["constant-phase"] - sizes["none"] == 160 + 96
    fused = {name: size(create_model("dual-branch", 20, 4, fusion=name)) for name in FUSIONS}
    assert fused["temperature"] - fused["fixed-temperature"] == 1
    gate_p = 256 * 128 + 128  # P from both branches
    assert fused["fixed-temperature"] - fused["concatenation"] == gate_p + 128 * 128
