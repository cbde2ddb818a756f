"""The gate as a circuit: the simulator agrees with the formula, shots with the binomial's closed form."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch

from hsilib.data.scene import Scene
from hsilib.errors import InputError
from hsilib.inference.dense import predict_logits
from hsilib.model.attention import QuantumInspiredAttention
from hsilib.model.network import Network
from hsilib.registry import create_model
from onepercent.report.quantum_circuit import ShotAttention, circuit_gate, shot_gate, with_shots
from tests.helpers import SMALL, make_nontrivial

ANGLES = (-3.0, -3 * math.pi / 4, -0.7, 0.0, math.pi / 4, 1.1, math.pi / 2, 2.6)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gates_in_closed_form(theta: float, shots: int) -> tuple[float, float]:
    """Mean and variance of σ(Z + X) over every outcome of both binomials."""
    wins = np.arange(shots + 1)
    choose = np.array([math.comb(shots, k) for k in wins])
    chances = [
        choose * p**wins * (1 - p) ** (shots - wins) for p in (math.cos(theta / 2) ** 2, (1 + math.sin(theta)) / 2)
    ]
    joint = np.outer(*chances)
    sums = 2 * (wins[:, None] + wins[None, :]) / shots - 2
    gates = 1 / (1 + np.exp(-sums))
    mean = (joint * gates).sum()
    return float(mean), float((joint * (gates - mean) ** 2).sum())


def logit(gates: torch.Tensor) -> torch.Tensor:
    """⟨Z⟩ + ⟨X⟩ as measured, from the gate."""
    return torch.log(gates / (1 - gates))


def small_model(n_bands: int, n_classes: int = 4, attention: str = "quantum") -> Network:
    torch.manual_seed(0)
    return make_nontrivial(create_model("dual-branch", n_bands, n_classes, attention=attention, **SMALL))


def test_the_exact_circuit_is_the_gate() -> None:
    pytest.importorskip("pennylane")
    phase = torch.linspace(-math.pi, math.pi, 600, dtype=torch.float64).reshape(20, 5, 6)
    simulated = circuit_gate(phase)
    assert simulated.shape == (20, 5, 6)
    np.testing.assert_allclose(simulated, QuantumInspiredAttention.gate(phase).numpy(), atol=1e-12)
    np.testing.assert_allclose(circuit_gate(phase.numpy()), simulated)


@pytest.mark.parametrize("shots", [1, 7])
def test_the_simulator_with_shots_has_the_binomials_mean_and_variance(shots: int) -> None:
    pytest.importorskip("pennylane")
    n = 4000
    measured = circuit_gate(np.tile(ANGLES, (n, 1)), shots, seed=0)
    for theta, gates in zip(ANGLES, measured.T, strict=True):
        mean, variance = gates_in_closed_form(theta, shots)
        assert gates.mean() == pytest.approx(mean, abs=5 * math.sqrt(variance / n))
        assert gates.var() == pytest.approx(variance, rel=0.15)


@pytest.mark.parametrize("shots", [1, 7, 30])
def test_drawn_shots_have_the_binomials_mean_and_variance(shots: int) -> None:
    n = 40_000
    measured = shot_gate(torch.tensor(ANGLES).repeat(n, 1), shots, seeded()).double().numpy()
    for theta, gates in zip(ANGLES, measured.T, strict=True):
        mean, variance = gates_in_closed_form(theta, shots)
        assert gates.mean() == pytest.approx(mean, abs=5 * math.sqrt(variance / n))
        assert gates.var() == pytest.approx(variance, rel=0.05)


def test_one_shot_gives_three_gates() -> None:
    """Z and X are ±1 each, so their sum is −2, 0 or 2."""
    gates = shot_gate(torch.full((1000,), 1.0), 1, seeded())
    expected = torch.sigmoid(torch.tensor([-2.0, 0.0, 2.0]))
    assert torch.equal(gates.unique(), expected)


@pytest.mark.parametrize("shots", [16, 256, 4096])
def test_the_spread_before_the_sigmoid_is_one_by_the_root_of_shots_for_every_phase(shots: int) -> None:
    phase = torch.tensor(ANGLES, dtype=torch.float64).repeat(20_000, 1)
    errors = logit(shot_gate(phase, shots, seeded())) - (torch.cos(phase) + torch.sin(phase))
    assert (errors.std(dim=0) * math.sqrt(shots)).numpy() == pytest.approx(np.ones(len(ANGLES)), rel=0.03)


def test_shots_are_drawn_from_the_given_generator_and_keep_shape_and_type() -> None:
    phase = torch.linspace(-3, 3, 60).reshape(2, 5, 6).requires_grad_()
    first, again, other = (shot_gate(phase, 5, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == phase.shape
    assert first.dtype == torch.float32
    assert not first.requires_grad


def test_a_model_measures_inside_the_with_and_is_exact_again_after_it(tiny: Scene) -> None:
    model = small_model(tiny.n_bands)
    exact = predict_logits(model, tiny.cube)
    with with_shots(model, 4, seeded()) as measuring:
        assert measuring is model
        first, second = predict_logits(model, tiny.cube), predict_logits(model, tiny.cube)
    with with_shots(model, 4, seeded()):
        again = predict_logits(model, tiny.cube)
    with with_shots(model, 100_000, seeded()):
        close = predict_logits(model, tiny.cube)
    assert torch.equal(predict_logits(model, tiny.cube), exact)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert (close - exact).abs().mean() < 0.05 * (first - exact).abs().mean()


def test_both_branches_measure() -> None:
    model = small_model(6)
    with with_shots(model, 1, seeded()):
        for branch in (model.spectral, model.spatial):
            layers = [layer for layer in branch.modules() if isinstance(layer, ShotAttention)]
            assert layers
            for layer in layers:
                assert len(layer.measured_gate(torch.linspace(-3, 3, 500)).unique()) == 3


def test_the_gate_is_exact_again_after_an_error() -> None:
    model = small_model(6)
    with pytest.raises(ZeroDivisionError), with_shots(model, 1, seeded()):
        raise ZeroDivisionError
    for layer in model.modules():
        assert not isinstance(layer, ShotAttention)


def test_a_model_without_such_attention_is_refused() -> None:
    with (
        pytest.raises(InputError, match="no quantum-inspired attention"),
        with_shots(small_model(6, attention="squeeze-excitation"), 1, seeded()),
    ):
        pass


@pytest.mark.parametrize("shots", [0, -3])
def test_shots_below_one_are_refused(shots: int) -> None:
    with pytest.raises(InputError, match=f"shots is {shots}; expected at least 1"):
        shot_gate(torch.zeros(3), shots, seeded())
    with pytest.raises(InputError, match=f"shots is {shots}"), with_shots(small_model(6), shots, seeded()):
        pass


def test_without_pennylane_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pennylane", None)
    with pytest.raises(InputError, match=r"pip install 'hsilib\[quantum\]'"):
        circuit_gate(np.zeros(3))
