"""What every network has in common: standardisation at the entry, a head that can be replaced."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import conv2d

from hsilib.checks import is_whole
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError


class Network(nn.Module):
    """Base of every network. A subclass sets ``n_features``, calls `reset_head`, writes `forward_features`.

    The scaling of the bands is part of the weights (two buffers), so that a saved model cannot be
    used without it. So is the projection to principal components (a third) of a network that works on these.

    Parameters
    ----------
    n_bands, n_classes : S and K.
    patch_size : P, odd, at least ``least_patch``.
    components : principal components that the layers see; 0 gives them all bands.

    Attributes
    ----------
    name : what the network is registered under.
    least_patch, least_inputs : the smallest patch and the fewest inputs that the layers take.
    takes_patches : whether it is trained on patches, as `hsilib.training.fit` does, or on whole images.
    tile : side, in pixels, of the tiles in which a dense pass over a scene is cheap in time and memory.
    options : the arguments it was built with, beside ``n_bands`` and ``n_classes``; a model file keeps them.
    n_components, n_inputs : principal components that the layers see, or 0; channels that they see,
        S where that is 0.
    n_features : channels that go into the head.

    Raises
    ------
    InputError : an argument out of its range.
    """

    name: ClassVar[str]
    least_patch: ClassVar[int] = 1
    least_inputs: ClassVar[int] = 1
    takes_patches: ClassVar[bool] = True
    tile: ClassVar[int] = 64
    options: dict[str, Any]
    n_features: int

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        """Keep the arguments, however the network is built. (A copy is made without any, and takes them over.)"""
        network = super().__new__(cls)
        if arguments or named:
            given = inspect.signature(cls.__init__).bind(network, *arguments, **named).arguments
            network.options = {k: v for k, v in given.items() if k not in ("self", "n_bands", "n_classes")}
        return network

    def __init__(self, n_bands: int, n_classes: int, patch_size: int, components: int = 0) -> None:
        super().__init__()
        if not 0 <= components <= n_bands:
            raise InputError(f"components is {components}; expected 0 (all bands as they are) to {n_bands}.")
        if not is_whole(patch_size) or patch_size < self.least_patch or patch_size % 2 == 0:
            raise InputError(f"patch_size is {patch_size}; expected an odd number of at least {self.least_patch}.")
        self.n_bands, self.n_classes, self.patch_size = n_bands, n_classes, patch_size
        self.n_components, self.n_inputs = components, components or n_bands
        self.require_inputs(self.least_inputs)
        self.band_mean: torch.Tensor
        self.band_scale: torch.Tensor
        self.register_buffer("band_mean", torch.zeros(n_bands))
        self.register_buffer("band_scale", torch.ones(n_bands))
        self.projection: torch.Tensor | None
        self.register_buffer("projection", torch.eye(components, n_bands) if components else None)

    def require_inputs(self, least: int) -> None:
        """Complain about fewer bands or components than the layers need.

        Raises
        ------
        InputError : fewer than ``least``.
        """
        if self.n_inputs < least:
            raise InputError(f"{self.name} gets {self.n_inputs} bands or components; it needs at least {least}.")

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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, S, P, P) raw patches → logits (N, K)."""
        expected = (self.n_bands, self.patch_size, self.patch_size)
        if x.shape[1:] != expected:
            raise ValueError(f"patches have shape {tuple(x.shape)}; expected (N, {', '.join(map(str, expected))}).")
        return self.forward_map(x).flatten(1)


def smallest_patch(model: Network) -> int:
    """The smallest patch that the same weights serve; the network's own, where they serve no smaller one."""

    def shapes(patch_size: int) -> dict[str, torch.Size]:
        with torch.random.fork_rng(devices=[]):
            other = type(model)(model.n_bands, model.n_classes, **{**model.options, "patch_size": patch_size})
        return {name: value.shape for name, value in other.state_dict().items()}

    own, smallest = shapes(model.patch_size), model.patch_size
    for patch_size in range(model.patch_size - 2, 0, -2):
        try:
            if shapes(patch_size) != own:
                break
        except InputError:
            break
        smallest = patch_size
    return smallest


def call_with(tensors: Mapping[str, torch.Tensor], module: nn.Module, method: str, *arguments: torch.Tensor) -> Any:
    """What ``module.method(*arguments)`` returns where ``tensors`` stand for its parameters and buffers.

    Parameters
    ----------
    tensors : by the names of the module's ``state_dict``; what is not among them stays the module's own. A buffer
        that the method changes in place, such as a BatchNorm's statistics, is changed in ``tensors``.
    """
    return functional_call(_Method(module, method), {f"module.{k}": tensor for k, tensor in tensors.items()}, arguments)


class _Method(nn.Module):
    """A method of a module as a module, which is all that `functional_call` can call."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module, self.method = module, method

    def forward(self, *arguments: torch.Tensor) -> Any:
        return getattr(self.module, self.method)(*arguments)
