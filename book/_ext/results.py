"""What the book says about results comes from here, and this takes it from run records.

- role ``{val}`QUERY|FORMAT` ``: a number with a tooltip that says where it comes from; beside Python's formats there is
  ``+.1pp`` for a difference of shares in percentage points;
- directive ``results-table``: recipes by splits for one scene, mean ± standard deviation;
- directive ``fresh-run``: the reader's own run beside the committed ones.

A number that was never measured is an error for the role; the table says so and gives the command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from readme_table import marks, unusual_seeds
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from hsilib.errors import InputError
from hsilib.records import Record, read_records
from onepercent.recipes import RECIPES
from onepercent.report.query import Results, has_recipes_own_settings, run_command, split_variant
from onepercent.report.statistics import STATISTICS

logger = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
COMMITTED, FRESH = ROOT / "results" / "records", ROOT / "results" / "fresh"


def committed(env: Any) -> Results:
    """The committed records, read once a build."""
    if not hasattr(env, "hsi_results"):
        env.hsi_results = Results(COMMITTED)
    return env.hsi_results  # type: ignore[no-any-return]


class Val(SphinxRole):
    """``{val}`indian-pines/percent:0.01/quick/overall_accuracy:mean|.1%` ``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Print the number; a query without an answer fails the build."""
        query, _, form = self.text.partition("|")
        try:
            answer = committed(self.env).query(query)
            text = formatted(answer.value, form or "g")
        except (InputError, ValueError) as error:
            logger.warning("val %r: %s", self.text, error, location=self.get_location(), type="hsi", subtype="val")
            return [nodes.problematic(text=self.text)], []
        node = nodes.abbreviation("", "", nodes.inline(text, text, classes=["hsi-val"]), explanation=answer.source())
        return [node], []


def formatted(value: float, form: str) -> str:
    """The number as Python formats it, with a space before the sign; ``+.1pp`` gives percentage points."""
    if form.endswith("pp"):
        return f"{format(100 * value, form.removesuffix('pp') + 'f')} points"
    return format(value, form).replace("%", " %")


class ResultsTable(SphinxDirective):
    """Overall accuracy (or ``:metric:``) of recipes under splits, on the scenes that are the arguments."""

    required_arguments = 1
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {
        "splits": directives.unchanged_required,
        "recipes": directives.unchanged,
        "metric": directives.unchanged,
        "heads": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """A table: a row a recipe, a column a scene and split; below it, the commands for what is missing."""
        scenes = " ".join(self.arguments).split()
        metric = self.options.get("metric", "overall_accuracy")
        columns = [(scene, split) for scene in scenes for split in self.options["splits"].split()]
        names = self.options["recipes"].split() if "recipes" in self.options else list(RECIPES)
        heads = self.options["heads"].split("|") if "heads" in self.options else [split for _, split in columns]
        results = committed(self.env)
        rows = []
        for name in names:
            signs = nodes.Text(marks(base_of(name)))
            cells: list[nodes.Node] = [nodes.inline("", "", nodes.literal(text=name), signs)]
            cells += [accuracy_cell(results, scene, split, name, metric) for scene, split in columns]
            rows.append(cells)
        missing = [
            f"{run_command(f'{scene}/{split}/{name}')} --seed 0"
            for name in names
            for scene, split in columns
            if not results.cell(scene, split, name)
        ]
        built: list[nodes.Node] = [table(["recipe", *heads], rows), *legend([base_of(name) for name in names])]
        if missing:
            built.append(nodes.paragraph(text="To measure what is missing:"))
            built.append(nodes.literal_block(text="\n".join(missing), language="sh"))
        return built


def base_of(name: str) -> str:
    """The recipe of a query's name."""
    return split_variant(name)[0]


def legend(names: list[str]) -> list[nodes.Node]:
    """What the signs behind these recipes mean."""
    built: list[nodes.Node] = []
    daggers = dict.fromkeys(f"{name}: {RECIPES[name].dagger}" for name in names if RECIPES[name].dagger)
    if daggers:
        text = f"† set while looking at test pixels, and to be set anew on training pixels: {'; '.join(daggers)}."
        built.append(nodes.paragraph(text=text))
    if any("‡" in marks(name) for name in names):
        built.append(nodes.paragraph(text="‡ sees 1.5 % of the labels: it chooses its epoch by 0.5 %, as described."))
    return built


