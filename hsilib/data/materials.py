"""Reflectance of named materials as smooth functions of wavelength, and endmembers made of them."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from hsilib.checks import check_numbers

Triples = tuple[tuple[float, float, float], ...]
LEAF_WATER: Triples = ((970, 32, -0.07), (1190, 45, -0.14), (1450, 60, -0.5), (1940, 75, -0.6))
# name: reflectance in the blue; steps (centre nm, width nm, change of reflectance), the red edge among
# them; bands (centre nm, width nm, relative change), negative where something absorbs.
MATERIALS: dict[str, tuple[float, Triples, Triples]] = {
    "asphalt": (0.085, ((600, 140, 0.05), (1500, 300, 0.05)), ((2310, 35, -0.06),)),
    "meadow": (0.04, ((716, 13, 0.36), (1600, 150, -0.2)), ((550, 32, 0.9), (670, 28, -0.25), *LEAF_WATER)),
    "gravel": (0.13, ((500, 70, 0.08), (720, 110, 0.06), (1100, 250, 0.05)), ((1920, 50, -0.1), (2340, 40, -0.12))),
    "trees": (0.028, ((719, 14, 0.3), (1600, 150, -0.2)), ((550, 30, 0.7), (670, 28, -0.3), *LEAF_WATER)),
    "painted metal": (0.33, ((470, 40, 0.12), (1000, 200, 0.06)), ((690, 70, -0.1), (840, 60, -0.12))),
    "bare soil": (0.055, ((570, 60, 0.1), (760, 120, 0.1), (1150, 250, 0.1)), ((1915, 55, -0.2), (2205, 35, -0.12))),
    "bitumen": (0.075, ((650, 200, 0.03), (1600, 350, 0.06)), ((1720, 35, -0.06), (2310, 40, -0.12))),
    "self-blocking bricks": (0.115, ((560, 60, 0.09), (780, 110, 0.06)), ((870, 60, -0.06), (1920, 50, -0.1))),
    "shadow": (0.045, ((510, 60, -0.018), (725, 20, 0.012)), ((970, 40, -0.05),)),
    "clear water": (0.055, ((590, 45, -0.03), (725, 25, -0.016)), ((500, 50, 0.2),)),
    "dry vegetation": (0.07, ((610, 80, 0.14), (850, 180, 0.14)), ((1940, 65, -0.25), (2100, 50, -0.2))),
    "concrete": (0.21, ((520, 80, 0.08), (800, 180, 0.05)), ((1410, 40, -0.05), (1920, 50, -0.15), (2340, 40, -0.06))),
    "red tiles": (0.055, ((590, 24, 0.18), (760, 80, 0.08)), ((870, 60, -0.12), (1920, 50, -0.08), (2205, 35, -0.05))),
    "sand": (0.15, ((520, 70, 0.16), (800, 180, 0.12)), ((1410, 40, -0.08), (1930, 55, -0.15), (2205, 35, -0.06))),
}
MAX_CLASSES = len(MATERIALS) + comb(len(MATERIALS), 2)


def endmembers(wavelengths_nm: NDArray[np.float64], n_classes: int) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Pure spectra and the names of their materials.

    Classes beyond the list `MATERIALS` are even mixtures of two of its materials.

    Parameters
    ----------
    wavelengths_nm : (S,) band centres, 350…2500.
    n_classes : K, 1…105.

    Returns
    -------
    (K, S) reflectance in 0…1, and K names.

    Raises
    ------
    InputError : more classes than materials and pairs of materials.
    """
    check_numbers("endmembers: ", least=1, most=MAX_CLASSES, whole=True, n_classes=n_classes)
    wavelengths = np.asarray(wavelengths_nm, dtype=np.float64)
    spectra: dict[str, NDArray[np.float64]] = {}
    for name, (blue, steps, bands) in MATERIALS.items():
        spectrum = np.full(wavelengths.shape, blue)
        for centre, width, change in steps:
            spectrum += change / (1 + np.exp(-(wavelengths - centre) / width))
        for centre, width, change in bands:
            spectrum *= 1 + change * np.exp(-0.5 * ((wavelengths - centre) / width) ** 2)
        spectra[name] = spectrum
    for first, second in combinations(MATERIALS, 2):
        spectra[f"{first} and {second}"] = (spectra[first] + spectra[second]) / 2
    names = tuple(spectra)[:n_classes]
    return np.stack([spectra[name] for name in names]), names
