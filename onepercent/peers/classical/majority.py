"""`majority`: every pixel gets the class that most training pixels have. Anything must beat it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.method import Method, one_hot


@dataclass(frozen=True)
class MajorityOptions:
    """Nothing to set."""

    kind: ClassVar[str] = "majority"
    uses_spectra: ClassVar[bool] = False
    uses_validation: ClassVar[bool] = False

    def build(self, device: torch.device) -> Majority:
        """A method that is not fitted yet."""
        return Majority()


class Majority(Method):
    """The most frequent training label, the first of equals."""

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Count the labels."""
        self._label = int(np.bincount(split.train_labels).argmax())

    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, K), 1 for that label."""
        return one_hot(np.full(scene.shape, self._label), scene.n_classes)
