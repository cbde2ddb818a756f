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
    """Print the claims ledger: a row a claim, how many of each subject have which verdict, commands for the rest."""
    from onepercent.report.claims import SUBJECTS, judge
    from onepercent.report.claims_reader import claims_file, read_claims
    from onepercent.report.query import Results, records_folder
    from onepercent.report.verdict import Verdict

    results = Results(options.records or records_folder())
    findings = [judge(claim, results) for claim in read_claims(claims_file()).claims]
    rows = [("CLAIM", "STATED", "MEASURED", "VERDICT")]
    for finding in findings:
        rows.append((finding.claim.id, finding.claim.stated, finding.measured or "–", finding.verdict.value))
        rows += [("", f"  on {label}", found.measured or "–", found.verdict.value) for label, found in finding.here]
    print(table(rows))
    for subject in SUBJECTS:
        verdicts = [finding.verdict for finding in findings if finding.claim.subject == subject]
        print(f"\n{subject}: " + ", ".join(f"{verdicts.count(v)} {v.value}" for v in Verdict if v in verdicts), end="")
    commands = dict.fromkeys(
        command
        for finding in findings
        if finding.verdict in (Verdict.NEEDS_SCENE, Verdict.NEEDS_DEVICE, Verdict.UNDECIDED)
        for command in finding.claim.commands
    )
    print("\n\nTo measure what is missing or undecided:", *commands, sep="\n  ")
