"""Quantum-inspired attention (description, A4): a gate that is the expectation of one qubit's measurement.

Contents: `QuantumInspiredAttention`.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from hsilib.models.pointwise import Pointwise


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

    def __init__(self, channels: int, reduction: int = 8) -> None:
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
