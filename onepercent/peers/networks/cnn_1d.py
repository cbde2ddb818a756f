"""`cnn-1d`: one convolution along a single spectrum."""

from __future__ import annotations

import torch
from torch import nn

from hsilib.checks import check_at_least
from hsilib.model.network import Network

INITIAL = 0.05


class Cnn1d(Network):
    """Hu, Huang, Wei, Zhang, Li (2015), Deep Convolutional Neural Networks for Hyperspectral Image Classification,
    Journal of Sensors, doi:10.1155/2015/258619.

    Five layers (their figure 3): the spectrum, 20 kernels of k₁ bands, maximum over k₂ neighbours, 100 hidden units,
    the classes; tanh throughout, every parameter drawn from −0.05…0.05. The sizes follow the number of inputs n₁:
    k₁ = ⌊n₁ / 9⌋ and k₂ = ⌈k₁ / 5⌉, at least 1, which give the kernels of their three scenes (24 and 5 for 220 and
    224 bands, 11 and 3 for 103). Of a patch only the centre is looked at: each spectrum is
    classified on its own, and a scene takes one pass.

    They state 81,408 parameters for 220 bands and 8 classes and 61,249 for 103 bands and 9 classes, that is 40 and
    30 values left after the pooling. 197 values in fives and 93 in threes make 39 and 31 whole groups, which is what
    we pool: 79,408 and 63,249.

    Deviations: spectra are standardised band by band; theirs are scaled to −1…1.

    Parameters
    ----------
    kernels, hidden_width : 20 and 100 in the paper. The others are those of `Network`.
    """

    name = "cnn-1d"

    def __init__(
        self,
        n_bands: int,
        n_classes: int,
        patch_size: int = 1,
        components: int = 0,
        kernels: int = 20,
        hidden_width: int = 100,
    ) -> None:
        super().__init__(n_bands, n_classes, patch_size, components)
        check_at_least(1, kernels=kernels, hidden_width=hidden_width)
        length = max(1, self.n_inputs // 9)
        pooled = -(-length // 5)
        self.convolution = nn.Conv1d(1, kernels, length)
        self.pool = nn.MaxPool1d(pooled)
        self.hidden = nn.Linear(kernels * ((self.n_inputs - length + 1) // pooled), hidden_width)
        self.n_features = hidden_width
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -INITIAL, INITIAL)
        self.reset_head(n_classes)

    def reset_head(self, n_classes: int) -> None:
        """Replace the last layer by a fresh one for ``n_classes``."""
        super().reset_head(n_classes)
        for parameter in self.head.parameters():
            nn.init.uniform_(parameter, -INITIAL, INITIAL)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) raw values → (N, hidden_width, H, W)."""
        radius = self.patch_size // 2
        x = self.prepare(x[:, :, radius : x.shape[2] - radius, radius : x.shape[3] - radius])
        n, _, height, width = x.shape
        spectra = x.permute(0, 2, 3, 1).reshape(n * height * width, 1, self.n_inputs)
        maps = torch.tanh(self.pool(self.convolution(spectra)))
        features = torch.tanh(self.hidden(maps.transpose(1, 2).flatten(1)))
        return features.reshape(n, height, width, -1).permute(0, 3, 1, 2)
