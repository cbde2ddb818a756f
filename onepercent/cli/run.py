"""``hsilib run``: train and measure one recipe."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hsilib.config import setting_names, with_overrides
from hsilib.errors import InputError
from hsilib.experiment import run
from hsilib.files import ensure_writable
from hsilib.method import SEEDS_TOGETHER
from hsilib.network_method import NetworkOptions
from hsilib.records import Record, record_path, write_record
from onepercent.cli.common import running_options
from onepercent.many_seeds.run_seeds import run_seeds
from onepercent.recipes import RECIPES, recipe
from onepercent.report.png_map import write_class_map

if TYPE_CHECKING:
    from onepercent.cli.common import Commands

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
    running.add_argument(
        "--seed",
        type=int,
        nargs="+",
        default=[0],
        metavar="N",
        help="draws the split and the training (default: 0). Several give a record each: trained at once on a GPU, "
        "without checkpoints of an interrupted run; side by side on the CPU, a core each",
    )
    running.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; repeatable")
    running.add_argument(
        "--workspace",
        type=Path,
        default=DEFAULT_WORKSPACE,
        help="folder for what an interrupted run goes on from and for pre-trained encoders (%(default)s)",
    )
    running.add_argument("--map", action="store_true", help="write the class map as a PNG beside the record")
    running.add_argument(
        "--save", type=Path, metavar="MODEL.safetensors", help="write the trained network, for hsilib predict"
    )
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
    """Run one recipe and write a record a seed; the (last) record's path is the last line on standard output."""
    config = with_overrides(recipe(options.recipe), options.set)
    seeds = list(dict.fromkeys(options.seed))
    if options.save is not None:
        if len(seeds) > 1 or not isinstance(config.method, NetworkOptions):
            raise InputError("--save: one seed of a recipe that trains a network, such as quick, gives one model.")
        ensure_writable(options.save.parent)  # before the training, not after it
    config = replace(
        config,
        scene=options.scene,
        split=options.split,
        seed=seeds[0],
        device=options.device,
        workspace=ensure_writable(options.workspace),
        save=options.save,
    )
    ensure_writable(options.records)
    for record, class_map in [run(config)] if len(seeds) == 1 else run_seeds(config, seeds):
        path = record_path(options.records, record.scene, config.split, record.recipe, record.seed, record.id)
        if options.map:
            write_class_map(class_map, path.with_suffix(".png"), len(record.metrics["confusion"]))
        write_record(record, path)
        print(summary(record))
        print(path, flush=True)


def summary(record: Record) -> str:
    """What was run and what came of it, in a line."""
    together = f", {record.timing[SEEDS_TOGETHER]} seeds at once" if SEEDS_TOGETHER in record.timing else ""
    return (
        f"{record.recipe} on {record.scene}, {record.split['spec']}, seed {record.seed}: "
        f"OA {record.metrics['overall_accuracy']:.2%}, AA {record.metrics['average_accuracy']:.2%}, "
        f"kappa {record.metrics['kappa']:.4f}; fit {record.timing['fit_s']:.1f} s{together}, "
        f"predict {record.timing['predict_s']:.1f} s"
    )
