"""`superpixel-vote`: cut the scene into superpixels, let the training pixels in each one vote. No classifier.

The spectra decide only where the borders run. The size of the superpixels is chosen on validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.spatial
import torch
from numpy.typing import NDArray

from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.errors import InputError
from hsilib.method import Method, one_hot
from onepercent.peers.classical.superpixels import COMPACTNESS, fit_components, segment_means, superpixels


@dataclass(frozen=True)
class SuperpixelVoteOptions:
    """Settings of `SuperpixelVote`.

    Attributes
    ----------
    pixels_per_segment : mean sizes to choose from, in pixels.
    n_components : principal components that the segmentation sees.
    compactness : SLIC's weight of distance against spectral difference, for components scaled to unit variance.
    """

    pixels_per_segment: tuple[int, ...] = (25, 50, 100, 200, 400)
    n_components: int = 3
    compactness: float = COMPACTNESS
    kind: ClassVar[str] = "SuperpixelVoteOptions"
    uses_spectra: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.pixels_per_segment or min(self.pixels_per_segment) < 1 or self.n_components < 1:
            raise InputError("superpixel-vote: pixels_per_segment and n_components need numbers of at least 1.")

    def build(self, device: torch.device) -> SuperpixelVote:
        """A method that is not fitted yet."""
        return SuperpixelVote(self)


class SuperpixelVote(Method):
    """SLIC on principal components (scikit-image), majority of the training labels in each superpixel.

    A superpixel without a training pixel takes the label of the training pixel nearest to its centre.
    """

    def __init__(self, options: SuperpixelVoteOptions) -> None:
        self.options = options

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Try every size; keep the one most right on the validation pixels, the smallest of equals."""
        image = fit_components(scene.cube, self.options.n_components).apply(scene.cube)
        self.validation_accuracy: dict[int, float] = {}
        best = -1.0
        for size in sorted(self.options.pixels_per_segment):
            class_map = self._vote(image, scene, split, size)
            right = class_map.ravel()[split.val] == split.val_labels
            accuracy = float(right.mean()) if right.size else 0.0
            self.validation_accuracy[size] = accuracy
            if accuracy > best:
                best, self.chosen_size, self._class_map = accuracy, size, class_map

    def _vote(self, image: NDArray[np.float32], scene: Scene, split: Split, size: int) -> NDArray[np.int64]:
        segments = superpixels(image, size, self.options.compactness)
        votes = np.zeros((segments.max() + 1, scene.n_classes), dtype=np.int64)
        np.add.at(votes, (segments.ravel()[split.train], split.train_labels - 1), 1)
        winner = votes.argmax(axis=1) + 1
        centres = segment_means(np.moveaxis(np.indices(scene.shape), 0, -1), segments)
        tree = scipy.spatial.KDTree(np.column_stack(np.unravel_index(split.train, scene.shape)))
        _, nearest = tree.query(centres)
        return np.where(votes.sum(axis=1) > 0, winner, split.train_labels[nearest])[segments]

    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, K), 1 for the superpixel's label. Good for the scene it was fitted on only."""
        return one_hot(self._class_map, scene.n_classes)

    def details(self) -> dict[str, Any]:
        """The size chosen and each size's validation accuracy."""
        return {"chosen_pixels_per_segment": self.chosen_size, "validation_accuracy": self.validation_accuracy}
