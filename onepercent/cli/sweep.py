"""``hsilib sweep``: run a campaign."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from onepercent.cli.common import running_options

if TYPE_CHECKING:
    from onepercent.cli.common import Commands


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    sweeping = commands.add_parser(
        "sweep", parents=[running_options()], help="run a campaign: everything in its grid that has no record yet"
    )
    sweeping.add_argument("campaign", type=Path, metavar="CAMPAIGN.yaml", help="such as results/campaigns/ruler.yaml")
    where = sweeping.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=_workers,
        metavar="N",
        help="tasks at a time, each a process; auto, the default: on the CPU a run a core, on a GPU one, in which all "
        "seeds of a network are trained together",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a dask scheduler such as tcp://host:8786 hands out the runs (a task again if its worker dies); its "
        "workers must see this folder and the records. local starts two worker processes here",
    )
    sweeping.set_defaults(command=run_campaign)


def run_campaign(options: argparse.Namespace) -> int:
    """Run a campaign; 1 where some of its runs failed."""
    from onepercent.campaigns.sweep import sweep

    failed = sweep(options.campaign, options.records, options.workers, options.device, options.scheduler)
    return int(failed > 0)


def _workers(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number above 0, nor auto")
