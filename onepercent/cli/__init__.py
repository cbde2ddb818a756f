"""The command line: ``hsilib scenes | fetch | recipes | run | predict | sweep | bench | claims``; a file a command.

Exit codes: 0 done, 1 some runs of a campaign failed, 2 the input cannot be used (one sentence on
standard error says why), 130 interrupted.

A command imports what it needs when it runs: torch and scikit-learn take seconds, and no help text needs them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from onepercent.campaigns.spinning import SPINNING
from onepercent.cli import bench, claims, predict, recipes, run, scenes, sweep


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    for name, value in SPINNING.items():
        os.environ.setdefault(name, value)
    try:
        options = build_parser().parse_args(arguments)
        return options.command(options) or 0
    except KeyboardInterrupt:
        print("hsilib: interrupted; the same command goes on from what was finished.", file=sys.stderr)
        return 130
    except ValueError as error:
        from hsilib.errors import InputError  # whoever raised one has loaded it

        if not isinstance(error, InputError):
            raise
        print(f"hsilib: {error}", file=sys.stderr)
        return 2


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = argparse.ArgumentParser(prog="hsilib", description="Classify hyperspectral scenes from very few labels.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (scenes, recipes, run, predict, sweep, bench, claims):
        command.add_to(commands)
    return parser
