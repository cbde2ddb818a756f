"""``hsilib recipes``: what can be run, and the settings of one recipe."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onepercent.cli.common import Commands

COLUMN = 18


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    listing = commands.add_parser("recipes", help="list what can be run, or the settings of one recipe")
    listing.add_argument("recipe", nargs="?", metavar="RECIPE", help="the keys of this recipe's settings for --set")
    listing.set_defaults(command=show_recipes)


def show_recipes(options: argparse.Namespace) -> None:
    """Print every recipe, or one with its settings."""
    print(describe_recipe(options.recipe) if options.recipe else list_recipes())


def list_recipes() -> str:
    """Every recipe: its name, what it is and, in brackets, the time it takes."""
    from onepercent.recipes import RECIPES

    entries = [_paragraph(entry.name, f"{entry.what} [{entry.takes}]") for entry in RECIPES.values()]
    return "\n".join([*entries, "", "Times are on two CPU cores. `hsilib recipes RECIPE` shows a recipe's settings."])


def describe_recipe(name: str) -> str:
    """One recipe, then the keys that ``--set`` takes, a line each with the recipe's value.

    Raises
    ------
    InputError : an unknown name.
    """
    from hsilib.config import settings
    from onepercent.recipes import RECIPES, recipe

    method = recipe(name).method
    entry = RECIPES[name]
    lines = [_paragraph(name, f"{entry.what} [{entry.takes} on two CPU cores]")]
    keys = [f"  {key}={value}" for key, value in settings(method).items()]
    return "\n".join(
        [*lines, "", *(["settings for --set KEY=VALUE, as they stand:", *keys] if keys else ["no settings"])]
    )


def _paragraph(name: str, text: str) -> str:
    """As wide as the terminal, beside the name."""
    width = max(60, shutil.get_terminal_size().columns)
    return textwrap.fill(text, width, initial_indent=name.ljust(COLUMN), subsequent_indent=" " * COLUMN)
