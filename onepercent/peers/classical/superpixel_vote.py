"""`superpixel-vote`: cut the scene into superpixels, let the training pixels in each one vote. No classifier.

The spectra decide only where the borders run. The size of the superpixels is chosen by
cross-validation on the training pixels.
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
from onepercent.peers.classical.cross_validation import choose_setting
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
    kind: ClassVar[str] = "superpixel-vote, cross-validated"
    uses_spectra: ClassVar[bool] = True
    uses_validation: ClassVar[bool] = False

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
        """Choose a size, the smallest of equals, then let all training pixels vote."""
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        image = fit_components(scene.cube, self.options.n_components).apply(scene.cube)
        sizes = sorted(self.options.pixels_per_segment)
        segments = {size: superpixels(image, size, self.options.compactness) for size in sizes}

        def winners(part: Split, size: int) -> NDArray[np.int64]:
            return vote(segments[size], part, scene.n_classes)

        self.chosen_size, self.accuracy = choose_setting(winners, sizes, split, seed)
        self._class_map = winners(split, self.chosen_size)

    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, K), 1 for the superpixel's label. Good for the scene it was fitted on only."""
        return one_hot(self._class_map, scene.n_classes)

    def details(self) -> dict[str, Any]:
        """The size chosen and each size's cross-validated accuracy."""
        return {"chosen_pixels_per_segment": self.chosen_size, "cross_validated_accuracy": self.accuracy}


def vote(segments: NDArray[np.int64], split: Split, n_classes: int) -> NDArray[np.int64]:
    """(H, W) the label that most training pixels of each superpixel have; without any, of the one nearest to it."""
    votes = np.zeros((segments.max() + 1, n_classes), dtype=np.int64)
    np.add.at(votes, (segments.ravel()[split.train], split.train_labels - 1), 1)
    centres = segment_means(np.moveaxis(np.indices(segments.shape), 0, -1), segments)
    tree = scipy.spatial.KDTree(np.column_stack(np.unravel_index(split.train, segments.shape)))
    _, nearest = tree.query(centres)
    return np.where(votes.sum(axis=1) > 0, votes.argmax(axis=1) + 1, split.train_labels[nearest])[segments]
