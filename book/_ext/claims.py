"""The claims ledger as pages show it: ``book/claims.yml`` held against the run records when the book is built.

- directive ``claims-summary``: how many claims have which verdict;
- directive ``claims-ledger``: a table a section, or those whose names are the argument, such as ``A9 B``;
- directive ``published-table``: results of others as printed, with their protocols.
"""

from __future__ import annotations

from typing import Any

from address import address, slug
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from hsilib.data.catalog import catalog
from onepercent.report.claims import SUBJECTS, Claim, Finding, judge
from onepercent.report.claims_reader import Ledger, read_claims
from onepercent.report.query import query_cells
from onepercent.report.verdict import Verdict
from results import ROOT, committed, paragraph, table

CLAIMS = ROOT / "book" / "claims.yml"
QUICKSTART = "01_quickstart.ipynb"  # runs one recipe on one scene and shows what comes of it
# The sign and the words say it, too: no reader needs the colours.
SIGNS = {
    Verdict.SUPPORTED: "✓",
    Verdict.EXCEEDS: "⇑",
    Verdict.CONTRADICTED: "✗",
    Verdict.UNDECIDED: "?",
    Verdict.CONSISTENT: "=",
    Verdict.INCONSISTENT: "≠",
    Verdict.OUR_READING: "○",
    Verdict.NEEDS_SCENE: "…",
    Verdict.NEEDS_DEVICE: "…",
}


def findings(env: Any) -> tuple[Ledger, list[Finding]]:
    """The ledger and what was found, judged once a build."""
    env.note_dependency(str(CLAIMS))
    if not hasattr(env, "hsi_findings"):
        ledger = read_claims(CLAIMS)
        env.hsi_findings = ledger, [judge(claim, committed(env)) for claim in ledger.claims]
    return env.hsi_findings  # type: ignore[no-any-return]


class ClaimsSummary(SphinxDirective):
    """How many claims of each subject have which verdict: performance, cost, setting and text apart."""

    def run(self) -> list[nodes.Node]:
        """A row a verdict that occurs, a column a subject; then the same for what was decided on scenes at hand."""
        _, found = findings(self.env)
        here = [finding for parent in found for _, finding in parent.here]
        built: list[nodes.Node] = []
        for what, group in (("As stated", found), ("Decided here, on scenes at hand", here)):
            subjects = [subject for subject in SUBJECTS if any(f.claim.subject == subject for f in group)]
            rows: list[list[nodes.Node]] = [
                [badge(verdict), *(nodes.Text(str(count(group, subject, verdict) or "–")) for subject in subjects)]
                for verdict in Verdict
                if any(finding.verdict == verdict for finding in group)
            ]
            built += [nodes.rubric(text=f"{what}: {len(group)} claims"), table(["", *subjects], rows)]
        return built


def count(found: list[Finding], subject: str, verdict: Verdict) -> int:
    """Claims of a subject with a verdict."""
    return sum(finding.claim.subject == subject and finding.verdict == verdict for finding in found)


class ClaimsLedger(SphinxDirective):
    """A table for each section of the ledger: claim, stated, as stated, decided here."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Heading and table of each section."""
        ledger, found = findings(self.env)
        wanted = " ".join(self.arguments).split() or list(ledger.sections)
        built: list[nodes.Node] = []
        for source in wanted:
            if source not in ledger.sections:
                raise self.error(f"claims-ledger: no section {source!r}; there are {', '.join(ledger.sections)}.")
            rows: list[list[nodes.Node]] = [
                [claim_cell(finding.claim), stated_cell(finding.claim), measured_cell(finding), here_cell(finding)]
                for finding in found
                if finding.claim.source == source
            ]
            built.append(nodes.rubric(text=f"{source}: {ledger.sections[source]}"))
            ledger_table = table(["claim", "stated", "as stated", "decided here"], rows)
            ledger_table["classes"].append("hsi-ledger")
            built.append(ledger_table)
        return built


class PublishedTable(SphinxDirective):
    """What others printed, under their own protocols; nothing in it was measured here."""

    def run(self) -> list[nodes.Node]:
        """A row a method, a column a scene."""
        ledger, _ = findings(self.env)
        scenes = list(dict.fromkeys(scene for row in ledger.published for scene in row.scores))
        rows: list[list[nodes.Node]] = [
            [nodes.Text(text) for text in (row.method, *(row.scores.get(s, "–") for s in scenes), row.protocol)]
            for row in ledger.published
        ]
        return [table(["method", *(f"{catalog()[scene].title} (%)" for scene in scenes), "protocol"], rows)]


