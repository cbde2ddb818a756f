"""``hsilib run``: train and measure one recipe."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hsilib.cli.common import running_options
from hsilib.config import setting_names, with_overrides
from hsilib.experiment import run
from hsilib.files import ensure_writable
from hsilib.recipes import RECIPES, recipe
from hsilib.reporting.class_map import write_class_map
from hsilib.reporting.records import record_path, write_record

if TYPE_CHECKING:
    from hsilib.cli.common import Commands

DEFAULT_WORKSPACE = Path("results/work")


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    running = commands.add_parser(
        "run",
        parents=[running_options()],
        help="train and measure one recipe; the record's path is the last line on standard output",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=describe_recipes(),
    )
    running.add_argument("recipe", metavar="RECIPE", help="one of the recipes below")
    running.add_argument("--scene", default="indian-pines", help="a scene's name, FILE.npz, or CUBE,GROUND_TRUTH")
    running.add_argument(
        "--split",
        default="percent:0.01",
        help="percent:0.01, count:10, total:0.01, blocks:32:7:count:30 or mask:FILE (default: percent:0.01: 1 %%)",
    )
    running.add_argument("--seed", type=int, default=0, help="draws the split and the training (%(default)s)")
    running.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; repeatable")
    running.add_argument(
        "--workspace",
        type=Path,
        default=DEFAULT_WORKSPACE,
        help="folder for what an interrupted run goes on from and for pre-trained encoders (%(default)s)",
    )
    running.add_argument("--map", action="store_true", help="write the class map as a PNG beside the record")
    running.set_defaults(command=run_recipe)


def describe_recipes() -> str:
    """The recipes, a line each with the time it takes, then the keys that --set takes."""
    lines = ["recipes:"]
    for name, function in RECIPES.items():
        what, _, cost = (function.__doc__ or "").strip().partition("\n\n")
        lines.append(f"  {name:16} {what} [{cost.strip().rstrip('.')}]")
    lines.append("\nkeys for --set:")
    for name in RECIPES:
        keys = setting_names(recipe(name).method)
        lines.append(f"  {name:16} {', '.join(keys) or 'none'}")
    return "\n".join(lines)


def run_recipe(options: argparse.Namespace) -> None:
    """Run one recipe and write its record; the record's path is the last line on standard output."""
    config = with_overrides(recipe(options.recipe), options.set)
    config = replace(
        config,
        scene=options.scene,
        split=options.split,
        seed=options.seed,
        device=options.device,
        workspace=ensure_writable(options.workspace),
    )
    ensure_writable(options.records)
    record, class_map = run(config)
    path = record_path(options.records, record.scene, config.split, record.recipe, record.seed, record.id)
    if options.map:
        write_class_map(class_map, path.with_suffix(".png"), len(record.metrics["confusion"]))
    write_record(record, path)
    print(
        f"{config.recipe} on {config.scene}, {config.split}, seed {config.seed}: "
        f"OA {record.metrics['overall_accuracy']:.2%}, AA {record.metrics['average_accuracy']:.2%}, "
        f"kappa {record.metrics['kappa']:.4f}; fit {record.timing['fit_s']:.1f} s, "
        f"predict {record.timing['predict_s']:.1f} s",
    )
    print(path)
