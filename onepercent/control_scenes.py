"""Controls of Indian Pines' damage: what else could make a repaired cube better than the published one?

Importing this registers them with `hsilib.load_scene`. The published cube lost a byte: every 13 became 10. Controls:

- ``indian-pines-8-bit-copy``: an independent copy without the loss, of 8 bits, each band stretched and clipped;
- ``indian-pines-published-8-bit``: the published cube brought to 8 bits alike, so that the bits are no explanation;
- ``indian-pines-placebo-N``: the repaired cube that loses another byte value N in the same way;
- ``indian-pines-random-errors``: the repaired cube with as many errors of the same size at random places.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pooch

from hsilib.data.load import load_scene, register_scene
from hsilib.data.readers import read_array
from hsilib.data.scene import Scene
from hsilib.data.store import local_copy, local_folders
from hsilib.errors import InputError

COPY_FILE, COPY_KEY = "IP_200_M.mat", "data_M"
COPY_SHA256 = "8bfb849c31ce3697b5317447064a17f146ae93f1849c07b7e9e5bbd79966315e"
COPY_SOURCE = "data/IP_200_M.mat of the public repository hszhaohs/SSGA (MIT)"
SHIFT = 3  # 13 became 10
HIGH_BYTE = 256
PLACEBOS = (11, 12, 14, 15)  # about as frequent in the high byte as 13
CLIPPED_PERCENT = 2  # on each side; the copy's bands are clipped by 3.6 % together


def eight_bit_copy() -> Scene:
    """The independent copy, (145, 145, 200) levels 0…255.

    Raises
    ------
    InputError : its file is not at hand, or is another one.
    """
    path = local_copy(COPY_FILE)
    if path is None:
        raise InputError(f"{COPY_FILE}: not found in {local_folders()[0]}; it is {COPY_SOURCE}. Put it there.")
    if pooch.file_hash(str(path)) != COPY_SHA256:
        raise InputError(f"{path}: not the copy that was measured here ({COPY_SOURCE}); its sha256 differs.")
    return replace(load_scene("indian-pines"), name="indian-pines-8-bit-copy", cube=read_array(path, COPY_KEY, 3))


def published_in_eight_bits() -> Scene:
    """Each band of the published cube from its 2nd to its 98th percentile in 256 levels."""
    scene = load_scene("indian-pines")
    values = scene.cube.astype(np.float64)
    low, high = np.percentile(values, [CLIPPED_PERCENT, 100 - CLIPPED_PERCENT], axis=(0, 1))
    levels = np.clip((values - low) / (high - low), 0, 1) * 255
    return replace(scene, name="indian-pines-published-8-bit", cube=np.round(levels).astype(np.uint8))


def placebo(lost: int) -> Scene:
    """The repaired cube in which every byte ``lost`` became ``lost`` − 3, in both bytes of a value."""
    scene = load_scene("indian-pines-repaired")
    data = np.ascontiguousarray(scene.cube).view(np.uint8).copy()
    data[data == lost] -= SHIFT
    return replace(
        scene, name=f"indian-pines-placebo-{lost}", cube=data.view(scene.cube.dtype).reshape(scene.cube.shape)
    )


def random_errors() -> Scene:
    """The repaired cube, 768 subtracted from as many values as the damage had made 768 too low, at random places."""
    scene, published = load_scene("indian-pines-repaired"), load_scene("indian-pines")
    shift = SHIFT * HIGH_BYTE
    n_errors = int(np.count_nonzero(scene.cube.astype(int) - published.cube >= shift))
    cube = np.array(scene.cube, dtype=np.int64)
    possible = np.flatnonzero(cube.ravel() >= shift)
    cube.ravel()[np.random.default_rng(0).choice(possible, n_errors, replace=False)] -= shift
    return replace(scene, name="indian-pines-random-errors", cube=cube.astype(scene.cube.dtype))


register_scene("indian-pines-8-bit-copy", eight_bit_copy)
register_scene("indian-pines-published-8-bit", published_in_eight_bits)
register_scene("indian-pines-random-errors", random_errors)
for byte in PLACEBOS:
    register_scene(f"indian-pines-placebo-{byte}", partial(placebo, byte))
