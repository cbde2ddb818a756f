"""A network that knows patches only: what it makes of a window is made patch by patch."""

from __future__ import annotations

from collections.abc import Callable

import torch

from hsilib.model.network import Network


class PatchNetwork(Network):
    """Base of networks with padding, strides or attention over a patch, for which a dense pass is no shortcut.

    A subclass sets ``n_features``, calls `reset_head` and writes `encode`.
    """

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_inputs, P, P) prepared values → (N, n_features)."""
        raise TypeError(f"{type(self).__name__} defines no encode.")

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) raw values → (N, n_features, H, W), a row of patches at a time."""
        return encode_windows(self.encode, self.prepare(x), self.patch_size)


def encode_windows(encode: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, size: int) -> torch.Tensor:
    """What ``encode`` makes of every window of ``size`` × ``size``, a row of windows at a time.

    Parameters
    ----------
    encode : (N, C, size, size) → (N, F), sample by sample. x : (N, C, H + size − 1, W + size − 1).

    Returns
    -------
    (N, F, H, W).
    """
    if x.shape[2:] == (size, size):
        return encode(x)[:, :, None, None]
    windows = x.unfold(2, size, 1).unfold(3, size, 1)  # (N, C, H, W, size, size), no copy
    n, _, height, width = windows.shape[:4]
    rows = [encode(windows[:, :, row].transpose(1, 2).flatten(0, 1)) for row in range(height)]
    return torch.stack(rows).reshape(height, n, width, -1).permute(1, 3, 0, 2)
