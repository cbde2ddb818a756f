"""The dual-branch model: spectral and spatial encoder, fusion, classifier, written so that patches and scenes agree.

Both encoders take a window larger than their output: an input of (H + P − 1) × (W + P − 1) pixels gives an
output of H × W, each output pixel a function of its own P × P patch alone. A patch is the case
H = W = 1. That holds because only pointwise operations, unpadded convolutions and box means are
used; nothing is padded inside.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from hsilib.checks import check_at_least, check_name, check_numbers
from hsilib.model.attention import ATTENTIONS, Pointwise
from hsilib.model.network import Network


def box_mean(x: torch.Tensor, size: int) -> torch.Tensor:
    """Mean over every ``size`` × ``size`` window: (N, C, H, W) → (N, C, H − size + 1, W − size + 1).

    The "global average pooling" of a patch is this mean at the patch's centre. Two one-dimensional
    means cost 2 · size additions a pixel instead of size².
    """
    return avg_pool2d(avg_pool2d(x, (size, 1), stride=1), (1, size), stride=1)


class SpectralEncoder(nn.Module):
    """Spectrum by spectrum: two Conv1d over the bands, pooled over the patch, then attention.

    A Conv1d with the bands as input channels and kernel 1 sees one pixel's spectrum at a time, so
    it is a 1 × 1 convolution here. The description leaves open over which axis is pooled. We pool
    over the patch, which makes the features "global" as it calls them. Gating the centre pixel's own
    features instead, alone or added to the mean, was less accurate on the validation pixels.

    Parameters
    ----------
    n_bands : S. width : number of features (160 in the description). patch_size : P, odd.
    attention : a name of ``ATTENTIONS``.
    """

    def __init__(self, n_bands: int, width: int = 160, patch_size: int = 15, attention: str = "quantum") -> None:
        super().__init__()
        check_name("attention", attention, ATTENTIONS)
        self.width, self.patch_size = width, patch_size
        self.pixelwise = nn.Sequential(
            Pointwise(n_bands, width, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(),
            Pointwise(width, width, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(),
        )
        self.attention = ATTENTIONS[attention](width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) standardised spectra → (N, width, H, W)."""
        return self.attention(box_mean(self.pixelwise(x), self.patch_size))

    def forward_pixelwise(self, x: torch.Tensor) -> torch.Tensor:
        """The same without pooling, every pixel from its own spectrum alone: (N, S, H, W) → (N, width, H, W)."""
        return self.attention(self.pixelwise(x))


class SpatialEncoder(nn.Module):
    """Shapes and textures: two unpadded 3 × 3 convolutions, pooled over the patch, then attention.

    Parameters
    ----------
    n_bands : S. width : number of features (96 in the description; the first convolution has half).
    patch_size : P, odd and at least 5, so that the convolutions leave something to pool.
    attention : a name of ``ATTENTIONS``.
    """

    def __init__(self, n_bands: int, width: int = 96, patch_size: int = 15, attention: str = "quantum") -> None:
        super().__init__()
        check_name("attention", attention, ATTENTIONS)
        self.width, self.pooled_size = width, patch_size - 4
        self.windows = nn.Sequential(
            nn.Conv2d(n_bands, width // 2, 3, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.SiLU(),
            nn.Conv2d(width // 2, width, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(),
        )
        self.attention = ATTENTIONS[attention](width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) standardised spectra → (N, width, H, W)."""
        return self.attention(box_mean(self.windows(x), self.pooled_size))


class TemperatureFusion(nn.Module):
    """D = Conv(branch); P = σ(Conv([D_spec, D_spat] / max(T, 0.1))); F = Conv([D_spec, D_spat, P]).

    T is one learned scalar that starts at 1. The description reads P as a probability and hence as
    uncertainty; it is a gate of ``width`` numbers between 0 and 1, and the book tests that reading.

    Parameters
    ----------
    spectral_width, spatial_width : channels that come in. width : channels of D, P and F.
    learned : whether T is learned; if not, it stays 1, and with it all temperature is gone.
    """

    SMALLEST_TEMPERATURE = 0.1

    def __init__(self, spectral_width: int, spatial_width: int, width: int, learned: bool = True) -> None:
        super().__init__()
        self.spectral = Pointwise(spectral_width, width)
        self.spatial = Pointwise(spatial_width, width)
        self.temperature: torch.Tensor
        if learned:
            self.temperature = nn.Parameter(torch.ones(()))
        else:
            self.register_buffer("temperature", torch.ones(()))
        self.probability = Pointwise(2 * width, width)
        self.combine = Pointwise(3 * width, width)

    def forward(self, spectral: torch.Tensor, spatial: torch.Tensor) -> torch.Tensor:
        """(N, spectral_width, H, W) and (N, spatial_width, H, W) → F, (N, width, H, W)."""
        branches = torch.cat([self.spectral(spectral), self.spatial(spatial)], dim=1)
        temperature = self.temperature.clamp(min=self.SMALLEST_TEMPERATURE)
        probability = torch.sigmoid(self.probability(branches / temperature))
        return self.combine(torch.cat([branches, probability], dim=1))


class ConcatenationFusion(nn.Module):
    """F = Conv([D_spec, D_spat]): the same two projections, no temperature and no gate P.

    Parameters
    ----------
    spectral_width, spatial_width : channels that come in. width : channels of D and F.
    """

    def __init__(self, spectral_width: int, spatial_width: int, width: int) -> None:
        super().__init__()
        self.spectral = Pointwise(spectral_width, width)
        self.spatial = Pointwise(spatial_width, width)
        self.combine = Pointwise(2 * width, width)

    def forward(self, spectral: torch.Tensor, spatial: torch.Tensor) -> torch.Tensor:
        """(N, spectral_width, H, W) and (N, spatial_width, H, W) → F, (N, width, H, W)."""
        return self.combine(torch.cat([self.spectral(spectral), self.spatial(spatial)], dim=1))


# spectral width, spatial width, width → fusion
FUSIONS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "temperature": TemperatureFusion,
    "fixed-temperature": partial(TemperatureFusion, learned=False),
    "concatenation": ConcatenationFusion,
}


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

    name: ClassVar[str] = "dual-branch"
    least_patch: ClassVar[int] = 5
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
        widths = {"spectral_width": spectral_width, "spatial_width": spatial_width}
        check_at_least(2, **widths, fusion_width=fusion_width, hidden_width=hidden_width)
        check_numbers(least=0, below=1, dropout=dropout)
        check_name("fusion", fusion, FUSIONS)
        self.spectral = SpectralEncoder(self.n_inputs, spectral_width, patch_size, attention)
        self.spatial = SpatialEncoder(self.n_inputs, spatial_width, patch_size, attention)
        self.fusion = FUSIONS[fusion](spectral_width, spatial_width, fusion_width)
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
