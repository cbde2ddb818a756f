"""`Scene`: a hyperspectral cube with its ground truth, checked once, at the door."""

from __future__ import annotations

import hashlib
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
        check_cube(self.name, self.cube)
        check_ground_truth(self.name, self.ground_truth, len(self.class_names))
        if self.cube.shape[:2] != self.ground_truth.shape:
            raise InputError(
                f"scene {self.name!r}: the cube has {self.cube.shape[0]} × {self.cube.shape[1]} pixels but the "
                f"ground truth {' × '.join(map(str, self.ground_truth.shape))}; they must cover the same area."
            )
        if self.wavelengths_nm is not None and len(self.wavelengths_nm) != self.n_bands:
            raise InputError(
                f"scene {self.name!r}: {len(self.wavelengths_nm)} wavelengths for {self.n_bands} bands; one each."
            )

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
        blank = object.__new__(Scene)
        for name in self.__dataclass_fields__:
            object.__setattr__(blank, name, getattr(self, name))
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
        arrays: dict[str, NDArray[np.generic]] = {
            "cube": self.cube,
            "ground_truth": self.ground_truth,
            "class_names": np.array(self.class_names),
        }
        if self.wavelengths_nm is not None:
            arrays["wavelengths_nm"] = self.wavelengths_nm
        if self.transform is not None:
            arrays["transform"] = np.array(self.transform)
        arrays |= {name: np.array(text) for name, text in (("crs", self.crs), ("note", self.note)) if text}
        with write_atomically(path) as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
        return path


def check_cube(name: str, cube: NDArray[np.generic]) -> None:
    """Raise `InputError` unless ``cube`` is (H, W, S), numeric, finite and without constant bands."""
    if cube.ndim != 3 or min(cube.shape[:2]) < 1:
        raise InputError(f"scene {name!r}: the cube has shape {cube.shape}; expected (rows, columns, bands).")
    if not np.issubdtype(cube.dtype, np.number) or np.iscomplexobj(cube):
        raise InputError(f"scene {name!r}: the cube holds {cube.dtype}; expected real numbers.")
    if np.issubdtype(cube.dtype, np.floating):
        bad = ~np.isfinite(cube)
        if bad.any():
            bands = np.flatnonzero(bad.any(axis=(0, 1)))
            raise InputError(
                f"scene {name!r}: {int(bad.sum())} values are NaN or infinite, in {listed('band', bands)} "
                f"(counted from 0); fill them or remove those bands before loading."
            )
    if cube.shape[0] * cube.shape[1] > 1:
        constant = np.flatnonzero((cube == cube[:1, :1]).all(axis=(0, 1)))
        if constant.size:
            raise InputError(
                f"scene {name!r}: {listed('band', constant)} (counted from 0) hold one value everywhere and carry "
                f"no information; remove them, for example with np.delete(cube, {constant.tolist()[:8]}, axis=2)."
            )


def check_ground_truth(name: str, ground_truth: NDArray[np.integer], n_classes: int) -> None:
    """Raise `InputError` unless ``ground_truth`` is (H, W) with labels 0…K and every class present."""
    if ground_truth.ndim != 2 or not np.issubdtype(ground_truth.dtype, np.integer):
        raise InputError(
            f"scene {name!r}: the ground truth has shape {ground_truth.shape} and type {ground_truth.dtype}; "
            f"expected integers in (rows, columns)."
        )
    if n_classes > 255:
        raise InputError(f"scene {name!r}: {n_classes} classes; a ground truth holds at most 255.")
    labels = np.unique(ground_truth)
    labels = labels[labels != 0]
    if not np.array_equal(labels, np.arange(1, n_classes + 1)):
        raise InputError(
            f"scene {name!r}: the ground truth holds the labels {listed('', labels).strip()}; expected 0 for "
            f"unlabelled and every label from 1 to {n_classes}. Renumber them with "
            f"hsilib.renumber_labels(ground_truth), which returns the map and the old labels."
        )


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
    shown = ", ".join(str(int(n)) for n in numbers[:at_most]) + (" …" if len(numbers) > at_most else "")
    plural = f"{word}s" if word and len(numbers) != 1 else word
    return f"{plural} {shown}"
