"""A network that is unpadded convolutions first and something else on what they make of a patch after."""

from __future__ import annotations

from typing import ClassVar

import torch

from onepercent.peers.networks.patch_network import PatchNetwork, encode_windows


class SharedConvolutionNetwork(PatchNetwork):
    """Base of networks whose convolutions run once over a window, so that patches share them.

    A subclass sets ``n_features`` and ``shrink``, calls `reset_head` and writes `trunk` and `encode_maps`.

    Attributes
    ----------
    shrink : pixels that the trunk takes off each dimension of its input, all its unpadded kernels together.
    """

    shrink: ClassVar[int]

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
        return encode_windows(self.encode_maps, self.trunk(self.prepare(x)), self.patch_size - self.shrink)
