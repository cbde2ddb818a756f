"""`random-forest`: bagged decision trees on single spectra.

Reference: Ham, Chen, Crawford, Ghosh (2005), Investigation of the random forest framework for
classification of hyperspectral data, doi:10.1109/TGRS.2004.842481.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from hsilib.checks import check_numbers
from onepercent.peers.classical.spectrum_classifier import SpectrumClassifier


@dataclass(frozen=True)
class RandomForestOptions:
    """Settings of `RandomForest`: how many trees."""

    trees: int = 500
    kind: ClassVar[str] = "RandomForestOptions"
    uses_spectra: ClassVar[bool] = True
    uses_validation: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_numbers("random-forest: ", least=1, whole=True, trees=self.trees)

    def build(self, device: torch.device) -> RandomForest:
        """A method that is not fitted yet."""
        return RandomForest(self)


class RandomForest(SpectrumClassifier):
    """scikit-learn's forest with its defaults: √S bands at a split, trees grown to the end."""

    options: RandomForestOptions

    def estimator(self, train_labels: NDArray[np.int64], seed: int) -> Any:
        """The forest. Two jobs: enough on the machines this is meant for, and the same trees for any number."""
        return RandomForestClassifier(self.options.trees, random_state=seed, n_jobs=2)
