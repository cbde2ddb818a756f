"""Superpixels and the few principal components that they are cut on, for the methods that need them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import slic

from hsilib.data.standardize import LEAST_VARIANCE, Standardizer

COMPACTNESS = 0.1  # SLIC's weight of distance against spectral difference
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # to four of the eight neighbours; the others are the same backwards
OUTLIERS = (1, 99)  # percentiles of each channel, beyond which values are cut off


def fit_components(cube: NDArray[Any], at_most: int) -> Standardizer:
    """A `Standardizer` to the first ``at_most`` principal components of ``cube`` (H, W, S), whitened.

    Fewer where the spectra vary in fewer directions, such as bands in proportion to each other.
    """
    bands = Standardizer.fit(cube)
    spectra = (cube.reshape(-1, cube.shape[-1]) - bands.mean) / bands.scale
    available = np.linalg.matrix_rank(spectra.T @ spectra / len(spectra), tol=LEAST_VARIANCE, hermitian=True)
    return Standardizer.fit(cube, min(at_most, int(available)))


def superpixels(
    image: NDArray[np.float32], pixels_per_segment: int, compactness: float = COMPACTNESS
) -> NDArray[np.int64]:
    """(H, W) numbers from 0 of the SLIC segments of ``image`` (H, W, C), about so many pixels each.

    SLIC scales the image by its smallest and largest value. A few extreme pixels would leave the rest no contrast,
    and the segments would be squares; so each channel is clipped to its ``OUTLIERS`` first.
    """
    image = image.clip(*np.percentile(image, OUTLIERS, axis=(0, 1))).astype(np.float32)
    n_segments = max(1, image.shape[0] * image.shape[1] // pixels_per_segment)
    return slic(image, n_segments, compactness=compactness, channel_axis=-1, start_label=0, convert2lab=False)


def segment_means(values: NDArray[Any], segments: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_segments, C) mean of ``values`` (H, W, C) in each segment."""
    flat = segments.ravel()
    sums = [np.bincount(flat, channel) for channel in values.reshape(flat.size, -1).T]
    return np.column_stack(sums) / np.bincount(flat)[:, None]


def neighbours(image: NDArray[Any]) -> Iterator[tuple[float, NDArray[Any], NDArray[Any]]]:
    """For each of ``STEPS`` its length and the values of ``image`` (H, W, ...) where it starts and where it ends."""
    height, width = image.shape[:2]
    for down, right in STEPS:
        start = image[: height - down, max(0, -right) : width - max(0, right)]
        yield float(np.hypot(down, right)), start, image[down:, max(0, right) : width - max(0, -right)]
