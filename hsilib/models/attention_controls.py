"""What quantum-inspired attention is compared with: nothing, a usual gate of its size, a gate that sees nothing.

Contents: `SqueezeExcitation`, `ConstantPhase`, `ATTENTIONS`, `create_attention`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from hsilib.errors import unknown_name
from hsilib.models.attention import QuantumInspiredAttention
from hsilib.models.pointwise import Pointwise


class SqueezeExcitation(nn.Module):
    """The gate σ(φ(A)) of Hu et al. (CVPR 2018, equation 3) with the bottleneck of the quantum-inspired layer.

    The features that come in are means over the patch already, which is the "squeeze". It has exactly
    as many parameters as `QuantumInspiredAttention`; what differs is how φ becomes a gate: σ(φ) can
    close a channel, σ(cos θ + sin θ) cannot.

    Parameters
    ----------
    channels : C, the number of features. reduction : r, as there.
    """

    def __init__(self, channels: int, reduction: int = 8) -> None:
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


ATTENTIONS: dict[str, Callable[[int], nn.Module]] = {
    "quantum": QuantumInspiredAttention,
    "squeeze-excitation": SqueezeExcitation,
    "constant-phase": ConstantPhase,
    "none": lambda channels: nn.Identity(),
}


def create_attention(name: str, channels: int) -> nn.Module:
    """The attention of that name over ``channels`` features.

    Raises
    ------
    InputError : a name that is not in ``ATTENTIONS``.
    """
    if name not in ATTENTIONS:
        raise unknown_name("attention", name, ATTENTIONS)
    return ATTENTIONS[name](channels)
