"""A network that is unpadded convolutions first and something else on what they make of a patch after."""

from __future__ import annotations

import torch

from onepercent.peers.networks.patch_network import PatchNetwork


class TrunkNetwork(PatchNetwork):
    """Base of networks whose convolutions run once over a window, so that patches share them.

    A subclass sets ``n_features`` and ``shrink``, calls `reset_head` and writes `trunk` and `encode_maps`.

    Attributes
    ----------
    shrink : pixels that the trunk takes off each dimension of its input, all its unpadded kernels together.
    """

    shrink: int

    def trunk(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_inputs, H, W) prepared values → (N, C, H − shrink, W − shrink): unpadded convolutions only."""
        raise TypeError(f"{type(self).__name__} defines no trunk.")

    def encode_maps(self, maps: torch.Tensor) -> torch.Tensor:
        """What the trunk makes of patches, (N, C, P − shrink, P − shrink) → (N, n_features)."""
        raise TypeError(f"{type(self).__name__} defines no encode_maps.")

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_inputs, P, P) prepared values → (N, n_features)."""
        return self.encode_maps(self.trunk(x))

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) raw values → (N, n_features, H, W), a row of patches at a time."""
        maps = self.trunk(self.prepare(x))
        size = self.patch_size - self.shrink
        windows = maps.unfold(2, size, 1).unfold(3, size, 1)  # (N, C, H, W, size, size), no copy
        n, _, height, width = windows.shape[:4]
        rows = [self.encode_maps(windows[:, :, row].transpose(1, 2).flatten(0, 1)) for row in range(height)]
        return torch.stack(rows).reshape(height, n, width, -1).permute(1, 3, 0, 2)
