"""Which pixels train, validate and test: `make_split` and the frozen `Split` it returns.

A split is written as text:

==========================  ==========================================================================
``percent:0.01``            that fraction of each class at random, at least 3 pixels
``count:10``                that many pixels of each class at random
``total:0.01``              that fraction of all labelled pixels at random, whatever their class: a rare
                            class may get none
``blocks:32:7:count:30``    blocks of 32 × 32 pixels belong to train or test; test pixels within 7
                            pixels of a training block are dropped; then ``count`` or ``percent``
                            is drawn from the training blocks
``mask:FILE``               given maps: a file with the arrays ``train`` and ``test``
``mask:TRAIN,TEST``         given maps, a file each, also looked for in the folder ``HSILIB_DATA``
==========================  ==========================================================================

Every split but ``mask`` also draws 0.5 % for validation: of each class, at least 1 pixel; with ``total``, of all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from hsilib.data.load import split_key
from hsilib.data.readers import array_names, read_array
from hsilib.data.scene import Scene
from hsilib.data.store import find_local
from hsilib.errors import InputError, unknown_name

VALIDATION_FRACTION = 0.005
SMALLEST_TRAINING_CLASS = 3
BLOCK_DRAWS = 100

Indices = NDArray[np.int64]
Sides = tuple[NDArray[np.bool_], NDArray[np.bool_]]
Parts = tuple[list[Indices], list[Indices], list[Indices]]


@dataclass(frozen=True, eq=False)
class Split:
    """Disjoint pixels for training, validation and test, with their labels.

    Attributes
    ----------
    spec : how it was drawn, as text.
    shape : (H, W) of the scene.
    train, val, test : flat pixel indices (row · W + column), rising.
    train_labels, val_labels, test_labels : their classes 1…K; test labels are 0 once hidden.
    untested_classes : classes (1…K) that could not stand on both sides of a block split.
    """

    spec: str
    shape: tuple[int, int]
    train: Indices
    val: Indices
    test: Indices
    train_labels: Indices
    val_labels: Indices
    test_labels: Indices
    untested_classes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        together = np.concatenate([self.train, self.val, self.test])
        if np.unique(together).size != together.size:
            raise InputError(f"split {self.spec!r}: a pixel stands in more than one of train, validation and test.")
        for part in ("train", "test"):
            if getattr(self, part).size == 0:
                raise InputError(f"split {self.spec!r}: no {part} pixels; the scene is too small for it.")

    def hide_test_labels(self) -> Split:
        """The same split as a method may see it: test positions are known, their labels are 0."""
        return replace(self, test_labels=np.zeros_like(self.test_labels))

    def untrained_classes(self, n_classes: int) -> tuple[int, ...]:
        """Classes (1…K) without a training pixel."""
        return tuple(k for k in range(1, n_classes + 1) if k not in self.train_labels)

    def leakage(self, patch_size: int) -> dict[str, int | float]:
        """How much of the test set a patch of ``patch_size`` pixels has already seen in training.

        Returns
        -------
        ``patch_size``; ``contains``, the share of test patches that contain a training pixel; and
        ``overlaps``, the share that have a pixel in common with a training patch.
        """
        training = np.zeros(self.shape, dtype=bool)
        training.ravel()[self.train] = True
        near = {}
        for name, window in (("contains", patch_size), ("overlaps", 2 * patch_size - 1)):
            reached = scipy.ndimage.maximum_filter(training, size=window, mode="constant", cval=False)
            near[name] = float(reached.ravel()[self.test].mean())
        return {"patch_size": patch_size, **near}


def make_split(scene: Scene, spec: str, seed: int) -> Split:
    """Draw the split that ``spec`` describes; the same scene, text and seed give the same pixels.

    Raises
    ------
    InputError : text that is no split, a class with too few pixels, a map that does not fit.
    """
    if seed < 0:
        raise InputError(f"seed {seed}: give a whole number of at least 0.")
    if not scene.class_counts.any():
        raise InputError(f"scene {scene.name!r}: no pixel has a label; there is nothing to train on.")
    kind, _, rest = spec.partition(":")
    if kind not in PROTOCOLS:
        raise unknown_name("split", kind, PROTOCOLS)
    return PROTOCOLS[kind](scene, spec, rest, np.random.default_rng(seed))


def _random_split(scene: Scene, spec: str, rest: str, generator: np.random.Generator) -> Split:
    kind = spec.partition(":")[0]
    wanted = _training_counts(spec, kind, rest)
    counts = scene.class_counts
    short = [
        f"{name} ({n} pixels, needs {wanted(n) + _validation_count(n) + 1})"
        for name, n in zip(scene.class_names, counts, strict=True)
        if n < wanted(n) + _validation_count(n) + 1
    ]
    if short:
        raise InputError(
            f"split {spec!r}: too few labelled pixels in {', '.join(short)} for training, validation and test; "
            f"ask for fewer."
        )
    parts: Parts = ([], [], [])
    for label, n in enumerate(counts, start=1):
        pixels = generator.permutation(np.flatnonzero(scene.ground_truth.ravel() == label))
        bounds = np.cumsum([wanted(n), _validation_count(n)])
        for part, drawn in zip(parts, np.split(pixels, bounds), strict=True):
            part.append(drawn)
    return _build(scene, spec, parts)


def _total_split(scene: Scene, spec: str, rest: str, generator: np.random.Generator) -> Split:
    fraction = _fraction(spec, rest)
    labelled = generator.permutation(np.flatnonzero(scene.ground_truth.ravel()))
    n_train = max(1, round(fraction * labelled.size))
    train, val, test = np.split(labelled, np.cumsum([n_train, _validation_count(labelled.size)]))
    return _build(scene, spec, ([train], [val], [test]))


def _block_split(scene: Scene, spec: str, rest: str, generator: np.random.Generator) -> Split:
    fields = rest.split(":")
    if len(fields) != 4:
        raise InputError(f"split {spec!r}: expected blocks:SIZE:BUFFER:count:N or blocks:SIZE:BUFFER:percent:P.")
    size, buffer = (_number(spec, text, int, 1 if i == 0 else 0) for i, text in enumerate(fields[:2]))
    size, buffer = (min(value, max(scene.shape)) for value in (size, buffer))
    wanted = _training_counts(spec, fields[2], fields[3])
    labels = scene.ground_truth.ravel()
    totals = scene.class_counts

    # Which assignment is kept depends on where labels lie, never on what a method makes of them.
    def on_both_sides(sides: Sides) -> NDArray[np.bool_]:
        n_train, n_test = (np.bincount(labels[side.ravel()], minlength=scene.n_classes + 1)[1:] for side in sides)
        return (n_train >= SMALLEST_TRAINING_CLASS + 1) & (n_test > 0)

    drawn = [assign_blocks(scene.shape, int(size), int(buffer), generator) for _ in range(BLOCK_DRAWS)]
    train_side, test_side = max(drawn, key=lambda sides: int(on_both_sides(sides).sum()))
    tested = on_both_sides((train_side, test_side))
    parts: Parts = ([], [], [])
    for label, n in enumerate(totals, start=1):
        pixels = generator.permutation(np.flatnonzero((labels == label) & train_side.ravel()))
        n_val = min(_validation_count(n), max(len(pixels) - SMALLEST_TRAINING_CLASS, 0))
        n_train = min(wanted(n), len(pixels) - n_val)
        parts[0].append(pixels[:n_train])
        parts[1].append(pixels[n_train : n_train + n_val])
        if tested[label - 1]:
            parts[2].append(np.flatnonzero((labels == label) & test_side.ravel()))
    return _build(scene, spec, parts, untested=tuple(int(k) + 1 for k in np.flatnonzero(~tested)))


def _mask_split(scene: Scene, spec: str, rest: str, generator: np.random.Generator) -> Split:
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


def _build(scene: Scene, spec: str, parts: Parts, untested: tuple[int, ...] = ()) -> Split:
    train, val, test = (np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *part])) for part in parts)
    labels = scene.ground_truth.ravel().astype(np.int64)
    return Split(spec, scene.shape, train, val, test, labels[train], labels[val], labels[test], untested)


def _training_counts(spec: str, kind: str, text: str) -> Callable[[int], int]:
    """From a class's labelled pixels to the number drawn for training."""
    if kind == "count":
        count = int(_number(spec, text, int, 1))
        return lambda n: count
    if kind == "percent":
        fraction = _fraction(spec, text)
        return lambda n: max(SMALLEST_TRAINING_CLASS, round(fraction * n))
    raise unknown_name("draw", kind, ("count", "percent"))