def badge(verdict: Verdict) -> nodes.inline:
    """The verdict in words with its sign; the colour comes from the class."""
    classes = ["hsi-verdict", f"hsi-verdict-{verdict.name.lower().replace('_', '-')}"]
    return nodes.inline("", f"{SIGNS[verdict]} {verdict.value}", classes=classes)


def claim_cell(claim: Claim) -> nodes.container:
    """The claim in words and its name."""
    name = nodes.literal(text=claim.id)
    return nodes.container("", paragraph(claim.claim), nodes.paragraph("", "", name), classes=["hsi-claim"])


def stated_cell(claim: Claim) -> nodes.Node:
    """The stated value; its tooltip says what counts as agreement."""
    text = f"{claim.stated} (called an estimate)" if claim.estimate else claim.stated
    text += " (bound: ours)" if claim.ours else ""
    if not claim.why:
        return nodes.Text(text)
    kind = {"at-least": "at least this", "at-most": "at most this"}.get(claim.kind, "this")
    unit = "points" if claim.unit == "%" else claim.unit
    bound = "our bound, " if claim.ours else ""
    rule = f"{bound}{kind}, tolerance {claim.tolerance:g} {unit}".strip() + f". {claim.why}"
    return nodes.abbreviation("", "", nodes.inline(text, text, classes=["hsi-val"]), explanation=rule)


def measured_cell(finding: Finding) -> nodes.container:
    """The verdict, and the value with its source; where there is none, why, or how to get it."""
    blocks = verdict_blocks(finding)
    blocks += [paragraph(f"On {label}: {text}.") for label, text in finding.also]
    if not finding.measured:
        blocks += how_to_measure(finding.claim)
    return nodes.container("", *blocks, classes=["hsi-measured"])


def here_cell(finding: Finding) -> nodes.container:
    """The same claim judged on scenes at hand."""
    blocks: list[nodes.Node] = []
    for label, found in finding.here:
        blocks += [nodes.paragraph("", "", nodes.strong(text=label)), *verdict_blocks(found)]
    return nodes.container("", *blocks, classes=["hsi-measured"])


def verdict_blocks(finding: Finding) -> list[nodes.Node]:
    """The verdict; the value with its source; why it is undecided."""
    blocks: list[nodes.Node] = [nodes.paragraph("", "", badge(finding.verdict))]
    if finding.measured:
        value = nodes.inline("", finding.measured, classes=["hsi-val"])
        blocks.append(nodes.paragraph("", "", nodes.abbreviation("", "", value, explanation=finding.source)))
    if finding.why_undecided:
        blocks.append(paragraph(f"{finding.why_undecided[0].upper()}{finding.why_undecided[1:]}."))
    return blocks


def how_to_measure(claim: Claim) -> list[nodes.Node]:
    """The commands and, for a single cell, a link to Colab with what to set there, folded; or why nothing does it."""
    kind, what = claim.measure
    if kind in ("nothing", "reading"):
        return [paragraph(str(what))]
    if kind != "query":
        return []
    built: list[nodes.Node] = [
        nodes.raw("", "<details><summary>how to measure it</summary>", format="html"),
        nodes.literal_block(text="\n".join(claim.commands), language="sh"),
    ]
    cells = set(query_cells(what))
    if len(cells) == 1:
        built.append(colab_link(claim, *cells.pop()))
    return [*built, nodes.raw("", "</details>", format="html")]


def colab_link(claim: Claim, scene: str, split: str, recipe: str) -> nodes.paragraph:
    """Where the number can be seen, with the parameters to set there; the record comes from the command."""
    url = f"https://colab.research.google.com/github/{slug(address())}/blob/main/notebooks/{QUICKSTART}"
    link = nodes.reference("", "in Colab", refuri=url, internal=False)
    gpu = f" on a {claim.device}" if claim.device else ""
    settings = nodes.literal(text=f'scene = "{scene}", split = "{split}", recipe = "{recipe}"')
    return nodes.paragraph(
        "", "", nodes.Text("To see the number, without a record: "), link, nodes.Text(f"{gpu}, with "), settings
    )


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry point."""
    app.add_directive("claims-summary", ClaimsSummary)
    app.add_directive("claims-ledger", ClaimsLedger)
    app.add_directive("published-table", PublishedTable)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
