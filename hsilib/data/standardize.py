"""`Standardizer`: the one place where raw sensor values are scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Zero mean and unit variance per band, fitted on a declared set of pixels.

    Attributes
    ----------
    mean, scale : (S,) float64, in the cube's own units.
    fitted_on : which pixels, in words.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    fitted_on: str

    @classmethod
    def fit(cls, cube: NDArray[np.generic]) -> Standardizer:
        """Fit on every pixel of ``cube`` (H, W, S): unlabelled pixels may be used, the setting is transductive."""
        spectra = cube.reshape(-1, cube.shape[-1])
        scale = spectra.std(axis=0, dtype=np.float64)
        return cls(spectra.mean(axis=0, dtype=np.float64), np.where(scale > 0, scale, 1.0), "all pixels of the scene")

    def apply(self, spectra: NDArray[Any]) -> NDArray[np.float32]:
        """Scale (…, S) raw values; returns float32."""
        return ((spectra - self.mean) / self.scale).astype(np.float32)
