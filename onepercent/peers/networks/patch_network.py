"""A network that knows patches only: what it makes of a window is made patch by patch."""

from __future__ import annotations

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
        x = self.prepare(x)
        size = self.patch_size
        if x.shape[2:] == (size, size):
            return self.encode(x)[:, :, None, None]
        windows = x.unfold(2, size, 1).unfold(3, size, 1)  # (N, C, H, W, P, P), no copy
        n, _, height, width = windows.shape[:4]
        rows = [self.encode(windows[:, :, row].transpose(1, 2).flatten(0, 1)) for row in range(height)]
        return torch.stack(rows).reshape(height, n, width, -1).permute(1, 3, 0, 2)