def _fraction(spec: str, text: str) -> float:
    fraction = _number(spec, text, float, 0.0)
    if not 0 < fraction < 1:
        raise InputError(f"split {spec!r}: {text} is not a fraction between 0 and 1 (0.01 means 1 %).")
    return float(fraction)


def _validation_count(n: int) -> int:
    return max(1, round(VALIDATION_FRACTION * n))


def _number(spec: str, text: str, kind: type[int] | type[float], least: float) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or value < least:
        raise InputError(f"split {spec!r}: {text!r} is not a number of at least {least}.")
    return value


PROTOCOLS: dict[str, Callable[[Scene, str, str, np.random.Generator], Split]] = {
    "percent": _random_split,
    "count": _random_split,
    "total": _total_split,
    "blocks": _block_split,
    "mask": _mask_split,
}


def assign_blocks(shape: tuple[int, int], size: int, buffer: int, generator: np.random.Generator) -> Sides:
    """Two (H, W) masks: half of the blocks for training, the rest less the buffer for test."""
    block_rows, block_cols = (-(-n // size) for n in shape)
    n_blocks = block_rows * block_cols
    chosen = np.zeros(n_blocks, dtype=bool)
    chosen[generator.permutation(n_blocks)[: (n_blocks + 1) // 2]] = True
    expanded = np.kron(chosen.reshape(block_rows, block_cols), np.ones((size, size), dtype=bool))
    train_side = expanded[: shape[0], : shape[1]]
    near = scipy.ndimage.maximum_filter(train_side, size=2 * buffer + 1, mode="constant", cval=False)
    return train_side, ~near
