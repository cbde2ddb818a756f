"""`coordinates-1nn`: the label of the nearest training pixel. No spectra at all: what geography alone gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.spatial
import torch
from numpy.typing import NDArray

from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.method import Method, one_hot


@dataclass(frozen=True)
class Coordinates1NNOptions:
    """Nothing to set."""

    kind: ClassVar[str] = "Coordinates1NNOptions"
    uses_spectra: ClassVar[bool] = False
    uses_validation: ClassVar[bool] = False

    def build(self, device: torch.device) -> Coordinates1NN:
        """A method that is not fitted yet."""
        return Coordinates1NN()


class Coordinates1NN(Method):
    """Nearest neighbour in (row, column), Euclidean."""

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Remember where the training pixels lie."""
        self._tree = scipy.spatial.KDTree(np.column_stack(np.unravel_index(split.train, scene.shape)))
        self._labels = split.train_labels

    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, K), 1 for the nearest label."""
        pixels = np.indices(scene.shape).reshape(2, -1).T
        _, nearest = self._tree.query(pixels)
        return one_hot(self._labels[nearest], scene.n_classes).reshape(*scene.shape, scene.n_classes)
