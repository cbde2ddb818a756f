"""The gate is one qubit's measurement: closed forms, bounds, and the state vector itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hsilib.model.attention import QuantumInspiredAttention


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("phase", "gate"),
    [
        (0.0, sigmoid(1)),
        (math.pi / 2, sigmoid(1)),
        (math.pi, sigmoid(-1)),
        (-math.pi / 2, sigmoid(-1)),
        (math.pi / 4, sigmoid(math.sqrt(2))),
        (-3 * math.pi / 4, sigmoid(-math.sqrt(2))),
        (-math.pi / 4, 0.5),
    ],
)
def test_the_gate_in_closed_form(phase: float, gate: float) -> None:
    measured = QuantumInspiredAttention.gate(torch.tensor(phase, dtype=torch.float64))
    assert measured.item() == pytest.approx(gate, abs=1e-12)


def test_the_gate_lies_between_its_bounds() -> None:
    gates = QuantumInspiredAttention.gate(torch.linspace(-math.pi, math.pi, 10_001, dtype=torch.float64))
    assert gates.min().item() == pytest.approx(sigmoid(-math.sqrt(2)), abs=1e-6)
    assert gates.max().item() == pytest.approx(sigmoid(math.sqrt(2)), abs=1e-6)
    assert gates.min() >= sigmoid(-math.sqrt(2))
    assert gates.max() <= sigmoid(math.sqrt(2))


def test_the_gate_is_what_measuring_one_qubit_gives() -> None:
    """Prepare RY(θ)|0⟩ as a 2-vector, take ⟨Z⟩ and ⟨X⟩ with the Pauli matrices."""
    pauli_x = np.array([[0, 1], [1, 0]], dtype=complex)
    pauli_y = np.array([[0, -1j], [1j, 0]])
    pauli_z = np.diag([1, -1]).astype(complex)
    for theta in np.linspace(-np.pi, np.pi, 41):
        rotation = np.cos(theta / 2) * np.eye(2) - 1j * np.sin(theta / 2) * pauli_y
        state = rotation @ np.array([1, 0])
        assert np.vdot(state, state).real == pytest.approx(1)
        z, x = (np.vdot(state, pauli @ state).real for pauli in (pauli_z, pauli_x))
        gate = QuantumInspiredAttention.gate(torch.tensor(theta)).item()
        assert gate == pytest.approx(sigmoid(z + x), abs=1e-9)


def test_the_phase_is_bounded_by_pi() -> None:
    torch.manual_seed(0)
    attention = QuantumInspiredAttention(16)
    small, large = (attention.phase(scale * torch.randn(4, 16, 3, 3)) for scale in (1, 1e6))
    assert small.abs().max() < math.pi
    assert large.abs().max() <= math.pi + 1e-6
    assert large.abs().max() > 3.1


def test_the_phase_is_pi_times_tanh_of_the_bottleneck() -> None:
    torch.manual_seed(0)
    attention = QuantumInspiredAttention(6, reduction=3)
    with torch.no_grad():
        attention.excite.weight.zero_()
        attention.excite.bias.copy_(torch.arange(6.0) / 3 - 1)
    phase = attention.phase(torch.randn(2, 6, 1, 1))
    expected = math.pi * torch.tanh(torch.arange(6.0) / 3 - 1)
    assert torch.allclose(phase, expected.reshape(1, 6, 1, 1).expand(2, -1, -1, -1))


def test_features_are_weighted_by_their_gate() -> None:
    torch.manual_seed(0)
    attention = QuantumInspiredAttention(8)
    features = torch.randn(2, 8, 3, 4)
    assert torch.allclose(attention(features), features * attention.gate(attention.phase(features)))
    assert not torch.allclose(attention(features), features)


def test_each_pixel_is_weighted_by_itself() -> None:
    torch.manual_seed(0)
    attention = QuantumInspiredAttention(8)
    features = torch.randn(1, 8, 4, 5)
    assert torch.allclose(attention(features)[:, :, 2:3, 3:4], attention(features[:, :, 2:3, 3:4]), atol=1e-6)


@pytest.mark.parametrize(("channels", "reduction", "hidden"), [(160, 8, 20), (96, 8, 12), (4, 8, 1)])
def test_the_bottleneck_has_two_times_c_squared_over_r_weights(channels: int, reduction: int, hidden: int) -> None:
    attention = QuantumInspiredAttention(channels, reduction)
    weights = sum(p.numel() for p in attention.parameters())
    assert weights == 2 * channels * hidden + hidden + channels
