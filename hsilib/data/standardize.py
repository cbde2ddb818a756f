"""`Standardizer`: the one place where raw sensor values are scaled and, if asked for, projected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsilib.errors import InputError

LEAST_VARIANCE = 1e-10  # of a principal component, in units of one standardised band; below it is rounding


@dataclass(frozen=True, eq=False)
class Standardizer:
    """Zero mean and unit variance per band, fitted on a declared set of pixels; then, perhaps, principal components.

    Attributes
    ----------
    mean, scale : (S,) float64, in the cube's own units.
    fitted_on : which pixels, in words.
    projection : (k, S) float64 that takes standardised spectra to their first k principal components; None leaves
        the bands as they are.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    fitted_on: str
    projection: NDArray[np.float64] | None = None

    @classmethod
    def fit(cls, cube: NDArray[np.generic], components: int = 0, whiten: bool = True) -> Standardizer:
        """Fit on every pixel of ``cube`` (H, W, S): unlabelled pixels may be used, the setting is transductive.

        Parameters
        ----------
        components : k, how many principal components to keep; 0 keeps the bands.
        whiten : give each component unit variance. Without it the projection is a rotation, and all S components
            hold what the bands hold, distances between spectra included.

        Raises
        ------
        InputError : more components than the pixels have.
        """
        spectra = cube.reshape(-1, cube.shape[-1])
        deviation = spectra.std(axis=0, dtype=np.float64)
        mean, scale = spectra.mean(axis=0, dtype=np.float64), np.where(deviation > 0, deviation, 1.0)
        projection = principal_components((spectra - mean) / scale, components, whiten) if components else None
        return cls(mean, scale, "all pixels of the scene", projection)

    def apply(self, spectra: NDArray[Any]) -> NDArray[np.float32]:
        """Scale (…, S) raw values and project them, if there is a projection; returns float32, (…, S) or (…, k)."""
        scaled = (spectra - self.mean) / self.scale
        return (scaled if self.projection is None else scaled @ self.projection.T).astype(np.float32)


def principal_components(spectra: NDArray[np.float64], k: int, whiten: bool) -> NDArray[np.float64]:
    """(k, S) rows that project centred ``spectra`` (N, S) to their k directions of largest variance.

    Each direction's sign is such that its largest weight is positive, so that it does not depend on the solver.

    Raises
    ------
    InputError : k is more than the number of directions in which the spectra vary.
    """
    variances, axes = np.linalg.eigh(spectra.T @ spectra / len(spectra))
    variances, axes = variances[::-1], axes[:, ::-1].T
    at_most = int((variances > LEAST_VARIANCE).sum())
    if not 1 <= k <= at_most:
        raise InputError(f"components is {k}; this scene has 1 to {at_most} principal components.")
    axes, variances = axes[:k], variances[:k]
    signs = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=1, keepdims=True), axis=1))
    return signs * axes / (np.sqrt(variances)[:, None] if whiten else 1.0)
