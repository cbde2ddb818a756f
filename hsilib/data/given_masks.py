"""Splits that others drew: maps of training and test pixels in files."""

from __future__ import annotations

import numpy as np

from hsilib.data.load import split_key
from hsilib.data.readers import array_names, read_array
from hsilib.data.scene import Scene
from hsilib.data.split import Split
from hsilib.data.store import find_local
from hsilib.errors import InputError


def mask_split(scene: Scene, spec: str, rest: str, generator: np.random.Generator) -> Split:
    """Given maps. Their own labels count: some training maps label pixels that the ground truth does not."""
    del generator  # nothing is drawn
    maps = {}
    if "," in rest:
        texts = rest.split(",")
        if len(texts) != 2:
            raise InputError(f"split {spec!r}: expected mask:FILE or mask:TRAIN,TEST.")
        for part, text in zip(("train", "test"), texts, strict=True):
            path, key = split_key(text)
            maps[part] = read_array(find_local(path), key, 2)
    else:
        path = find_local(split_key(rest)[0])
        maps = {part: read_array(path, part, 2) for part in ("train", "test")}
        if "val" in array_names(path):
            maps["val"] = read_array(path, "val", 2)
    for part, labels in maps.items():
        if labels.shape != scene.shape:
            raise InputError(f"split {spec!r}: the {part} map is {labels.shape}, the scene {scene.shape}.")
        if not np.array_equal(labels, np.round(labels)):
            raise InputError(f"split {spec!r}: the {part} map holds values that are no whole numbers.")
        if labels.max(initial=0) > scene.n_classes or labels.min(initial=0) < 0:
            raise InputError(f"split {spec!r}: the {part} map holds labels outside 0…{scene.n_classes}.")
    indices = {part: np.flatnonzero(labels.ravel()) for part, labels in maps.items()}
    empty = np.zeros(0, dtype=np.int64)
    labels_of = {part: maps[part].ravel()[chosen].astype(np.int64) for part, chosen in indices.items()}
    return Split(
        spec=spec,
        shape=scene.shape,
        train=indices["train"],
        val=indices.get("val", empty),
        test=indices["test"],
        train_labels=labels_of["train"],
        val_labels=labels_of.get("val", empty),
        test_labels=labels_of["test"],
    )
