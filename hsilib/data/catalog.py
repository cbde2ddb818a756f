"""The catalogue: what is known of each published scene before it is loaded (``scenes.toml``)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

UPLOADS = "https://www.ehu.eus/ccwintco/uploads/"
MIRROR = "https://media.githubusercontent.com/media/Sellifake/Hyperspectral_Image_Datasets_Collection/main/data/"


@dataclass(frozen=True)
class SceneFile:
    """One published file: its name, the array in it, what its bytes must be, its path in the uploads and the mirror."""

    file: str
    key: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    upload: str | None = None
    mirror: str | None = None

    def urls(self) -> list[str]:
        """Every address it can be downloaded from, the first choice first."""
        return [base + path for base, path in ((UPLOADS, self.upload), (MIRROR, self.mirror)) if path]


@dataclass(frozen=True)
class CatalogEntry:
    """What is known of a scene before it is loaded. Field by field as in ``scenes.toml``.

    A scene with known ``damage`` is followed by its repaired edition, which names it in ``repaired_from``.
    """

    name: str
    title: str
    sensor: str
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    licence: str
    cite: str
    page: str
    cube: SceneFile
    ground_truth: SceneFile
    wavelengths_nm: tuple[float, float, int] | None = None
    bands_removed: tuple[tuple[int, int], ...] = ()
    bands_removed_why: str = ""
    label_values: tuple[int, ...] | None = None
    embedded: str | None = None
    damage: str = ""
    repaired_from: str | None = None

    def band_centres_nm(self) -> NDArray[np.float64] | None:
        """(S,) nominal band centres in nanometres, or None where the publisher gives none."""
        if self.wavelengths_nm is None:
            return None
        first, last, n_recorded = self.wavelengths_nm
        kept = np.ones(n_recorded, dtype=bool)
        for low, high in self.bands_removed:
            kept[low - 1 : high] = False
        return np.linspace(first, last, n_recorded)[kept]


@cache
def catalog() -> dict[str, CatalogEntry]:
    """Every published scene by name."""
    text = resources.files("hsilib.data").joinpath("scenes.toml").read_text(encoding="utf-8")
    entries = {}
    for name, table in tomllib.loads(text).items():
        entries[name] = CatalogEntry(name=name, **{key: _frozen(value) for key, value in table.items()})
        if entries[name].damage:
            repaired = f"{name}-repaired"
            entries[repaired] = replace(entries[name], name=repaired, damage="", repaired_from=name)
    return entries


def _frozen(value: Any) -> Any:
    """A list as a tuple, a table as a `SceneFile`."""
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return SceneFile(**value) if isinstance(value, dict) else value
