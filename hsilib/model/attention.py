"""Quantum-inspired attention, a gate that is the expectation of one qubit's measurement, and its controls.

Each weights channels pixel by pixel and is made of `Pointwise`, the 1 × 1 convolution of the whole model.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import linear

REDUCTION = 8  # a gate's bottleneck has so many times fewer channels


class Pointwise(nn.Conv2d):
    """A 1 × 1 convolution, computed as the product of (pixels, channels) and its weights.

    Weights and results are those of `torch.nn.Conv2d`, the result to float precision. On maps of few pixels a
    convolution spends most of its time on the layout of its weights; on maps that are contiguous with channels
    last, as patches and scenes are here, the product needs no copy.

    Parameters
    ----------
    n_in, n_out : channels. bias : whether a constant is added.
    """

    def __init__(self, n_in: int, n_out: int, bias: bool = True) -> None:
        super().__init__(n_in, n_out, 1, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_in, H, W) → (N, n_out, H, W), channels last in memory."""
        return linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class QuantumInspiredAttention(nn.Module):
    """Weight features by the measurement of a state whose phase is predicted from them.

    The features are the amplitudes A of a state A·cos θ + i·A·sin θ; a bottleneck φ predicts the
    phase θ = π · tanh(φ(A)) of each channel, and the measurement gate σ(cos θ + sin θ)
    weights the amplitudes. For one qubit prepared by RY(θ) on \\|0⟩, ⟨Z⟩ = cos θ and ⟨X⟩ = sin θ: the
    gate is exactly σ(⟨Z⟩ + ⟨X⟩).

    The description writes the state as "A × cos θ + i × sin θ", with the amplitude on the real part
    only. We read it as A·e^{iθ}, the state its words describe. The reading has no influence here:
    the gate uses θ alone.

    Parameters
    ----------
    channels : C, the number of features.
    reduction : r; φ has about 2 · C² / r weights against C² for one full map.
    """

    def __init__(self, channels: int, reduction: int = REDUCTION) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = Pointwise(channels, hidden)
        self.excite = Pointwise(hidden, channels)

    def phase(self, features: torch.Tensor) -> torch.Tensor:
        """θ in (−π, π), same shape as ``features`` (N, C, H, W)."""
        return math.pi * torch.tanh(self.excite(nn.functional.silu(self.squeeze(features))))

    @staticmethod
    def gate(phase: torch.Tensor) -> torch.Tensor:
        """σ(cos θ + sin θ), between σ(−√2) = 0.196 and σ(√2) = 0.804."""
        return torch.sigmoid(torch.cos(phase) + torch.sin(phase))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Weight ``features`` (N, C, H, W) by the gate that they predict."""
        return features * self.gate(self.phase(features))


class SqueezeExcitation(nn.Module):
    """The gate σ(φ(A)) of Hu et al. (CVPR 2018, equation 3) with the bottleneck of the quantum-inspired layer.

    The features that come in are means over the patch already, which is the "squeeze". It has exactly
    as many parameters as `QuantumInspiredAttention`; what differs is how φ becomes a gate: σ(φ) can
    close a channel, σ(cos θ + sin θ) cannot.

    Parameters
    ----------
    channels : C, the number of features. reduction : r, as there.
    """

    def __init__(self, channels: int, reduction: int = REDUCTION) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = Pointwise(channels, hidden)
        self.excite = Pointwise(hidden, channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Weight ``features`` (N, C, H, W) by σ(W₂ ReLU(W₁ A))."""
        return features * torch.sigmoid(self.excite(torch.relu(self.squeeze(features))))


class ConstantPhase(nn.Module):
    """The quantum-inspired gate with one learned phase a channel, the same for every input.

    If it does as well, the gate's dependence on its input was worth nothing. The phases start at 0,
    where the gate is σ(1) = 0.731.

    Parameters
    ----------
    channels : C, the number of features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.phase = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Weight ``features`` (N, C, H, W) by σ(cos θ + sin θ) of the channel's own θ."""
        return features * QuantumInspiredAttention.gate(self.phase)


# channels → attention
ATTENTIONS: dict[str, Callable[[int], nn.Module]] = {
    "quantum": QuantumInspiredAttention,
    "squeeze-excitation": SqueezeExcitation,
    "constant-phase": ConstantPhase,
    "none": lambda channels: nn.Identity(),
}
