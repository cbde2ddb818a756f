"""What every network has in common: standardisation at the entry, a head that can be replaced.

Contents: `Network`, `turned`, `turned_back`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.functional import conv2d

from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError


class Network(nn.Module):
    """Base of every network. A subclass sets ``n_features``, calls `reset_head`, writes `forward_features`.

    The scaling of the bands is part of the weights (two buffers), so that a saved model cannot be
    used without it. So is the projection to principal components (a third) of a network that works on these.

    Attributes
    ----------
    n_bands, n_classes, patch_size : S, K, P.
    n_components, n_inputs : principal components that the layers see, or 0; channels that they see,
        S where that is 0.
    name, options : what `create_model` was called with; a checkpoint keeps them.
    n_features : channels that go into the head.
    tile : side, in pixels, of the tiles in which a dense pass over a scene is cheap in time and memory.
    """

    tile: ClassVar[int] = 64
    n_features: int
    name: str
    options: dict[str, Any]

    def __init__(self, n_bands: int, n_classes: int, patch_size: int, components: int = 0) -> None:
        super().__init__()
        if not 0 <= components <= n_bands:
            raise InputError(f"components is {components}; expected 0 (all bands as they are) to {n_bands}.")
        self.n_bands, self.n_classes, self.patch_size = n_bands, n_classes, patch_size
        self.n_components, self.n_inputs = components, components or n_bands
        self.band_mean: torch.Tensor
        self.band_scale: torch.Tensor
        self.register_buffer("band_mean", torch.zeros(n_bands))
        self.register_buffer("band_scale", torch.ones(n_bands))
        self.projection: torch.Tensor | None
        self.register_buffer("projection", torch.eye(components, n_bands) if components else None)

    def set_standardizer(self, standardizer: Standardizer) -> None:
        """Make ``standardizer`` part of the weights.

        Raises
        ------
        InputError : the standardizer has another number of principal components than the network works on.
        """
        found = 0 if standardizer.projection is None else len(standardizer.projection)
        if found != self.n_components:
            raise InputError(
                f"the network works on {self.n_components} principal components (0: on bands), the standardizer has "
                f"{found}; fit it with components={self.n_components}."
            )
        self.band_mean.copy_(torch.from_numpy(standardizer.mean))
        self.band_scale.copy_(torch.from_numpy(standardizer.scale))
        if self.projection is not None and standardizer.projection is not None:
            self.projection.copy_(torch.from_numpy(standardizer.projection))

    def standardize(self, x: torch.Tensor) -> torch.Tensor:
        """Scale raw values (N, S, H, W)."""
        return (x - self.band_mean[:, None, None]) / self.band_scale[:, None, None]

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """What the layers see of raw values (N, S, H, W): scaled and, where there is a projection, projected."""
        x = self.standardize(x)
        return x if self.projection is None else conv2d(x, self.projection[:, :, None, None])

    def reset_head(self, n_classes: int) -> None:
        """Replace the last layer by a fresh one for ``n_classes``: pre-train, then fine-tune."""
        self.n_classes = n_classes
        self.head = nn.Conv2d(self.n_features, n_classes, 1).to(self.band_mean.device)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) raw values → (N, n_features, H, W)."""
        raise TypeError(f"{type(self).__name__} defines no forward_features.")

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        """(N, n_features, H, W) → class logits (N, K, H, W)."""
        return self.head(features)

    def forward_map(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, H + P − 1, W + P − 1) raw values → logits (N, K, H, W)."""
        return self.forward_head(self.forward_features(x))

    def folded(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """`forward_map` for one (1, S, …, …) map in evaluation mode, with the weights as they are now.

        A network may return something faster that is equal to float precision. Fold anew after every change
        of the weights; it is cheap.
        """
        return self.forward_map

    def folded_views(self, orientations: Sequence[int]) -> Callable[[torch.Tensor], torch.Tensor]:
        """The same in several views: (1, S, H + P − 1, W + P − 1) → (V, K, H, W), each view laid back.

        Parameters
        ----------
        orientations : V numbers 0…7 as in `hsilib.training.augment.orient`: quarter turns, mirrored from 4 on.
        """
        forward = self.folded()

        def views(x: torch.Tensor) -> torch.Tensor:
            return torch.cat([turned_back(forward(turned(x, k)), k) for k in orientations])

        return views

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, P, P) raw patches → logits (N, K)."""
        expected = (self.n_bands, self.patch_size, self.patch_size)
        if x.shape[1:] != expected:
            raise ValueError(f"patches have shape {tuple(x.shape)}; expected (N, {', '.join(map(str, expected))}).")
        return self.forward_map(x).flatten(1)


def turned(x: torch.Tensor, orientation: int) -> torch.Tensor:
    """Turn maps (…, H, W) by 90° · (orientation mod 4), then mirror left and right from 4 on."""
    x = torch.rot90(x, orientation % 4, dims=(-2, -1))
    return x.flip(-1) if orientation >= 4 else x


def turned_back(x: torch.Tensor, orientation: int) -> torch.Tensor:
    """Undo `turned`."""
    x = x.flip(-1) if orientation >= 4 else x
    return torch.rot90(x, -(orientation % 4), dims=(-2, -1))
