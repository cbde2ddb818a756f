"""The tokens that `mhssmamba` and `wavemamba` both start from."""

from __future__ import annotations

import torch
from torch import nn


class SpectralSpatialTokens(nn.Module):
    """A token for each pixel of a patch and one for each band, each gated by the centre pixel's token.

    Spatial token i = W s_i + w of pixel i's spectrum; spectral token b = V p_b + v of band b's patch. The gates
    are σ(G c + g) with c the centre pixel's token, one for each kind, so that what the centre lacks is dimmed.

    The authors' public notebooks make both kinds of the pixels' spectra, so that theirs are two projections of the
    same tokens; they take as centre the token P // 2 of the flattened patch, which lies in its first row.

    Parameters
    ----------
    n_inputs : C. patch_size : P. width : numbers a token.
    """

    def __init__(self, n_inputs: int, patch_size: int, width: int) -> None:
        super().__init__()
        self.centre = patch_size**2 // 2
        self.spatial = nn.Linear(n_inputs, width)
        self.spectral = nn.Linear(patch_size**2, width)
        self.spatial_gate = nn.Linear(width, width)
        self.spectral_gate = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, C, P, P) → spatial tokens (N, P², width), row by row, and spectral tokens (N, C, width)."""
        bands = x.flatten(2)
        spatial, spectral = self.spatial(bands.transpose(1, 2)), self.spectral(bands)
        centre = spatial[:, self.centre, None]
        return spatial * self.spatial_gate(centre).sigmoid(), spectral * self.spectral_gate(centre).sigmoid()
