"""The command line: ``hsilib scenes | fetch | run | predict | sweep | bench | claims``; a file a command.

Exit codes: 0 done, 1 some runs of a campaign failed, 2 the input cannot be used (one sentence on
standard error says why), 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hsilib.errors import InputError
from onepercent.cli import bench, claims, predict, run, scenes, sweep


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = build_parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except InputError as error:
        print(f"hsilib: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("hsilib: interrupted; the same command goes on from what was finished.", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = argparse.ArgumentParser(prog="hsilib", description="Classify hyperspectral scenes from very few labels.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (scenes, run, predict, sweep, bench, claims):
        command.add_to(commands)
    return parser
