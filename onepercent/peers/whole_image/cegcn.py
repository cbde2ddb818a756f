"""`cegcn`: a graph convolution over superpixels beside depthwise convolutions over pixels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import leaky_relu

from hsilib.checks import check_at_least
from hsilib.errors import InputError
from onepercent.peers.classical.superpixels import fit_components, neighbours, superpixels
from onepercent.peers.whole_image.network import WholeImageNetwork

LEAST_WEIGHT = 0.1  # of an edge, so that no superpixel loses its neighbours


class CEGCN(WholeImageNetwork):
    """CNN-enhanced graph convolutional network.

    Liu, Xiao, Yang and Wei (2021), CNN-Enhanced Graph Convolutional Network With Pixel- and Superpixel-Level
    Feature Fusion for Hyperspectral Image Classification, IEEE TGRS 59(10). Two 1 × 1 layers transform the
    spectra. One branch averages them over superpixels (the association matrix Q, columns normalised), applies two
    graph convolutions whose edges weigh by learned similarity, and hands every pixel its superpixel's result (Q
    again). The other applies two 1 × 1 and depthwise 5 × 5 convolutions. A linear layer classifies both, joined.
    Widths are the public code's.

    - Superpixels: SLIC on three whitened principal components. The paper segments a linear discriminant analysis
      of the training pixels (LDA-SLIC), for which three pixels of a class are few; this segmentation sees no
      label at all. Their mean size is the code's.
    - Similarities are normalised by the square roots of the degrees on both sides. The code that we know has
      this only as a comment and uses a softmax; for Indian Pines it also joins every superpixel to every other.
      Neither is done here, nor is anything else set by scene.
    - A graph layer's unused scalar of the code is left out.

    Parameters for 200 bands and 16 classes: 166,368; the published count is not known to us.

    Parameters
    ----------
    width : channels of the first layers, at least 2; the two branches end with half of them each.
    similarity_width : size of the vectors whose products are the edges' weights.
    pixels_per_segment : mean size of the superpixels. The others are those of `Network`.
    """

    name = "cegcn"

    def __init__(
        self,
        n_bands: int,
        n_classes: int,
        components: int = 0,
        width: int = 128,
        similarity_width: int = 256,
        pixels_per_segment: int = 100,
    ) -> None:
        super().__init__(n_bands, n_classes, components)
        check_at_least(2, width=width)
        check_at_least(1, similarity_width=similarity_width, pixels_per_segment=pixels_per_segment)
        self.pixels_per_segment = pixels_per_segment
        self.spectra = nn.Sequential(
            nn.BatchNorm2d(self.n_inputs),
            nn.Conv2d(self.n_inputs, width, 1),
            nn.LeakyReLU(),
            nn.BatchNorm2d(width),
            nn.Conv2d(width, width, 1),
            nn.LeakyReLU(),
        )
        self.pixels = nn.Sequential(PixelConvolution(width, width), PixelConvolution(width, width // 2))
        self.graph = nn.ModuleList(GraphConvolution(width, n_out, similarity_width) for n_out in (width, width // 2))
        self.segments: torch.Tensor | None
        self.neighbours: torch.Tensor | None
        self.register_buffer("segments", None, persistent=False)
        self.register_buffer("neighbours", None, persistent=False)
        self.n_features = 2 * (width // 2)
        self.reset_head(n_classes)

    def look_at(self, x: torch.Tensor) -> None:
        """Cut the image (1, S, H, W) into superpixels and note which of them touch.

        Where noise leaves but one superpixel, and so no graph, the size is halved until there are two.

        Raises
        ------
        InputError : there are none at any size.
        """
        cube = x[0].permute(1, 2, 0).cpu().numpy()
        components, size = fit_components(cube, 3).apply(cube), self.pixels_per_segment
        segments = superpixels(components, size)
        while not segments.any():
            if size == 1:
                raise InputError("cegcn: the image cannot be cut into superpixels; it needs at least two.")
            size //= 2
            segments = superpixels(components, size)
        self.segments = torch.from_numpy(segments).to(x.device)
        self.neighbours = torch.from_numpy(neighbouring_segments(segments)).to(x.device)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(1, S, H, W) raw values of the image last looked at → (1, width, H, W)."""
        if self.segments is None or self.neighbours is None or self.segments.shape != x.shape[2:]:
            raise ValueError("cegcn: call look_at with the image first; superpixels depend on it.")
        x = self.spectra(self.prepare(x))
        segments, pixels = self.segments.flatten(), x[0].flatten(1).T
        pixels = pixels.to(torch.promote_types(pixels.dtype, torch.float32))  # sums of hundreds lose digits in bf16
        sums = pixels.new_zeros(len(self.neighbours), x.shape[1]).index_add(0, segments, pixels)
        nodes = sums / segments.bincount(minlength=len(sums))[:, None]
        for layer in self.graph:
            nodes = layer(nodes, self.neighbours)
        of_segments = nodes[self.segments].permute(2, 0, 1)[None]
        return torch.cat([of_segments, self.pixels(x)], dim=1)


class GraphConvolution(nn.Module):
    """BatchNorm, edges weighted by learned similarity, D^(−1/2) (A + I) D^(−1/2) X W, leaky ReLU.

    A holds σ(θ(x_i) · θ(x_j)), at least 0.1, for nodes that are neighbours, and 0 for others.

    Parameters
    ----------
    n_in, n_out : features of a node before and after. similarity_width : of θ(x).
    """

    def __init__(self, n_in: int, n_out: int, similarity_width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(n_in)
        self.similarity = nn.Linear(n_in, similarity_width)
        self.transform = nn.Linear(n_in, n_out)

    def forward(self, nodes: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
        """(M, n_in) nodes and (M, M) booleans, true for neighbours → (M, n_out)."""
        nodes = self.norm(nodes)
        return leaky_relu(self.adjacency(nodes, neighbours) @ self.transform(nodes))

    def adjacency(self, nodes: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
        """(M, M) normalised weights of normalised nodes; symmetric."""
        theta = self.similarity(nodes)
        weights = torch.sigmoid(theta @ theta.T).clamp(min=LEAST_WEIGHT) * neighbours
        weights = weights + torch.eye(len(nodes), device=nodes.device, dtype=nodes.dtype)
        scale = weights.sum(dim=1).rsqrt()
        return scale[:, None] * weights * scale


class PixelConvolution(nn.Module):
    """BatchNorm, a 1 × 1 and a padded depthwise 5 × 5 convolution, each with leaky ReLU.

    Parameters
    ----------
    n_in, n_out : channels.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(n_in)
        self.pointwise = nn.Conv2d(n_in, n_out, 1, bias=False)
        self.depthwise = nn.Conv2d(n_out, n_out, 5, padding=2, groups=n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, n_in, H, W) → (1, n_out, H, W)."""
        return leaky_relu(self.depthwise(leaky_relu(self.pointwise(self.norm(x)))))


def neighbouring_segments(segments: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(M, M), true for two different segments of (H, W) that touch along a side or at a corner."""
    m = int(segments.max()) + 1
    touch = np.zeros((m, m), dtype=bool)
    for _, first, second in neighbours(segments):
        touch[first, second] = touch[second, first] = True
    np.fill_diagonal(touch, False)
    return touch
