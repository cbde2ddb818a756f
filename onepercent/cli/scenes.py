"""``hsilib scenes`` and ``hsilib fetch``: which scenes there are, and to get them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from onepercent.cli.common import table

if TYPE_CHECKING:
    from hsilib.data.catalog import CatalogEntry
    from onepercent.cli.common import Commands


def add_to(commands: Commands) -> None:
    """Add both commands to the parser."""
    scenes = commands.add_parser("scenes", help="list the scenes: what, where from, licence, at hand or not")
    scenes.set_defaults(command=show_scenes)
    fetching = commands.add_parser("fetch", help="download scenes, checking every byte")
    fetching.add_argument("names", nargs="+", metavar="NAME", help="a name that `hsilib scenes` lists")
    fetching.set_defaults(command=fetch_scenes)


def show_scenes(options: argparse.Namespace) -> None:
    """Print the catalogue as a table, then what is known to be wrong with a scene."""
    from hsilib.data.catalog import catalog
    from hsilib.data.load import GENERATED, MADE
    from onepercent import control_scenes

    rows: list[tuple[str, ...]] = [("NAME", "SIZE", "CLASSES", "AT HAND", "WHAT", "LICENCE", "SOURCE")]
    rows += [_scene_row(entry) for entry in catalog().values()]
    for name, scene in GENERATED.items():
        size = f"{scene.rows} × {scene.cols} × {scene.n_bands}"
        rows.append((name, size, str(scene.n_classes), "yes", "generated", "MIT", "hsilib.data.synthetic"))
    for name in MADE:
        made = "a control of Indian Pines' damage"
        rows.append((name, "145 × 145 × 200", "16", "made", made, "as Indian Pines", control_scenes.__name__))
    print(table(rows))
    for entry in catalog().values():
        if entry.damage:
            print(f"\n{entry.name} is {entry.damage}.")


def _scene_row(entry: CatalogEntry) -> tuple[str, ...]:
    from hsilib.data.load import availability

    state = " (repaired)" if entry.repaired_from else " (DAMAGED)" if entry.damage else ""
    return (
        entry.name,
        " × ".join(map(str, entry.shape)),
        str(len(entry.class_names)),
        availability(entry.name),
        f"{entry.title}{state}, {entry.sensor}",
        entry.licence,
        f"in the {entry.embedded} package" if entry.embedded else entry.page,
    )


def fetch_scenes(options: argparse.Namespace) -> None:
    """Download every named scene; print where its files are."""
    from hsilib.data.load import fetch

    for name in options.names:
        paths = fetch(name)
        print(f"{name}: {', '.join(map(str, paths)) or 'nothing to download'}")
