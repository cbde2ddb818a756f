"""What commands have in common."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

DEFAULT_RECORDS = Path("results/records")


def running_options() -> argparse.ArgumentParser:
    """The options that ``run`` and ``sweep`` share, as a parent parser."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--records", type=Path, default=DEFAULT_RECORDS, help="folder of records (%(default)s)")
    device_option(common)
    return common


def device_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes CUDA when found")


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as their longest cell; the last one is not filled up."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    filled = ([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]] for row in rows)
    return "\n".join("  ".join(cells) for cells in filled)