def accuracy_cell(results: Results, scene: str, split: str, name: str, metric: str) -> nodes.Node:
    """``mean ± std`` in percent with its source as a tooltip."""
    records = results.cell(scene, split, name)
    if not records:
        return nodes.emphasis(text="not measured yet")
    values = [100 * float(record.metrics[metric]) for record in records]
    mean, spread, half = (STATISTICS[statistic](values) for statistic in ("mean", "std", "ci95"))
    text = f"{mean:.1f} ± {spread:.1f}" if len(values) > 1 else f"{mean:.1f}"
    source = results.query(f"{scene}/{split}/{name}/{metric}").source()
    if len(values) > 1:
        source += f"; 95 % interval of the mean {mean - half:.1f} to {mean + half:.1f}"
    number = nodes.abbreviation("", "", nodes.inline(text, text, classes=["hsi-val"]), explanation=source)
    return nodes.inline("", "", number, nodes.Text(unusual_seeds(len(values))))  # a line may end between the two


class FreshRun(SphinxDirective):
    """The run of ``make book`` on this machine beside the committed record of the same seed."""

    def run(self) -> list[nodes.Node]:
        """A table and a sentence, or how to get one."""
        fresh = newest(FRESH)
        if fresh is None:
            return [paragraph("This copy of the book was built without a fresh run. ", "make book", " adds one.")]
        self.env.note_dependency(str(fresh.path))
        name, scene, split = fresh.recipe, fresh.scene, fresh.split["spec"]
        cell = committed(self.env).cell(scene, split, name)
        same = next((record for record in cell if record.id == fresh.id), None)
        if same is None:
            return [paragraph("The fresh run has no committed counterpart: ", str(fresh.path), ".")]
        rows: list[list[nodes.Node]] = []
        for label, pick in (
            ("overall accuracy", lambda r: f"{r.metrics['overall_accuracy']:.2%}"),
            ("average accuracy", lambda r: f"{r.metrics['average_accuracy']:.2%}"),
            ("kappa", lambda r: f"{r.metrics['kappa']:.4f}"),
            ("training time", lambda r: f"{r.timing['fit_s']:.1f} s"),
            ("device", lambda r: r.provenance["device"]),
            ("torch", lambda r: r.provenance["versions"]["torch"]),
            ("commit", lambda r: (r.provenance["git_commit"] or "none")[:8]),
        ):
            rows.append([nodes.Text(label), nodes.Text(pick(same)), nodes.Text(pick(fresh))])
        title = f"{name} on {scene}, {split}, seed {fresh.seed}"
        return [table([title, "committed", "this machine"], rows), verdict(same, fresh, cell)]


def verdict(same: Record, fresh: Record, cell: list[Record]) -> nodes.Node:
    """Whether the two agree: exactly, or within twice the spread that other seeds show."""
    if same.metrics["confusion"] == fresh.metrics["confusion"]:
        return paragraph("They agree exactly, pixel count by pixel count.")
    accuracies = [100 * float(record.metrics["overall_accuracy"]) for record in cell]
    difference = 100 * (fresh.metrics["overall_accuracy"] - same.metrics["overall_accuracy"])
    spread = STATISTICS["std"](accuracies)
    word = "agree" if abs(difference) <= 2 * spread else "do not agree"
    return paragraph(
        f"They {word}: the fresh run differs by {difference:+.2f} points; the {len(accuracies)} committed seeds have a "
        f"standard deviation of {spread:.2f} points, and up to twice that counts as agreement. Other "
        f"processors and other numbers of threads round differently, and training amplifies it."
    )


def newest(folder: Path) -> Record | None:
    """The record below ``folder`` that was started last."""
    records = filter(has_recipes_own_settings, read_records(folder))
    return max(records, key=lambda record: record.provenance["started_utc"], default=None)


def paragraph(*texts: str) -> nodes.paragraph:
    """A paragraph; every second text is shown as code."""
    parts = [nodes.literal(text=text) if i % 2 else nodes.Text(text) for i, text in enumerate(texts)]
    return nodes.paragraph("", "", *parts)


def table(head: list[str], rows: list[list[nodes.Node]]) -> nodes.table:
    """A docutils table; a cell is text, or a container of paragraphs."""
    group = nodes.tgroup(cols=len(head))
    group.extend(nodes.colspec(colwidth=1) for _ in head)
    body = nodes.tbody()
    header: list[nodes.Node] = [nodes.Text(text) for text in head]
    for parent, cells in [(nodes.thead(), header), *((body, row) for row in rows)]:
        blocks = [cell if isinstance(cell, nodes.container) else nodes.paragraph("", "", cell) for cell in cells]
        parent += nodes.row("", *(nodes.entry("", block) for block in blocks))
        if parent is not body:
            group += parent
    group += body
    return nodes.table("", group, classes=["hsi-table"])


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry point."""
    app.add_role("val", Val())
    app.add_directive("results-table", ResultsTable)
    app.add_directive("fresh-run", FreshRun)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
