"""`geodesic-1nn`: the nearest label along the image; a step costs more the more the spectrum changes.

No classifier: spectra decide where the way is long, never which class they look like. Geodesic distances
from labelled seeds are an old idea of image segmentation (Bai and Sapiro, A geodesic framework for fast
interactive image and video segmentation and matting, ICCV 2007); the cost, the smoothing and the choice by
cross-validation on the training pixels are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra

from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.method import Method, one_hot
from onepercent.peers.classical.cross_validation import choose_setting
from onepercent.peers.classical.superpixels import fit_components, neighbours, segment_means, superpixels


@dataclass(frozen=True)
class Geodesic1NNOptions:
    """Settings of `Geodesic1NN`: a grid, of which cross-validation on the training pixels chooses one pair.

    Attributes
    ----------
    pixels_per_segment : mean sizes of the superpixels over which spectra are averaged first; 1 leaves them as
        they are. Like the contrasts they grow by factors of about three, over all that could make sense.
    contrasts : how many pixels' length a step costs more whose spectrum changes by one standard deviation of
        the scene, in the root mean square over the bands.
    """

    pixels_per_segment: tuple[int, ...] = (1, 3, 10, 30, 100)
    contrasts: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0, 100.0)
    kind: ClassVar[str] = "geodesic-1nn, cross-validated"
    uses_spectra: ClassVar[bool] = True
    uses_validation: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.pixels_per_segment or min(self.pixels_per_segment) < 1:
            raise InputError("geodesic-1nn: pixels_per_segment needs numbers of at least 1.")
        if not self.contrasts or not all(isinstance(c, (int, float)) and c >= 0 for c in self.contrasts):
            raise InputError("geodesic-1nn: contrasts needs numbers of at least 0.")

    def build(self, device: torch.device) -> Geodesic1NN:
        """A method that is not fitted yet."""
        return Geodesic1NN(self)


class Geodesic1NN(Method):
    """Dijkstra's shortest ways from all training pixels at once on the graph of 8 neighbours (SciPy).

    A step between neighbours p and q costs ``‖p − q‖ · (1 + contrast · rms(s_p − s_q))``, s being the
    standardised and smoothed spectra. A contrast of 0 is close to `coordinates-1nn`: the nearest label by
    steps of 1 and √2.
    """

    def __init__(self, options: Geodesic1NNOptions) -> None:
        self.options = options

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        """Choose a pair of the grid, then label the scene with it from all training pixels."""
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        graphs = {
            (size, contrast): step_costs(smoothed, contrast)
            for size, smoothed in smoothed_spectra(scene, self.options.pixels_per_segment)
            for contrast in self.options.contrasts
        }

        def nearest_labels(part: Split, pair: tuple[int, float]) -> NDArray[np.int64]:
            return labels_along_ways(graphs[pair], part)

        self.chosen, self.accuracy = choose_setting(nearest_labels, graphs, split, seed)
        self._class_map = nearest_labels(split, self.chosen).reshape(scene.shape)

    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        """(H, W, K), 1 for the nearest label. Good for the scene it was fitted on only."""
        return one_hot(self._class_map, scene.n_classes)

    def details(self) -> dict[str, Any]:
        """The pair chosen and the cross-validated accuracy of each, by "pixels per segment, contrast"."""
        size, contrast = self.chosen
        return {
            "chosen": {"pixels_per_segment": size, "contrast": contrast},
            "cross_validated_accuracy": {f"{size}, {contrast:g}": a for (size, contrast), a in self.accuracy.items()},
        }


def smoothed_spectra(scene: Scene, sizes: tuple[int, ...]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """For each size, (H, W, S) standardised spectra averaged over superpixels of that size; 1 leaves them."""
    spectra = Standardizer.fit(scene.cube).apply(scene.cube)
    components = fit_components(scene.cube, 3).apply(scene.cube)
    for size in sizes:
        if size == 1:
            yield size, spectra
        else:
            segments = superpixels(components, size)
            yield size, segment_means(spectra, segments)[segments].astype(np.float32)


def labels_along_ways(graph: csr_matrix, split: Split) -> NDArray[np.int64]:
    """(H · W,) the label of the training pixel that is nearest along the graph."""
    labels = np.zeros(graph.shape[0], dtype=np.int64)
    labels[split.train] = split.train_labels
    _, _, sources = dijkstra(graph, directed=False, indices=split.train, min_only=True, return_predecessors=True)
    return labels[sources]


def step_costs(spectra: NDArray[np.float32], contrast: float) -> csr_matrix:
    """The graph of an image (H, W, S): (H · W, H · W), one entry for each pair of the eight neighbours."""
    height, width, _ = spectra.shape
    pixels = np.arange(height * width).reshape(height, width)
    costs, starts, ends = [], [], []
    for (length, here, there), (_, start, end) in zip(neighbours(spectra), neighbours(pixels), strict=True):
        change = np.sqrt(np.square(here - there).mean(axis=-1, dtype=np.float64))
        costs.append((length * (1 + contrast * change)).ravel())
        starts.append(start.ravel())
        ends.append(end.ravel())
    entries = np.concatenate(costs), (np.concatenate(starts), np.concatenate(ends))
    return coo_matrix(entries, shape=(pixels.size, pixels.size)).tocsr()
