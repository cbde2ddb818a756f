"""`cnn-2d`: a plain two-dimensional CNN on principal components."""

from __future__ import annotations

import torch
from torch import nn

from hsilib.model.network import Network

WIDTH = 90  # filters of the first convolution; the second has three times, the hidden layer twice as many


class Cnn2d(Network):
    """In the line of Makantasis, Karantzalos, Doulamis, Doulamis (2015), Deep supervised learning for hyperspectral
    data classification through convolutional neural networks, IGARSS, doi:10.1109/IGARSS.2015.7326945.

    As there: c principal components, 5 × 5 patches, two unpadded 3 × 3 convolutions of 3c and 9c
    filters, no pooling, a hidden layer of 6c units, the classes. The last layers are convolutions with kernels as
    large as what is left of a patch, so that a scene takes one dense pass.

    Deviations: the widths are those of c = 30 whatever c is, so that the network does not grow with its input;
    components are whitened; activations are ReLU (theirs are not known to us). How many components they keep depends
    on the variance that remains. Parameters for 30 components, 16 classes: 295,036; theirs: not known to us.
    """

    name = "cnn-2d"
    least_patch = 5

    def __init__(self, n_bands: int, n_classes: int, patch_size: int = 5, components: int = 0) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        self.layers = nn.Sequential(
            nn.Conv2d(self.n_inputs, WIDTH, 3),
            nn.ReLU(),
            nn.Conv2d(WIDTH, 3 * WIDTH, 3),
            nn.ReLU(),
            nn.Conv2d(3 * WIDTH, 2 * WIDTH, patch_size - 4),
            nn.ReLU(),
        )
        self.n_features = 2 * WIDTH
        self.reset_head(n_classes)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) raw values → (N, 180, H, W)."""
        return self.layers(self.prepare(x))
