"""The command line: ``hsilib scenes | fetch | run | sweep | claims``.

Exit codes: 0 done, 1 some runs of a campaign failed, 2 the input cannot be used (one sentence on
standard error says why), 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hsilib.campaign import sweep
from hsilib.config import RECIPES, recipe, setting_names, with_overrides
from hsilib.data.catalog import CatalogEntry, catalog
from hsilib.data.load import GENERATED, availability, fetch
from hsilib.errors import InputError
from hsilib.experiment import run
from hsilib.files import ensure_writable
from hsilib.reporting.claims import Verdict, judge
from hsilib.reporting.claims_reader import claims_file, read_claims
from hsilib.reporting.class_map import write_class_map
from hsilib.reporting.query import Results, records_folder
from hsilib.reporting.records import record_path, write_record

DEFAULT_RECORDS = Path("results/records")
DEFAULT_WORKSPACE = Path("results/work")


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

    scenes = commands.add_parser("scenes", help="list the scenes: what, where from, licence, at hand or not")
    scenes.set_defaults(command=show_scenes)

    fetching = commands.add_parser("fetch", help="download scenes, checking every byte")
    fetching.add_argument("names", nargs="+", metavar="NAME", help="a name that `hsilib scenes` lists")
    fetching.set_defaults(command=fetch_scenes)

    # What `run` and `sweep` have in common.
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--records", type=Path, default=DEFAULT_RECORDS, help="folder of records (%(default)s)")
    common.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto takes CUDA when found")

    running = commands.add_parser(
        "run",
        parents=[common],
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

    sweeping = commands.add_parser(
        "sweep", parents=[common], help="run a campaign: everything in its grid that has no record yet"
    )
    sweeping.add_argument("campaign", type=Path, metavar="CAMPAIGN.yaml", help="such as results/campaigns/ruler.yaml")
    sweeping.add_argument("--workers", type=int, default=1, help="runs at a time (%(default)s)")
    sweeping.set_defaults(command=run_campaign)

    judging = commands.add_parser("claims", help="hold what the descriptions state against the records")
    judging.add_argument("--records", type=Path, help="folder of records (default: the checkout's results/records)")
    judging.set_defaults(command=show_claims)
    return parser


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


def show_scenes(options: argparse.Namespace) -> None:
    """Print the catalogue as a table, then what is known to be wrong with a scene."""
    rows: list[tuple[str, ...]] = [("NAME", "SIZE", "CLASSES", "AT HAND", "WHAT", "LICENCE", "SOURCE")]
    rows += [_scene_row(entry) for entry in catalog().values()]
    for name, scene in GENERATED.items():
        size = f"{scene.rows} × {scene.cols} × {scene.n_bands}"
        rows.append((name, size, str(scene.n_classes), "yes", "generated", "MIT", "hsilib.data.synthetic"))
    print(_table(rows))
    for entry in catalog().values():
        if entry.damage:
            print(f"\n{entry.name} is {entry.damage}.")


def _scene_row(entry: CatalogEntry) -> tuple[str, ...]:
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
    for name in options.names:
        paths = fetch(name)
        print(f"{name}: {', '.join(map(str, paths)) or 'nothing to download'}")


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


def run_campaign(options: argparse.Namespace) -> int:
    """Run a campaign; 1 where some of its runs failed."""
    return int(sweep(options.campaign, options.records, options.workers, options.device) > 0)


def show_claims(options: argparse.Namespace) -> None:
    """Print the claims ledger: a row a claim, then how many of each verdict, then the commands for what is missing."""
    results = Results(options.records or records_folder())
    findings = [judge(claim, results) for claim in read_claims(claims_file()).claims]
    rows = [("CLAIM", "STATED", "MEASURED", "VERDICT")]
    rows += [(f.claim.id, f.claim.stated, f.measured or "–", f.verdict.value) for f in findings]
    print(_table(rows))
    print("\n" + ", ".join(f"{sum(f.verdict == v for f in findings)} {v.value}" for v in Verdict))
    missing = [finding.claim for finding in findings if finding.verdict == Verdict.NOT_MEASURED]
    commands = dict.fromkeys(command for claim in missing for command in claim.commands)
    if commands:
        print("\nTo measure what is missing:", *commands, sep="\n  ")


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as their longest cell; the last one is not filled up."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    filled = ([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]] for row in rows)
    return "\n".join("  ".join(cells) for cells in filled)


if __name__ == "__main__":
    sys.exit(main())
