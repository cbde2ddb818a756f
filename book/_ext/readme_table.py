"""Write the result table of README.md from the committed records: `make readme`.

README.md is shown where no Sphinx runs, so its numbers are copied; a test compares the copy with the records.
"""

from __future__ import annotations

from pathlib import Path

from onepercent.recipes import RECIPES
from onepercent.report.query import Results
from onepercent.report.statistics import STATISTICS

ROOT = Path(__file__).resolve().parents[2]
START, END = "<!-- results: written by `make readme` from results/records -->\n", "<!-- /results -->\n"
COLUMNS = {
    "random pixels": ("indian-pines", "percent:0.01"),
    "random pixels, repaired cube": ("indian-pines-repaired", "percent:0.01"),
    "new fields": ("indian-pines", "fields:2:7:percent:0.01"),
    "new fields, repaired cube": ("indian-pines-repaired", "fields:2:7:percent:0.01"),
}
ROWS = {
    "majority": "the most frequent class, everywhere",
    "coordinates-1nn": "nearest training pixel, no spectra",
    "superpixel-vote": "superpixels, no classifier",
    "geodesic-1nn": "nearest label along the image, no classifier",
    "svm": "SVM on spectra",
    "random-forest": "random forest on spectra",
    "svm-multiscale": "SVM on neighbourhood means",
    "quick": "dual-branch model, core only",
    "paper": "dual-branch model, everything described",
}
SEEDS = 10  # what the text beside a table says, here and in the book; another number is given in the cell


def unusual_seeds(n: int) -> str:
    """How many seeds a cell has, where that is not what the text says of all."""
    return "" if n == SEEDS else " (one seed)" if n == 1 else f" ({n} seeds)"


def marks(name: str) -> str:
    """Signs behind a recipe's name: † something of it was set on test pixels, ‡ it chooses by 0.5 % more labels."""
    method = RECIPES[name]
    return "†" * bool(method.dagger) + "‡" * method.method.uses_validation


def result_table(results: Results) -> str:
    """The table as Markdown."""
    lines = [f"| | {' | '.join(COLUMNS)} |", "| --- |" + " --- |" * len(COLUMNS)]
    for name, label in ROWS.items():
        cells = []
        for scene, split in COLUMNS.values():
            values = [100 * record.metrics["overall_accuracy"] for record in results.cell(scene, split, name)]
            if len(values) < 2:
                cells.append("not measured yet")
                continue
            spread = f"{STATISTICS['mean'](values):.1f} ± {STATISTICS['std'](values):.1f}"
            cells.append(f"{spread}{unusual_seeds(len(values))}")
        lines.append(f"| {label} (`{name}`{marks(name)}) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def with_table(readme: str, table: str) -> str:
    """README's text with ``table`` between the two markers."""
    before, _, rest = readme.partition(START)
    return f"{before}{START}{table}{END}{rest.partition(END)[2]}"


def main() -> None:
    """Rewrite README.md."""
    path = ROOT / "README.md"
    results = Results(ROOT / "results" / "records")
    path.write_text(with_table(path.read_text(encoding="utf-8"), result_table(results)), encoding="utf-8")


if __name__ == "__main__":
    main()
