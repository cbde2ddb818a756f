"""``hsilib run``: train and measure one recipe."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onepercent.cli.common import running_options
from onepercent.cli.recipes import describe_recipe

if TYPE_CHECKING:
    from hsilib.records import Record
    from onepercent.cli.common import Commands

DEFAULT_WORKSPACE = Path("results/work")


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    running = commands.add_parser(
        "run",
        parents=[running_options()],
        add_help=False,
        help="train and measure one recipe; the record's path is the last line on standard output",
        description="Train and measure one recipe; the record's path is the last line on standard output.",
    )
    running.add_argument(
        "-h", "--help", action=_Help, nargs=0, help="this text; behind RECIPE, also the keys of its settings"
    )
    running.add_argument("recipe", metavar="RECIPE", help="a name that `hsilib recipes` lists")
    running.add_argument("--scene", default="indian-pines", help="a scene's name, FILE.npz, or CUBE,GROUND_TRUTH")
    running.add_argument(
        "--split",
        default="percent:0.01",
        help="percent:0.01 (the default: 1 %% of each class), count:10, total:0.01, fields:2:7:percent:0.01, "
        "folds:5:14:percent:0.01, blocks:32:7:count:30 or mask:FILE",
    )
    running.add_argument(
        "--seed",
        type=int,
        nargs="+",
        default=[0],
        metavar="N",
        help="draws the split and the training (default: 0). Several give a record each, one after the other; on CUDA "
        "networks are trained together, without checkpoints of an interrupted run",
    )
    running.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting; repeatable. `hsilib recipes RECIPE` lists the keys",
    )
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


class _Help(argparse.Action):
    """Prints the options; where a recipe was named before, also the keys of its settings."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *_: Any) -> None:
        settings = describe_recipe(namespace.recipe) if namespace.recipe else ""  # first: the name may be unknown
        parser.print_help()
        if settings:
            print(f"\n{settings}")
        parser.exit()


def run_recipe(options: argparse.Namespace) -> None:
    """Run one recipe and write a record a seed; the (last) record's path is the last line on standard output."""
    from hsilib.config import with_overrides
    from hsilib.errors import InputError
    from hsilib.files import ensure_writable
    from hsilib.network_method import NetworkOptions
    from hsilib.records import record_path, write_record
    from onepercent.many_seeds.run_seeds import run_seeds
    from onepercent.recipes import recipe
    from onepercent.report.png_map import write_class_map

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
        device=options.device,
        workspace=ensure_writable(options.workspace),
        save=options.save,
    )
    ensure_writable(options.records)
    for record, class_map in run_seeds(config, seeds):
        path = record_path(options.records, record.scene, config.split, record.recipe, record.seed, record.id)
        if options.map:
            write_class_map(class_map, path.with_suffix(".png"), len(record.metrics["confusion"]))
        write_record(record, path)
        print(summary(record))
        print(path, flush=True)


def summary(record: Record) -> str:
    """What was run and what came of it, in a line."""
    from hsilib.method import SEEDS_TOGETHER

    together = f", {record.timing[SEEDS_TOGETHER]} seeds at once" if SEEDS_TOGETHER in record.timing else ""
    return (
        f"{record.recipe} on {record.scene}, {record.split['spec']}, seed {record.seed}: "
        f"OA {record.metrics['overall_accuracy']:.2%}, AA {record.metrics['average_accuracy']:.2%}, "
        f"kappa {record.metrics['kappa']:.4f}; fit {record.timing['fit_s']:.1f} s{together}, "
        f"predict {record.timing['predict_s']:.1f} s"
    )
