"""`dbda`: a spectral and a spatial branch of dense blocks, each with an attention of its own."""

from __future__ import annotations

import torch
from torch import nn

from hsilib.checks import check_numbers
from onepercent.peers.networks.layers import Size3d
from onepercent.peers.networks.shared_convolutions import SharedConvolutionNetwork

WIDTH, GROWTH, LAYERS = 24, 12, 3
DENSE = WIDTH + LAYERS * GROWTH  # 60


class DBDA(SharedConvolutionNetwork):
    """Li, Zheng, Duan, Yang, Wang (2020), Classification of Hyperspectral Image Based on Double-Branch
    Dual-Attention Mechanism Network, Remote Sensing 12(3), doi:10.3390/rs12030582.

    Their figure 6 and tables 1 and 2, for 9 × 9 patches of 200 bands. Spectral branch: 24 filters over seven bands
    with stride 2 (97 places left), a dense block of three layers with 12 filters each, 60 filters over all places,
    channel attention. Spatial branch: 24 filters over all bands, a dense block of three 3 × 3 layers with 12 filters
    each, spatial attention. Each branch: batch norm, Mish, dropout 0.5, mean over the patch; both side by side go
    into the classes. Mish is the activation throughout. All that works pixel by pixel (the spectral branch up to its
    attention, the spatial branch's first layer) is shared between the patches of a scene.

    Parameters for 200 bands, 16 classes: 382,328. Comparisons in later papers print 382,326, without the two scales
    of the attentions; the paper's own figure is not known to us.

    Deviations: the attentions are the paper's equations. The authors' code differs from these twice: it prefers
    channels that are unlike (softmax of the largest product minus each product), and it multiplies what comes out of
    either attention by what went in once more. For an odd number of bands their spectral branch leaves two places
    and takes their mean; ours covers all. Batch norm has PyTorch's settings.

    Parameters
    ----------
    dropout : 0.5 in the paper. The others are those of `Network`.
    """

    name = "dbda"
    least_inputs = 7
    shrink = 0

    def __init__(
        self, n_bands: int, n_classes: int, patch_size: int = 9, components: int = 0, dropout: float = 0.5
    ) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        check_numbers(least=0, below=1, dropout=dropout)
        places = (self.n_inputs - 7) // 2 + 1
        # The spectrum is the last axis, as in memory: a CPU convolves along it faster than when it comes first.
        self.spectral = nn.Sequential(
            nn.Conv3d(1, WIDTH, (1, 1, 7), stride=(1, 1, 2)),
            DenseBlock((1, 1, 7)),
            nn.BatchNorm3d(DENSE),
            nn.Mish(),
            nn.Conv3d(DENSE, DENSE, (1, 1, places)),
        )
        self.spectral_attention = ChannelAttention()
        self.spectral_end = _end(dropout)
        self.bands = nn.Conv2d(self.n_inputs, WIDTH, 1)
        self.spatial = DenseBlock((3, 3, 1))
        self.spatial_attention = SpatialAttention(DENSE)
        self.spatial_end = _end(dropout)
        self.n_features = 2 * DENSE
        self.reset_head(n_classes)

    def trunk(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n_inputs, H, W) prepared values → (N, 60 + 24, H, W): what both branches make of single pixels."""
        spectral = self.spectral(x.permute(0, 2, 3, 1)[:, None])  # (N, 1, H, W, bands) → (N, 60, H, W, 1)
        return torch.cat([spectral.squeeze(4), self.bands(x)], dim=1)

    def encode_maps(self, maps: torch.Tensor) -> torch.Tensor:
        """(N, 60 + 24, P, P) → (N, 120)."""
        spectral, spatial = maps.split([DENSE, WIDTH], dim=1)
        spectral = self.spectral_end(self.spectral_attention(spectral))
        spatial = self.spatial_end(self.spatial_attention(self.spatial(spatial[..., None]).squeeze(4)))
        return torch.cat([spectral, spatial], dim=1).mean(dim=(2, 3))


def _end(dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(DENSE), nn.Mish(), nn.Dropout(dropout))


class DenseBlock(nn.Module):
    """Three layers of batch norm, Mish and a padded convolution; each sees all that came before it."""

    def __init__(self, kernel: Size3d) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm3d(seen), nn.Mish(), nn.Conv3d(seen, GROWTH, kernel, padding="same"))
            for seen in range(WIDTH, DENSE, GROWTH)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 24, H, W, bands) → (N, 60, H, W, bands)."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return x


class ChannelAttention(nn.Module):
    """Each channel plus α times a mean of all channels, weighted by softmax(A · Aᵀ), A being (C, P²); α starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) → the same shape."""
        channels = x.flatten(2)
        weights = torch.softmax(channels @ channels.mT, dim=-1)
        return x + self.scale * (weights @ channels).reshape(x.shape)


class SpatialAttention(nn.Module):
    """Each pixel plus β times a mean of projected pixels, weighted by softmax(query · key); β starts at 0.

    Parameters
    ----------
    width : channels; queries and keys have an eighth of them.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, width // 8, 1)
        self.key = nn.Conv2d(width, width // 8, 1)
        self.value = nn.Conv2d(width, width, 1)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) → the same shape."""
        query, key, value = (project(x).flatten(2) for project in (self.query, self.key, self.value))
        weights = torch.softmax(query.mT @ key, dim=-1)  # (N, pixel that looks, pixel looked at)
        return x + self.scale * (value @ weights.mT).reshape(x.shape)
