"""Selective diagonal state-space scan in plain PyTorch, and the block of layers around it.

Reference: Gu and Dao (2023), Mamba: Linear-Time Sequence Modeling with Selective State Spaces, arXiv:2312.00752,
equations 1–4 and Algorithm 2.

The state follows h_t = exp(Δ_t A) h_{t−1} + Δ_t B_t x_t, y_t = C_t · h_t, with Δ, B and C made from the input.
The sequence is cut into chunks; the state is carried from chunk to chunk, and the steps of a chunk are computed
together by odd–even reduction: neighbours are joined, (a, u) then (a', u') is (a a', a' u + u'), the half as long
recurrence is solved the same way, and the steps in between follow. Chunks keep what is worked on small enough for
a processor's cache. Decays a are between 0 and 1 and are only ever multiplied, never divided by, so nothing can
overflow however long the sequence or strong the decay; a product that underflows is a state that is forgotten.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import silu, softplus

SHORTEST_STEP, LONGEST_STEP = 1e-3, 1e-1  # range of Δ at the start, as in the reference


def linear_recurrence(decay: torch.Tensor, drive: torch.Tensor) -> torch.Tensor:
    """h_t = decay_t · h_{t−1} + drive_t along axis 1, from h_{−1} = 0: two (N, L, …) → (N, L, …)."""
    length = drive.shape[1]
    if length == 1:
        return drive
    even = 2 * (length // 2)
    later = decay[:, 1::2]
    joined_decay = decay[:, 0:even:2] * later
    joined_drive = later * drive[:, 0:even:2] + drive[:, 1::2]
    odd_states = linear_recurrence(joined_decay, joined_drive)  # h_1, h_3, …
    between = decay[:, 2::2] * odd_states[:, : (length - 1) // 2] + drive[:, 2::2]  # h_2, h_4, …
    even_states = torch.cat([drive[:, :1], between], dim=1)
    pairs = torch.stack([even_states[:, : length // 2], odd_states], dim=2).flatten(1, 2)
    return torch.cat([pairs, even_states[:, length // 2 :]], dim=1)


def selective_scan(
    x: torch.Tensor, delta: torch.Tensor, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, chunk: int = 8
) -> torch.Tensor:
    """The scan of every channel of ``x`` with its own step sizes.

    Parameters
    ----------
    x, delta : (N, L, D) sequence and positive step sizes Δ.
    a : (D, M) negative rates, M the size of the state of a channel.
    b, c : (N, L, M) input and output weights, shared by the channels.
    chunk : steps computed together; changes the time it takes and the rounding, nothing else.

    Returns
    -------
    (N, L, D).
    """
    state = x.new_zeros(())
    outputs = []
    for steps in zip(*(tensor.split(chunk, dim=1) for tensor in (x, delta, b, c)), strict=True):
        x_part, delta_part, b_part, c_part = steps
        decay = torch.exp(delta_part[..., None] * a)
        drive = (delta_part * x_part)[..., None] * b_part[:, :, None]
        drive = torch.cat([drive[:, :1] + decay[:, :1] * state, drive[:, 1:]], dim=1)
        states = linear_recurrence(decay, drive)
        outputs.append((states * c_part[:, :, None]).sum(-1))
        state = states[:, -1:]
    return torch.cat(outputs, dim=1)


class SelectiveStateSpace(nn.Module):
    """Mamba's block: widened twice, a short causal convolution, the scan, a gate: (N, L, width) → (N, L, width).

    Parameters
    ----------
    width : numbers a token. state : M. expand : inner width in multiples of ``width``.
    kernel : tokens that the causal convolution sees.
    """

    def __init__(self, width: int, state: int = 16, expand: int = 2, kernel: int = 4) -> None:
        super().__init__()
        inner, self.rank, self.state = expand * width, math.ceil(width / 16), state
        self.widen = nn.Linear(width, 2 * inner, bias=False)
        self.convolution = nn.Conv1d(inner, inner, kernel, padding=kernel - 1, groups=inner)
        self.select = nn.Linear(inner, self.rank + 2 * state, bias=False)
        self.step = nn.Linear(self.rank, inner)
        self.log_rates = nn.Parameter(torch.arange(1.0, state + 1).log().repeat(inner, 1))
        self.skip = nn.Parameter(torch.ones(inner))
        self.narrow = nn.Linear(inner, width, bias=False)
        nn.init.uniform_(self.step.weight, -(self.rank**-0.5), self.rank**-0.5)
        steps = torch.exp(torch.empty(inner).uniform_(math.log(SHORTEST_STEP), math.log(LONGEST_STEP)))
        with torch.no_grad():
            self.step.bias.copy_(steps + torch.log(-torch.expm1(-steps)))  # softplus of it is steps

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """(N, L, width) tokens in the order of the scan → (N, L, width)."""
        x, gate = self.widen(z).chunk(2, dim=-1)
        x = silu(self.convolution(x.transpose(1, 2))[:, :, : z.shape[1]].transpose(1, 2))
        low, b, c = self.select(x).split([self.rank, self.state, self.state], dim=-1)
        y = selective_scan(x, softplus(self.step(low)), -torch.exp(self.log_rates), b, c)
        return self.narrow((y + self.skip * x) * silu(gate))
