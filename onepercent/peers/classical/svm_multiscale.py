"""`svm-multiscale`: the RBF support vector machine on means over windows and superpixels of several sizes.

What a neighbourhood adds to a spectrum, without learning any filter. Means over superpixels are those of
Fang, Li, Duan, Ren, Benediktsson (2015), Classification of hyperspectral images by exploiting
spectral-spatial information of superpixel via multiple kernels, IEEE TGRS 53(12), there of one size and with
a kernel of their own. Stacking several sizes and windows under one kernel, and the optional coordinates, are
ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.errors import InputError
from onepercent.peers.classical.superpixels import fit_components, segment_means, superpixels
from onepercent.peers.classical.svm import Svm, SvmOptions


@dataclass(frozen=True)
class SvmMultiscaleOptions(SvmOptions):
    """Settings of `SvmMultiscale`, beside those of the SVM.

    Attributes
    ----------
    n_components : whitened principal components that are averaged; the first three cut the superpixels.
    windows : sides of the windows, odd; 1 is the pixel itself.
    pixels_per_segment : mean sizes of the superpixels.
    coordinates : append each pixel's row and column, which then weigh as much as everything else together.
        Random training pixels have test pixels beside them, so that position alone goes far (`coordinates-1nn`);
        without it the method sees the image only.
    """

    n_components: int = 20
    windows: tuple[int, ...] = (1, 3, 7, 15)
    pixels_per_segment: tuple[int, ...] = (25, 50, 100, 200, 400)
    coordinates: bool = False
    kind: ClassVar[str] = "SvmMultiscaleOptions"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_components < 1 or not all(size % 2 == 1 for size in self.windows):
            raise InputError("svm-multiscale: n_components needs at least 1, windows odd numbers.")
        if not self.windows + self.pixels_per_segment or min(self.windows + self.pixels_per_segment) < 1:
            raise InputError("svm-multiscale: windows and pixels_per_segment need numbers of at least 1.")

    def build(self, device: torch.device) -> SvmMultiscale:
        """A method that is not fitted yet."""
        return SvmMultiscale(self)


class SvmMultiscale(Svm):
    """`Svm` on the components' means over every window and every superpixel that a pixel lies in."""

    options: SvmMultiscaleOptions

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Fit the principal components on the scene, then the SVM on the training pixels' means."""
        self._components = fit_components(scene.cube, self.options.n_components)
        super().fit(scene, split, generator)

    def features(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, F) the means of all components at one scale after the other, then perhaps the position."""
        image = self._components.apply(scene.cube)
        scales: list[NDArray[Any]] = [
            uniform_filter(image, (side, side, 1), mode="mirror") for side in self.options.windows
        ]
        for size in self.options.pixels_per_segment:
            segments = superpixels(image[..., :3], size)
            scales.append(segment_means(image, segments)[segments])
        features = np.concatenate(scales, axis=-1, dtype=np.float32)
        if not self.options.coordinates:
            return features
        # All features are standardised later, so what shall weigh more stands there more than once.
        position = np.moveaxis(np.indices(scene.shape, dtype=np.float32), 0, -1)
        return np.concatenate([features, np.tile(position, features.shape[-1] // 2)], axis=-1)
