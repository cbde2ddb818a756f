"""Which pixels train, validate and test: `make_splits` draws a `Split` for each fold.

A split is written as text:

==========================  ==========================================================================
``percent:0.01``            that fraction of each class at random, at least 3 pixels
``count:10``                that many pixels of each class at random
``total:0.01``              that fraction of all labelled pixels at random, whatever their class: a rare
                            class may get none
``blocks:32:7:count:30``    blocks of 32 × 32 pixels belong to train or test; test pixels within 7
                            pixels of a training block are dropped; then ``count`` or ``percent``
                            is drawn from the training blocks
``fields:2:7:percent:0.01`` a new field: the connected fields of each class are dealt into 2 groups, each of
                            which is tested once; training pixels within 7 pixels of a tested field are
                            dropped before ``count`` or ``percent`` is drawn from the rest
``folds:5:14:percent:0.01`` no shared neighbourhood: blocks of 29 × 29 (2 · 14 + 1) dealt into 5 folds,
                            likewise; no two patches of 15 × 15 overlap at 14 pixels
``mask:FILE``               given maps: a file with the arrays ``train`` and ``test``
``mask:TRAIN,TEST``         given maps, a file each, also looked for in the folder ``HSILIB_DATA``
==========================  ==========================================================================

Every split but ``mask`` also sets aside 0.5 % for validation: of each class, at least 1 pixel; with ``total``, of all.
Only a method that says so sees them, see `MethodOptions.uses_validation`; with ``+val`` behind the text they are
training pixels, for all. The test pixels are the same either way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hsilib.data.given_masks import mask_split
from hsilib.data.scene import Scene
from hsilib.data.sides import Sides, block_sides, field_sides, fold_sides
from hsilib.data.split import Indices
from hsilib.data.split import Split as Split
from hsilib.errors import InputError, unknown_name

VALIDATION_FRACTION = 0.005
SMALLEST_TRAINING_CLASS = 3
BLOCK_DRAWS = 100
WITH_VALIDATION = "+val"

Parts = tuple[list[Indices], list[Indices], list[Indices]]


def make_splits(scene: Scene, spec: str, seed: int) -> list[Split]:
    """Draw the splits that ``spec`` describes, one a fold; the same scene, text and seed give the same pixels.

    Most kinds have one fold. No pixel is tested in two.

    Raises
    ------
    InputError : text that is no split, a class with too few pixels, a map that does not fit.
    """
    if seed < 0:
        raise InputError(f"seed {seed}: give a whole number of at least 0.")
    if not scene.class_counts.any():
        raise InputError(f"scene {scene.name!r}: no pixel has a label; there is nothing to train on.")
    kind, _, rest = spec.removesuffix(WITH_VALIDATION).partition(":")
    if kind not in PROTOCOLS:
        raise unknown_name("split", kind, PROTOCOLS)
    drawn = PROTOCOLS[kind](scene, spec, rest, np.random.default_rng(seed))
    splits = drawn if isinstance(drawn, list) else [drawn]
    return [split.validation_joined() for split in splits] if spec.endswith(WITH_VALIDATION) else splits


def make_split(scene: Scene, spec: str, seed: int) -> Split:
    """The only split that ``spec`` describes.

    Raises
    ------
    InputError : as for `make_splits`, or there are several folds.
    """
    splits = make_splits(scene, spec, seed)
    if len(splits) > 1:
        raise InputError(f"split {spec!r} has {len(splits)} folds; this takes one, such as percent:0.01.")
    return splits[0]


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
    size, buffer, wanted = _apart(spec, rest, "blocks:SIZE:BUFFER")
    size, buffer = (min(value, max(scene.shape)) for value in (size, buffer))
    drawn = [block_sides(scene.shape, size, buffer, generator) for _ in range(BLOCK_DRAWS)]
    sides = max(drawn, key=lambda sides: int(_on_both_sides(scene, sides).sum()))
    return _draw_from(scene, spec, sides, wanted, generator)


def _fold_splits(scene: Scene, spec: str, rest: str, generator: np.random.Generator) -> list[Split]:
    n_folds, buffer, wanted = _apart(spec, rest, "folds:N:BUFFER")
    return _draw_folds(scene, spec, fold_sides(scene.shape, n_folds, buffer, generator), wanted, generator)


def _field_splits(scene: Scene, spec: str, rest: str, generator: np.random.Generator) -> list[Split]:
    n_groups, buffer, wanted = _apart(spec, rest, "fields:GROUPS:BUFFER")
    return _draw_folds(scene, spec, field_sides(scene.ground_truth, n_groups, buffer, generator), wanted, generator)


def _apart(spec: str, rest: str, form: str) -> tuple[int, int, Callable[[int], int]]:
    """The two numbers of a split that keeps training and test apart, and what is drawn."""
    parts = rest.split(":")
    if len(parts) != 4:
        raise InputError(f"split {spec!r}: expected {form}:count:N or {form}:percent:P.")
    least = 1 if form.startswith("blocks") else 2
    first, buffer = _number(spec, parts[0], int, least), _number(spec, parts[1], int, 0)
    return int(first), int(buffer), _training_counts(spec, parts[2], parts[3])


def _draw_folds(
    scene: Scene, spec: str, folds: list[Sides], wanted: Callable[[int], int], generator: np.random.Generator
) -> list[Split]:
    """A split a fold; a fold in which no class can be both trained and tested is left out."""
    usable = [sides for sides in folds if _on_both_sides(scene, sides).any()]
    if not usable:
        raise InputError(f"split {spec!r}: no class has pixels for training and test so far apart; ask for less.")
    splits = [_draw_from(scene, spec, sides, wanted, generator) for sides in usable]
    tested = np.concatenate([split.test_labels for split in splits])
    untested = tuple(k for k in range(1, scene.n_classes + 1) if k not in tested)
    return [replace(split, untested_classes=untested) for split in splits]


def _on_both_sides(scene: Scene, sides: Sides) -> NDArray[np.bool_]:
    """(K,) whether a class has pixels to test, and enough to train and validate."""
    labels = scene.ground_truth
    n_train, n_test = (np.bincount(labels[side], minlength=scene.n_classes + 1)[1:] for side in sides)
    return (n_train >= SMALLEST_TRAINING_CLASS + 1) & (n_test > 0)


def _draw_from(
    scene: Scene, spec: str, sides: Sides, wanted: Callable[[int], int], generator: np.random.Generator
) -> Split:
    """Training and validation pixels from one side; all of the other are tested, of classes that stand on both."""
    labels, tested = scene.ground_truth.ravel(), _on_both_sides(scene, sides)
    train_side, test_side = (side.ravel() for side in sides)
    parts: Parts = ([], [], [])
    for label, n in enumerate(scene.class_counts, start=1):
        pixels = generator.permutation(np.flatnonzero((labels == label) & train_side))
        n_val = min(_validation_count(n), max(len(pixels) - SMALLEST_TRAINING_CLASS, 0))
        n_train = min(wanted(n), len(pixels) - n_val)
        parts[0].append(pixels[:n_train])
        parts[1].append(pixels[n_train : n_train + n_val])
        if tested[label - 1]:
            parts[2].append(np.flatnonzero((labels == label) & test_side))
    return _build(scene, spec, parts, untested=tuple(int(k) + 1 for k in np.flatnonzero(~tested)))


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


PROTOCOLS: dict[str, Callable[[Scene, str, str, np.random.Generator], Split | list[Split]]] = {
    "percent": _random_split,
    "count": _random_split,
    "total": _total_split,
    "blocks": _block_split,
    "fields": _field_splits,
    "folds": _fold_splits,
    "mask": mask_split,
}
