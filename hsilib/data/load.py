"""`load_scene`: from a name to a checked `Scene`.

Looks in this order: the folder that ``HSILIB_DATA`` names, the cache of earlier downloads, the copy
that an installed package carries, the network.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from hsilib.data.catalog import CatalogEntry, SceneFile, catalog
from hsilib.data.patch_folder import load_patch_folder
from hsilib.data.readers import READERS, Array, array_names, read_array
from hsilib.data.repair import repair_scene
from hsilib.data.scene import Scene, renumber_labels
from hsilib.data.store import fetch_file, find_file, local_copy
from hsilib.data.synthetic import PRESETS, generate_scene
from hsilib.errors import InputError, unknown_name

GENERATED = {f"synthetic-{name}": options for name, options in PRESETS.items()}
MADE: dict[str, Callable[[], Scene]] = {}  # scenes that other packages make, see `register_scene`


def register_scene(name: str, make: Callable[[], Scene]) -> None:
    """Let `load_scene` know a scene that ``make`` builds when it is asked for.

    Raises
    ------
    ValueError : there is a scene of that name.
    """
    if name in scene_names():
        raise ValueError(f"there are two scenes called {name}.")
    MADE[name] = make


def scene_names() -> list[str]:
    """Every name that `load_scene` knows: published scenes, generated ones, registered ones."""
    return [*catalog(), *GENERATED, *MADE]


def load_scene(name: str, with_cube: bool = True) -> Scene:
    """Load a scene by its catalogue name, or your own from files.

    Parameters
    ----------
    name : a name of `scene_names`; or the path of an ``.npz`` file with the arrays ``cube`` and
        ``ground_truth`` (as `Scene.save` writes it); or two paths ``CUBE,GROUND_TRUTH``, each
        with the array's name behind a colon where the file holds several:
        ``cube.mat:data,labels.mat:gt``; or a folder of labelled patches, see `load_patch_folder`.
    with_cube : False loads the ground truth alone, as a scene of zero bands: enough for rules
        that use no spectra, and often at hand where the cube is not.

    Raises
    ------
    InputError : an unknown name, a scene that is neither at hand nor downloadable, a file whose
        hash or shape is wrong, values that `Scene` does not accept.
    """
    if name in GENERATED:
        return generate_scene(GENERATED[name], name=name)
    if name in MADE:
        return MADE[name]()
    if name in catalog():
        return _load_published(catalog()[name], with_cube)
    if Path(name).is_dir():
        return load_patch_folder(name)
    if "," in name or Path(name).suffix.lower() in READERS:
        return _load_own(name)
    raise unknown_name("scene", name, scene_names())


def _load_published(entry: CatalogEntry, with_cube: bool) -> Scene:
    ground_truth, _ = renumber_labels(
        _published_array(entry, entry.ground_truth, 2),
        entry.label_values or tuple(range(1, len(entry.class_names) + 1)),
    )
    if with_cube:
        cube = _published_array(entry, entry.cube, 3)
        if entry.damage:
            _tell_once(f"{entry.name} is {entry.damage}.")
        if cube.shape != entry.shape:
            raise InputError(f"scene {entry.name!r}: the cube has shape {cube.shape}; expected {entry.shape}.")
    else:
        cube = np.zeros((*ground_truth.shape, 0), dtype=np.uint8)
    scene = Scene(
        name=entry.repaired_from or entry.name,
        cube=cube,
        ground_truth=ground_truth,
        class_names=entry.class_names,
        wavelengths_nm=entry.band_centres_nm() if with_cube else None,
        note=entry.damage,
    )
    return repair_scene(scene) if entry.repaired_from and with_cube else replace(scene, name=entry.name)


@cache
def _tell_once(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def _published_array(entry: CatalogEntry, file: SceneFile, ndim: int) -> Array:
    path = find_file(file)
    if not entry.embedded:
        return read_array(path or fetch_file(file, entry), file.key, ndim)
    embedded = _embedded_array("Indian_pines_corrected.npy" if ndim == 3 else "Indian_pines_gt.npy", ndim)
    if path is not None and not np.array_equal(read_array(path, file.key, ndim), embedded):
        raise InputError(
            f"{path}: its values are not those that the {entry.embedded} package carries for {entry.name!r}; "
            f"two editions of one scene must not be mixed up: remove one."
        )
    return embedded


@cache
def _embedded_array(file_name: str, ndim: int) -> Array:
    """Indian Pines as the tensorly package carries it: (145, 145, 200) uint16 and (145, 145)."""
    with resources.as_file(resources.files("tensorly.datasets") / "data" / file_name) as path:
        array = read_array(path, ndim=ndim)
    array.flags.writeable = False  # one copy serves every caller
    return array


def _load_own(text: str) -> Scene:
    parts = text.split(",")
    if len(parts) > 2:
        raise InputError(f"scene {text!r}: expected FILE.npz or CUBE,GROUND_TRUTH.")
    path, _ = split_key(parts[0])
    known: dict[str, Any] = {}
    if len(parts) == 1:
        if path.suffix.lower() not in (".npz", ".mat"):
            raise InputError(f"scene {text!r}: one file must hold both arrays (.npz or .mat); else CUBE,GROUND_TRUTH.")
        cube, labels = read_array(path, "cube", 3), read_array(path, "ground_truth", 2)
        extras = OWN_EXTRAS.keys() & array_names(path)
        known = {name: OWN_EXTRAS[name](read_array(path, name).ravel()) for name in extras}
    else:
        cube, labels = (read_array(*split_key(part), ndim) for part, ndim in zip(parts, (3, 2), strict=True))
    if np.issubdtype(labels.dtype, np.floating) and np.array_equal(labels, np.round(labels)):
        labels = labels.astype(np.int64)  # MATLAB stores integers as doubles unless told otherwise
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"scene {text!r}: the ground truth holds {labels.dtype} values that are no whole numbers.")
    n_labels = np.unique(labels[labels != 0]).size
    known.setdefault("class_names", tuple(f"class {k}" for k in range(1, n_labels + 1)))
    return Scene(name=path.stem, cube=cube, ground_truth=labels, **known)


# What a scene's own file may hold besides the two arrays, and how it becomes what `Scene` wants.
OWN_EXTRAS: dict[str, Callable[[Array], Any]] = {
    "class_names": lambda array: tuple(str(name).strip() for name in array),
    "wavelengths_nm": lambda array: array.astype(float),
    "transform": lambda array: tuple(map(float, array)),
    "crs": lambda array: str(array[0]),
    "note": lambda array: str(array[0]),
}


def split_key(text: str) -> tuple[Path, str | None]:
    """Part ``FILE:KEY`` into the file and the array's name; a drive letter's colon is left alone."""
    path, colon, key = text.rpartition(":")
    if colon and Path(path).suffix.lower() in READERS:
        return Path(path), key
    return Path(text), None


def availability(name: str) -> str:
    """``"yes"``, ``"labels only"`` or ``"no"``: what `load_scene` can load without the network."""
    if name in GENERATED or name in MADE or catalog()[name].embedded:
        return "yes"
    entry = catalog()[name]
    here = [local_copy(part.file) is not None for part in (entry.cube, entry.ground_truth)]
    return "yes" if all(here) else "labels only" if here[1] else "no"


def fetch(name: str) -> list[Path]:
    """Download the files of a published scene that are not at hand, with progress; return their paths.

    Raises
    ------
    InputError : an unknown name, or no mirror gave the right bytes.
    """
    if name not in scene_names():
        raise unknown_name("scene", name, scene_names())
    if name in GENERATED or name in MADE:
        return []
    entry = catalog()[name]
    return [find_file(file) or fetch_file(file, entry) for file in (entry.cube, entry.ground_truth)]
