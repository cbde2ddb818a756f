"""A folder of labelled patches, such as CloudPatch-7, as a scene: the patches side by side, labelled at their centres.

    FOLDER/clear/001.npy
    FOLDER/cirrus/001.mat ...

So everything that works on scenes works on it: splits, networks, metrics, sweeps. A network whose patch size is at
most the files' own sees each patch alone; neighbours in the mosaic come in only beyond that. Maps mean nothing
here, nor do baselines on coordinates.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from hsilib.data.readers import READERS, Array, read_array
from hsilib.data.scene import Scene
from hsilib.errors import InputError


def load_patch_folder(folder: str | Path) -> Scene:
    """Put every patch of a folder into one scene.

    Parameters
    ----------
    folder : one folder a class, named as the class; in it one file a patch, (P, P, S) raw values of one size and one
        number of bands, in any format of `hsilib.data.readers`. Hidden files are passed over.

    Returns
    -------
    A scene of about square shape. The label of a patch stands at its centre, row and column P // 2; all other
    pixels are unlabelled. Cells that are left over at the end repeat the first patches without a label.

    Raises
    ------
    InputError : no class folder, no readable patch, patches that are not square or differ in size or bands.
    """
    folder = Path(folder)
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = [(label, path) for label, name in enumerate(classes, start=1) for path in _patch_files(name)]
    if not files:
        raise InputError(
            f"{folder}: expected one folder a class with one file a patch ({', '.join(READERS)}), such as "
            f"{folder.name}/CLASS/001.npy; found none."
        )
    patches = [_read_patch(path) for _, path in files]
    expected = patches[0].shape
    for (_, path), patch in zip(files, patches, strict=True):
        if patch.shape != expected:
            raise InputError(f"{path}: the patch has shape {patch.shape}; expected {expected} as {files[0][1].name}.")
    size, _, n_bands = expected
    cols = math.ceil(math.sqrt(len(patches)))
    rows = math.ceil(len(patches) / cols)
    cells = np.stack([patches[i % len(patches)] for i in range(rows * cols)])
    cube = cells.reshape(rows, cols, size, size, n_bands).swapaxes(1, 2).reshape(rows * size, cols * size, n_bands)
    ground_truth = np.zeros(cube.shape[:2], dtype=np.uint8)
    for i, (label, _) in enumerate(files):
        ground_truth[i // cols * size + size // 2, i % cols * size + size // 2] = label
    return Scene(folder.name, cube, ground_truth, tuple(path.name for path in classes))


def _patch_files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise InputError(f"{folder}: a class without a patch; put its files there or remove the folder.")
    return files


def _read_patch(path: Path) -> Array:
    patch = read_array(path, ndim=3)
    if patch.shape[0] != patch.shape[1]:
        raise InputError(f"{path}: the patch has shape {patch.shape}; expected (P, P, bands).")
    return patch
