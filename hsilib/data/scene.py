"""`Scene`: a hyperspectral cube with its ground truth, checked once, at the door."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsilib.errors import InputError
from hsilib.files import write_atomically


@dataclass(frozen=True, eq=False)
class Scene:
    """A cube and its ground truth. H rows, W columns, S bands, K classes.

    Attributes
    ----------
    name : what the scene is called in records.
    cube : (H, W, S), raw sensor values as read from the file; finite, no constant band. S is 0
        where only the ground truth was loaded.
    ground_truth : (H, W) integers, 0 = unlabelled, 1…K = classes, each of them present.
    class_names : K names, the first belongs to label 1.
    wavelengths_nm : (S,) band centres in nanometres, or None where they are not known.
    crs, transform : georeferencing (WKT or EPSG text; six affine coefficients), or None.
    note : one line that a reader of this scene should see, such as known damage.

    Raises
    ------
    InputError : shapes that do not fit, NaN or infinite values, constant bands, labels that are
        not consecutive.
    """

    name: str
    cube: NDArray[np.generic]
    ground_truth: NDArray[np.integer]
    class_names: tuple[str, ...]
    wavelengths_nm: NDArray[np.float64] | None = None
    crs: str | None = None
    transform: tuple[float, ...] | None = None
    note: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        problem = next(self._problems(), None)
        if problem:
            raise InputError(f"scene {self.name!r}: {problem}")

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.cube.shape[0], self.cube.shape[1]

    @property
    def n_bands(self) -> int:
        """S, the number of bands."""
        return self.cube.shape[2]

    @property
    def n_classes(self) -> int:
        """K, the number of classes."""
        return len(self.class_names)

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """(K,) labelled pixels of each class."""
        return np.bincount(self.ground_truth.ravel(), minlength=self.n_classes + 1)[1:]

    def sha256(self) -> str:
        """Hash of the values (shape, type and bytes of cube and ground truth), whatever file they came from."""
        digest = hashlib.sha256()
        for array in (self.cube, self.ground_truth.astype(np.uint8)):
            little_endian = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
            digest.update(f"{little_endian.dtype.str}{little_endian.shape}".encode())
            digest.update(little_endian.data)
        return digest.hexdigest()

    def without_ground_truth(self) -> Scene:
        """The same scene with every label removed: what a method is given to train on."""
        blank = copy(self)  # not `replace`, whose check wants every class present
        object.__setattr__(blank, "ground_truth", np.zeros_like(self.ground_truth))
        return blank

    def with_cube(self, cube: NDArray[np.generic], name: str | None = None, note: str | None = None) -> Scene:
        """The same scene with other sensor values of the same shape."""
        return replace(self, cube=cube, name=name or self.name, note=self.note if note is None else note)

    def save(self, path: str | Path) -> Path:
        """Write the scene to one ``.npz`` file that `load_scene` reads back. Nothing is left half-written.

        Raises
        ------
        InputError : the file name does not end in ``.npz`` or the folder cannot be written.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise InputError(f"{path}: scenes are saved as .npz; choose a name that ends so.")
        names = ("cube", "ground_truth", "class_names", "wavelengths_nm", "transform", "crs", "note")
        values = {name: getattr(self, name) for name in names}
        arrays = {name: np.asarray(value) for name, value in values.items() if value is not None}
        with write_atomically(path) as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
        return path

    def _problems(self) -> Iterator[str]:
        """Sentences about what is wrong. The first is what counts: each check relies on those before it."""
        cube, labels, n_classes = self.cube, self.ground_truth, self.n_classes
        if cube.ndim != 3 or min(cube.shape[:2]) < 1:
            yield f"the cube has shape {cube.shape}; expected (rows, columns, bands)."
        if not np.issubdtype(cube.dtype, np.number) or np.iscomplexobj(cube):
            yield f"the cube holds {cube.dtype}; expected real numbers."
        bad = ~np.isfinite(cube)
        if bad.any():
            bands = listed("band", np.flatnonzero(bad.any(axis=(0, 1))))
            yield f"{bad.sum()} values are NaN or infinite, in {bands} (counted from 0); fill them or remove the bands."
        constant = np.flatnonzero((cube == cube[:1, :1]).all(axis=(0, 1)))
        if constant.size and cube.shape[:2] != (1, 1):
            yield (
                f"{listed('band', constant)} (counted from 0) hold one value everywhere and carry no information; "
                f"remove them, for example with np.delete(cube, {constant.tolist()[:8]}, axis=2)."
            )
        if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
            shown = f"shape {labels.shape} and type {labels.dtype}"
            yield f"the ground truth has {shown}; expected integers in (rows, columns)."
        if n_classes > 255:
            yield f"{n_classes} classes; a ground truth holds at most 255."
        found = np.setdiff1d(labels, 0)
        if not np.array_equal(found, np.arange(1, n_classes + 1)):
            yield (
                f"the ground truth holds the {listed('label', found)}; expected 0 for unlabelled and every label "
                f"from 1 to {n_classes}. Renumber them with hsilib.renumber_labels(ground_truth)."
            )
        if self.shape != labels.shape:
            pixels, labelled = (" × ".join(map(str, size)) for size in (self.shape, labels.shape))
            yield f"the cube has {pixels} pixels but the ground truth {labelled}; they must cover the same area."
        if self.wavelengths_nm is not None and len(self.wavelengths_nm) != self.n_bands:
            yield f"{len(self.wavelengths_nm)} wavelengths for {self.n_bands} bands; one each."


def renumber_labels(
    ground_truth: NDArray[np.integer], label_values: tuple[int, ...] | None = None
) -> tuple[NDArray[np.uint8], tuple[int, ...]]:
    """Give labels such as 1, 10…14 (Salinas-A) the consecutive numbers 1…K; 0 stays 0.

    Parameters
    ----------
    ground_truth : (H, W) integers.
    label_values : the labels to keep, in the order of their new numbers; every label but 0, in
        rising order, where None.

    Returns
    -------
    The renumbered map, (H, W) uint8, and the old labels in the order of their new numbers.
    Labels that are not in ``label_values`` become 0.
    """
    if label_values is None:
        label_values = tuple(int(v) for v in np.unique(ground_truth) if v != 0)
    if len(label_values) > 255:
        raise InputError(f"{len(label_values)} different labels; a ground truth holds at most 255 classes.")
    renumbered = np.zeros(ground_truth.shape, dtype=np.uint8)
    for new, old in enumerate(label_values, start=1):
        renumbered[ground_truth == old] = new
    return renumbered, label_values


def listed(word: str, numbers: NDArray[np.integer], at_most: int = 12) -> str:
    """'bands 1, 2, 3 …' for messages."""
    shown = ", ".join(map(str, numbers[:at_most].tolist())) + (" …" if len(numbers) > at_most else "")
    return f"{word}{'' if len(numbers) == 1 else 's'} {shown}"
