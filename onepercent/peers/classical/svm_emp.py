"""`svm-emp`: the RBF support vector machine on extended morphological profiles.

Reference: Benediktsson, Palmason, Sveinsson (2005), Classification of hyperspectral data from urban areas
based on extended morphological profiles, IEEE TGRS 43(3), doi:10.1109/TGRS.2004.842478.

A profile of one principal component is the component itself with its openings and closings by
reconstruction under growing discs: shapes smaller than the disc disappear, the others keep their outline.
The extended profile stacks those of a few components.

Deviations: the paper classifies with a neural network after feature extraction; the SVM of `svm` takes its
place, as has been usual since. The paper keeps the components that hold a share of the variance; here their
number is fixed. Bands are standardised before the components are computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.morphology import dilation, disk, erosion, reconstruction

from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.errors import InputError
from onepercent.peers.classical.superpixels import fit_components
from onepercent.peers.classical.svm import Svm, SvmOptions


@dataclass(frozen=True)
class SvmEmpOptions(SvmOptions):
    """Settings of `SvmEmp`, beside those of the SVM.

    Attributes
    ----------
    n_components : principal components that get a profile.
    radii : of the discs, in pixels; each gives an opening and a closing.
    """

    n_components: int = 4
    radii: tuple[int, ...] = (2, 4, 6, 8)
    kind: ClassVar[str] = "SvmEmpOptions"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_components < 1 or not self.radii or min(self.radii) < 1:
            raise InputError("svm-emp: n_components and radii need numbers of at least 1.")

    def build(self, device: torch.device) -> SvmEmp:
        """A method that is not fitted yet."""
        return SvmEmp(self)


class SvmEmp(Svm):
    """`Svm` on ``n_components · (2 · len(radii) + 1)`` features a pixel."""

    options: SvmEmpOptions

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Fit the principal components on the scene, then the SVM on the training pixels' profiles."""
        self._components = fit_components(scene.cube, self.options.n_components)
        super().fit(scene, split, generator)

    def features(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, F) the profiles of all components, one after the other."""
        image = self._components.apply(scene.cube)
        profiles = [morphological_profile(component, self.options.radii) for component in np.moveaxis(image, -1, 0)]
        return np.concatenate(profiles, axis=-1)


def morphological_profile(image: NDArray[np.float32], radii: tuple[int, ...]) -> NDArray[np.float32]:
    """(H, W) → (H, W, 2 · len(radii) + 1): closings from the largest disc, the image, openings to the largest."""
    closings = [reconstruction(dilation(image, disk(r)), image, method="erosion") for r in reversed(radii)]
    openings = [reconstruction(erosion(image, disk(r)), image, method="dilation") for r in radii]
    return np.stack([*closings, image, *openings], axis=-1).astype(np.float32)
