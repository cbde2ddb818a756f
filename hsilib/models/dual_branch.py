"""The dual-branch model (description, A1–A5): spectral and spatial encoder, fusion, classifier.

Contents: `DualBranch`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn

from hsilib.models.checks import check_at_least, check_dropout, check_patch_size
from hsilib.models.encoders import SpatialEncoder, SpectralEncoder
from hsilib.models.folding import FoldedDualBranch
from hsilib.models.fusion import create_fusion
from hsilib.models.network import Network
from hsilib.models.pointwise import Pointwise


class DualBranch(Network):
    """Spectral branch (width 160) and spatial branch (width 96), fused and classified pixel by pixel.

    Every operation is pointwise, an unpadded convolution or a box mean, so the same forward pass
    serves a patch (H = W = 1) and a whole padded scene.

    Parameters
    ----------
    n_bands, n_classes : S and K.
    patch_size : P, odd, at least 5.
    spectral_width, spatial_width, fusion_width, hidden_width : channels of each part. The first
        two are the description's; it gives the others only as parameter counts (fusion "120 K",
        classifier "100 K"), which 128 and 256 come nearest to.
    dropout : probability in the classifier.
    attention : ``quantum``, ``squeeze-excitation``, ``constant-phase`` or ``none``, in both encoders.
    fusion : ``temperature``, ``fixed-temperature`` (T stays 1) or ``concatenation``.
    components : principal components to work on; 0 works on all bands, as described.
    """

    tile: ClassVar[int] = 256  # strips of its rows fit the cache; large tiles have little margin

    def __init__(
        self,
        n_bands: int,
        n_classes: int,
        patch_size: int = 15,
        spectral_width: int = 160,
        spatial_width: int = 96,
        fusion_width: int = 128,
        hidden_width: int = 256,
        dropout: float = 0.15,
        attention: str = "quantum",
        fusion: str = "temperature",
        components: int = 0,
    ) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        check_patch_size(patch_size, 5)
        check_at_least(2, spectral_width=spectral_width, spatial_width=spatial_width)
        check_at_least(2, fusion_width=fusion_width, hidden_width=hidden_width)
        check_dropout(dropout)
        self.spectral = SpectralEncoder(self.n_inputs, spectral_width, patch_size, attention)
        self.spatial = SpatialEncoder(self.n_inputs, spatial_width, patch_size, attention)
        self.fusion = create_fusion(fusion, spectral_width, spatial_width, fusion_width)
        self.hidden = nn.Sequential(
            nn.SiLU(),
            Pointwise(fusion_width, hidden_width),
            nn.SiLU(),
            nn.Dropout(dropout),
            Pointwise(hidden_width, hidden_width),
            nn.SiLU(),
            nn.Dropout(dropout),
        )
        self.n_features = hidden_width
        self.reset_head(n_classes)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) raw values → (N, hidden_width, H, W)."""
        x = self.prepare(x)
        return self.hidden(self.fusion(self.spectral(x), self.spatial(x)))

    def folded(self) -> FoldedDualBranch:
        """See `FoldedDualBranch`."""
        return FoldedDualBranch(self)

    def folded_views(self, orientations: Sequence[int]) -> FoldedDualBranch:
        """The same; the spectral branch, which is blind to orientation, is computed once for all views."""
        return FoldedDualBranch(self, orientations)
