"""Patches cut on the device from one padded copy of the scene. No array of all patches is ever built."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import embedding


def reflected_indices(length: int, radius: int) -> NDArray[np.int64]:
    """(length + 2 · radius,) indices that mirror an axis at its ends; good for radii beyond the length too."""
    return np.pad(np.arange(length), radius, mode="reflect" if length > 1 else "edge")


def padded_scene(cube: NDArray[np.generic], radius: int, device: torch.device) -> torch.Tensor:
    """The cube (H, W, S) with mirrored borders as float32 (H + 2 · radius, W + 2 · radius, S) on ``device``."""
    rows, cols = (torch.from_numpy(reflected_indices(n, radius)).to(device) for n in cube.shape[:2])
    values = torch.from_numpy(np.ascontiguousarray(cube, dtype=np.float32)).to(device)
    return values[rows][:, cols]


class PatchSampler:
    """Cuts patches of raw values around given pixels.

    Parameters
    ----------
    cube : (H, W, S) raw values.
    patch_size : side P of a patch, odd.
    device : where the padded scene lives and patches are cut.

    Attributes
    ----------
    band_low, band_range : (S,) each band's smallest value in the scene, and largest minus smallest.
    """

    def __init__(self, cube: NDArray[np.generic], patch_size: int, device: torch.device) -> None:
        if patch_size % 2 != 1:
            raise ValueError(f"patch_size is {patch_size}; a patch needs a centre pixel, so an odd size.")
        self.patch_size = patch_size
        self.width = cube.shape[1]
        scene = padded_scene(cube, patch_size // 2, device)
        self._padded_width = scene.shape[1]
        self._spectra = scene.reshape(-1, scene.shape[2])
        self.band_low = self._spectra.amin(dim=0)
        self.band_range = self._spectra.amax(dim=0) - self.band_low
        offsets = torch.arange(patch_size, device=device)
        self._window = offsets[:, None] * self._padded_width + offsets[None, :]

    @property
    def device(self) -> torch.device:
        """Where the patches are."""
        return self._spectra.device

    def sha256(self) -> str:
        """Hash of the padded scene: its values, its size and the patches' radius."""
        digest = hashlib.sha256(repr((tuple(self._spectra.shape), self._padded_width, self.patch_size)).encode())
        digest.update(self._spectra.cpu().numpy().tobytes())
        return digest.hexdigest()

    def __call__(self, pixels: torch.Tensor, size: int | None = None) -> torch.Tensor:
        """Patches (N, S, P, P) around ``pixels``, (N,) flat indices row · W + column on the sampler's device.

        ``size``, odd and at most P, cuts only the middle: (N, S, size, size).
        """
        margin = (self.patch_size - (size or self.patch_size)) // 2
        window = self._window[margin : self.patch_size - margin, margin : self.patch_size - margin]
        # The padded scene is shifted by the radius, so a patch's corner has its centre's coordinates.
        corners = (pixels // self.width) * self._padded_width + pixels % self.width
        # (N, P, P, S) in memory seen as (N, S, P, P) is the channels-last layout that convolutions prefer.
        return embedding(corners[:, None, None] + window, self._spectra).permute(0, 3, 1, 2)
