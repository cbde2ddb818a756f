"""``hsilib sweep``: run a campaign."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hsilib.campaign import sweep
from hsilib.cli.common import running_options

if TYPE_CHECKING:
    from hsilib.cli.common import Commands


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    sweeping = commands.add_parser(
        "sweep", parents=[running_options()], help="run a campaign: everything in its grid that has no record yet"
    )
    sweeping.add_argument("campaign", type=Path, metavar="CAMPAIGN.yaml", help="such as results/campaigns/ruler.yaml")
    sweeping.add_argument("--workers", type=int, default=1, help="runs at a time (%(default)s)")
    sweeping.set_defaults(command=run_campaign)


def run_campaign(options: argparse.Namespace) -> int:
    """Run a campaign; 1 where some of its runs failed."""
    return int(sweep(options.campaign, options.records, options.workers, options.device) > 0)
