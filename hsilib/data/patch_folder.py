"""A folder of labelled patches, such as CloudPatch-7, as a scene: the patches side by side, labelled at their centres.

So everything that works on scenes works on it: splits, networks, metrics, sweeps. A network whose patch size is at
most the files' own sees each patch alone; neighbours in the mosaic come in only beyond that. Maps mean nothing
here, nor do baselines on coordinates.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from hsilib.data.readers import READERS, read_array
from hsilib.data.scene import Scene
from hsilib.errors import InputError


def load_patch_folder(folder: str | Path) -> Scene:
    """Put every patch of a folder into one scene.

    Parameters
    ----------
    folder : one folder a class, named as the class; in it one file a patch, such as ``FOLDER/clear/001.npy``, (P, P, S)
        raw values of one size, in any format of `hsilib.data.readers`. Hidden files are passed over.

    Returns
    -------
    A scene of about square shape. The label of a patch stands at its centre, row and column P // 2; all other
    pixels are unlabelled. Cells that are left over at the end repeat the first patches without a label.

    Raises
    ------
    InputError : no class folder, no readable patch, patches that are not square or differ in size or bands.
    """
    folder = Path(folder)
    classes = [path for path in _visible(folder) if path.is_dir()]
    if not classes:
        raise InputError(
            f"{folder}: expected one folder a class with one file a patch ({', '.join(READERS)}), such as "
            f"{folder.name}/CLASS/001.npy; found none."
        )
    files = [path for name in classes for path in _visible(name) if path.is_file()]
    empty = set(classes) - {path.parent for path in files}
    if empty:
        raise InputError(f"{min(empty)}: a class without a patch; put its files there or remove the folder.")
    patches = [read_array(path, ndim=3) for path in files]
    size, _, n_bands = patches[0].shape
    expected = (size, size, n_bands)
    for path, patch in zip(files, patches, strict=True):
        if patch.shape != expected:
            wanted = f"expected {expected}: square, with the rows and bands of {files[0].name}"
            raise InputError(f"{path}: the patch has shape {patch.shape}; {wanted}.")
    cols = math.ceil(math.sqrt(len(patches)))
    rows = math.ceil(len(patches) / cols)
    cells = np.stack([patches[i % len(patches)] for i in range(rows * cols)])
    cube = cells.reshape(rows, cols, size, size, n_bands).swapaxes(1, 2).reshape(rows * size, cols * size, n_bands)
    ground_truth = np.zeros(cube.shape[:2], dtype=np.uint8)
    centres = ground_truth[size // 2 :: size, size // 2 :: size]
    centres.flat[: len(files)] = [classes.index(path.parent) + 1 for path in files]
    return Scene(folder.name, cube, ground_truth, tuple(path.name for path in classes))


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
