"""``hsilib claims``: the claims ledger on the terminal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from onepercent.cli.common import table

if TYPE_CHECKING:
    from onepercent.cli.common import Commands


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    judging = commands.add_parser("claims", help="hold what the descriptions state against the records")
    judging.add_argument("--records", type=Path, help="folder of records (default: the checkout's results/records)")
    judging.set_defaults(command=show_claims)


def show_claims(options: argparse.Namespace) -> None:
    """Print the claims ledger: a row a claim, then how many of each verdict, then the commands for what is missing."""
    from onepercent.report.claims import Verdict, judge
    from onepercent.report.claims_reader import claims_file, read_claims
    from onepercent.report.query import Results, records_folder

    results = Results(options.records or records_folder())
    findings = [judge(claim, results) for claim in read_claims(claims_file()).claims]
    rows = [("CLAIM", "STATED", "MEASURED", "VERDICT")]
    rows += [(f.claim.id, f.claim.stated, f.measured or "–", f.verdict.value) for f in findings]
    print(table(rows))
    print("\n" + ", ".join(f"{sum(f.verdict == v for f in findings)} {v.value}" for v in Verdict))
    missing = [finding.claim for finding in findings if finding.verdict == Verdict.NOT_MEASURED]
    commands = dict.fromkeys(command for claim in missing for command in claim.commands)
    if commands:
        print("\nTo measure what is missing:", *commands, sep="\n  ")
