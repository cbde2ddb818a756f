"""Campaigns: a grid of recipe × scene × split × seed, written down before it is run.

A campaign file says what is run, and when it ends, before anything is run::

    purpose: What the campaign is to find out.
    stopping_rule: When it ends; which runs may be left out, and why that is no choice by results.
    grid:
      - recipes: [svm, random-forest]
        scenes: [indian-pines]
        splits: ["percent:0.01"]
        seeds: 10            # 0 to 9
      - recipes: [quick]
        scenes: [indian-pines]
        splits: ["percent:0.01"]
        seeds: 10
        variants:            # optional: a label and what --set changes; the seeds are the same for all
          without attention: [model.attention=none]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from hsilib.config import with_overrides
from hsilib.errors import InputError
from hsilib.method import MethodOptions
from hsilib.records import record_id, record_path
from onepercent.recipes import recipe

GRID_KEYS = ("recipes", "scenes", "splits", "seeds")  # and, optionally, variants


@dataclass(frozen=True)
class Run:
    """One cell of a campaign's grid.

    Attributes
    ----------
    settings : assignments as for ``--set``.
    variant : what the campaign calls these settings.
    """

    recipe: str
    scene: str
    split: str
    seed: int
    settings: tuple[str, ...] = ()
    variant: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """The recipe with its settings, as a query names them."""
        return f"{self.recipe}[{';'.join(self.settings)}]" if self.settings else self.recipe

    @property
    def method(self) -> MethodOptions:
        """What is run."""
        return with_overrides(recipe(self.recipe), list(self.settings)).method

    def path(self, records: Path) -> Path:
        """Where its record stands or will stand."""
        identity = record_id(self.method, self.scene, self.split, self.seed)
        return record_path(records, self.scene, self.split, self.recipe, self.seed, identity)

    def arguments(self, seeds: Sequence[int] = ()) -> list[str]:
        """What to give to ``hsilib``, for these seeds or, without any, for the run's own."""
        where = ["--scene", self.scene, "--split", self.split, "--seed", *map(str, seeds or [self.seed])]
        return ["run", self.recipe, *where, *(text for setting in self.settings for text in ("--set", setting))]


def read_campaign(path: str | Path) -> list[Run]:
    """Every run of a campaign file, in the order it is written there, each once.

    Raises
    ------
    InputError : no such file, no purpose or stopping rule, an unknown key, recipe or setting.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a readable campaign file ({error}).") from error
    if not isinstance(content, dict) or set(content) != {"purpose", "stopping_rule", "grid"}:
        raise InputError(f"{path}: a campaign has exactly the keys purpose, stopping_rule and grid.")
    runs: dict[Path, Run] = {}  # by record: what is the same run under two names is listed once
    for part in content["grid"]:
        if not isinstance(part, dict) or set(part) - {"variants"} != set(GRID_KEYS):
            raise InputError(
                f"{path}: each part of the grid has exactly the keys {', '.join(GRID_KEYS)} and, optionally, variants."
            )
        seeds = range(part["seeds"]) if isinstance(part["seeds"], int) else part["seeds"]
        variants = _read_variants(path, part)
        cells = product(part["recipes"], variants.items(), part["scenes"], part["splits"], seeds)
        for name, (label, settings), scene, split, seed in cells:
            run = Run(name, scene, split, seed, settings, label)
            runs.setdefault(run.path(Path()), run)
    return list(runs.values())


def _read_variants(path: Path, part: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Label → assignments, each tried on each recipe of the part."""
    for name in part["recipes"]:
        recipe(name)
    if "variants" not in part:
        return {"": ()}
    variants = part["variants"]
    if not isinstance(variants, dict) or not all(
        isinstance(settings, list) and all(isinstance(setting, str) for setting in settings)
        for settings in variants.values()
    ):
        raise InputError(f"{path}: variants give each label a list of assignments, such as [fit.epochs=100].")
    for label, settings in variants.items():
        for name in part["recipes"]:
            try:
                with_overrides(recipe(name), settings)
            except InputError as error:
                raise InputError(f"{path}: variant {label!r} of {name}: {error}") from error
    return {str(label): tuple(settings) for label, settings in variants.items()}
