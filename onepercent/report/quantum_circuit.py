"""The gate of quantum-inspired attention as a circuit: simulated, and measured with finite shots.

One qubit a channel, prepared by RY(θ) on the state 0, without entanglement: ⟨Z⟩ = cos θ and ⟨X⟩ = sin θ, so the
gate is σ(⟨Z⟩ + ⟨X⟩). Hardware cannot read an expectation; it repeats the circuit ("shots") and takes
the mean of ±1. Z and X cannot be measured on the same copy of the qubit, so each has its own shots.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hsilib.errors import InputError
from hsilib.model.attention import QuantumInspiredAttention
from hsilib.model.network import Network


def circuit_gate(
    phase: NDArray[np.floating] | torch.Tensor, shots: int | None = None, seed: int | None = None
) -> NDArray[np.float64]:
    """The gate as PennyLane's simulator evaluates it: slow, and the reference for the other two ways.

    Parameters
    ----------
    phase : θ, any shape; a tensor lies on the CPU and needs no gradient.
    shots : measurements of each of Z and X; None is exact.
    seed : of the simulator's measurements.

    Returns
    -------
    Same shape as ``phase``.

    Raises
    ------
    InputError : PennyLane is not installed, or ``shots`` below 1.
    """
    try:
        import pennylane
    except ImportError as error:
        raise InputError("circuit_gate needs PennyLane; install it with: pip install 'hsilib[quantum]'.") from error
    if shots is not None:
        _check(shots)

    def measured(angles: NDArray[np.float64]) -> tuple[Any, Any]:
        pennylane.RY(angles, wires=0)
        return pennylane.expval(pennylane.Z(0)), pennylane.expval(pennylane.X(0))

    circuit = pennylane.QNode(measured, pennylane.device("default.qubit", wires=1, seed=seed))
    angles = np.asarray(phase, dtype=np.float64)
    z, x = pennylane.set_shots(circuit, shots=shots)(angles.ravel())
    return np.reshape(1 / (1 + np.exp(-(z + x))), angles.shape)


def shot_gate(phase: torch.Tensor, shots: int, generator: torch.Generator) -> torch.Tensor:
    """The gate as ``shots`` measurements of each of Z and X give it, drawn directly: a scene has millions of gates.

    The number of +1 is binomial with p = cos²(θ/2) for Z and p = (1 + sin θ) / 2 for X. The variance of
    the sum of the two means is (sin² θ + cos² θ) / shots = 1 / shots, whatever the phase.

    Parameters
    ----------
    phase : θ, any shape. generator : a CPU generator.

    Returns
    -------
    Same shape and device as ``phase``, without gradient.

    Raises
    ------
    InputError : ``shots`` below 1.
    """
    _check(shots)
    angles = phase.detach().cpu()
    count = torch.full_like(angles, shots)
    z, x = (
        2 * torch.binomial(count, probability, generator=generator) / shots - 1
        for probability in (torch.cos(angles / 2).square(), (1 + torch.sin(angles)) / 2)
    )
    return torch.sigmoid(z + x).to(phase.device)


@contextmanager
def with_shots(model: Network, shots: int, generator: torch.Generator) -> Iterator[Network]:
    """Inside the ``with``, every quantum-inspired attention of ``model`` measures with finite shots.

    Every forward pass measures anew, so two of them differ.

    Raises
    ------
    InputError : ``shots`` below 1, or a model without quantum-inspired attention.
    """
    _check(shots)
    places = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, QuantumInspiredAttention)
    ]
    if not places:
        raise InputError("the model has no quantum-inspired attention to measure; expected attention='quantum'.")
    for parent, name, layer in places:
        setattr(parent, name, ShotAttention(layer, shots, generator).train(layer.training))
    try:
        yield model
    finally:
        for parent, name, layer in places:
            setattr(parent, name, layer)


class ShotAttention(QuantumInspiredAttention):
    """A trained layer whose gate is measured; a type of its own, so that a dense pass does not fold it away."""

    def __init__(self, layer: QuantumInspiredAttention, shots: int, generator: torch.Generator) -> None:
        nn.Module.__init__(self)
        self.squeeze, self.excite = layer.squeeze, layer.excite
        self.measured_gate = partial(shot_gate, shots=shots, generator=generator)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Weight ``features`` (N, C, H, W) by the gate as it was measured."""
        return features * self.measured_gate(self.phase(features))


def _check(shots: int) -> None:
    if shots < 1:
        raise InputError(f"shots is {shots}; expected at least 1.")
