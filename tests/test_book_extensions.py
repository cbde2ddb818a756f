"""The book's Sphinx extensions: they show what was measured, and a number that was never measured fails the build."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from hsilib import Record, read_records
from onepercent.report.claims import SUBJECTS, judge
from onepercent.report.claims_reader import read_claims
from onepercent.report.query import Results
from onepercent.report.verdict import Verdict
from tests.test_house import NOTEBOOKS, ROOT, extension

CONF = f"""
import sys
sys.path.insert(0, {str(ROOT / "book" / "_ext")!r})
extensions = ["myst_parser", "claims", "results", "mathml"]
myst_enable_extensions = ["dollarmath"]
html_math_renderer = "mathml"
"""


def build(folder: Path, page: str) -> tuple[int, str, str]:
    """Build one MyST page with warnings as errors; return the exit code, the page and the messages."""
    (folder / "conf.py").write_text(CONF, encoding="utf-8")
    (folder / "index.md").write_text(f"# Page\n\n{page}\n", encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(folder), str(folder / "html")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    built = folder / "html" / "index.html"
    return result.returncode, built.read_text(encoding="utf-8") if built.exists() else "", result.stderr


@pytest.fixture(scope="module")
def cell() -> list[Record]:
    """The committed records behind the headline number."""
    folder = ROOT / "results" / "records" / "indian-pines" / "percent-0.01" / "coordinates-1nn"
    return list(read_records(folder))


@pytest.mark.slow
def test_page_shows_the_mean_of_the_records_with_their_source(tmp_path: Path, cell: list[Record]) -> None:
    mean = sum(r.metrics["overall_accuracy"] for r in cell) / len(cell)
    query = "indian-pines/percent:0.01/coordinates-1nn/overall_accuracy"
    page = f"{{val}}`{query}|.2%` and $\\sqrt{{2}}$\n\n```{{results-table}} salinas\n:splits: percent:0.01\n"
    code, html, messages = build(tmp_path, page + ":recipes: coordinates-1nn svm\n```")
    assert code == 0, messages
    assert f"{mean:.2%}".replace("%", " %") in html
    assert "10 seeds (0…9)" in html
    assert cell[0].provenance["data_sha256"][:8] in html
    assert "not measured yet" in html
    text = re.sub(r"<[^>]+>", "", html)
    assert "hsilib run svm --scene salinas --split percent:0.01 --seed 0" in text
    assert "<msqrt>" in html


@pytest.mark.slow
@pytest.mark.parametrize(
    "query", ["indian-pines/percent:0.01/coordinates-1nn/accuracy|.1%", "mars/percent:0.01/svm/kappa|.1f", "nonsense"]
)
def test_a_number_that_was_never_measured_fails_the_build(tmp_path: Path, query: str) -> None:
    code, _, messages = build(tmp_path, f"{{val}}`{query}`")
    assert code != 0
    assert query in messages


@pytest.mark.slow
def test_page_shows_a_paired_difference_in_points(tmp_path: Path, cell: list[Record]) -> None:
    others = Results(ROOT / "results" / "records").cell("indian-pines", "percent:0.01", "svm")
    svm = {r.seed: r.metrics["overall_accuracy"] for r in others}
    difference = sum(r.metrics["overall_accuracy"] - svm[r.seed] for r in cell) / len(cell)
    first, second = (f"indian-pines/percent:0.01/{name}/overall_accuracy" for name in ("coordinates-1nn", "svm"))
    code, html, messages = build(tmp_path, f"{{val}}`{first} - {second}:mean|+.2pp`")
    assert code == 0, messages
    assert f"{100 * difference:+.2f} points" in html
    assert "coordinates-1nn on indian-pines, percent:0.01 and svm on indian-pines, percent:0.01" in html


@pytest.mark.slow
def test_page_shows_the_ledger_with_verdicts_commands_and_links(tmp_path: Path) -> None:
    page = "```{claims-summary}\n```\n\n```{claims-ledger}\n```\n\n```{published-table}\n```"
    code, html, messages = build(tmp_path, page)
    assert code == 0, messages
    ledger = read_claims(ROOT / "book" / "claims.yml")
    rows = {row.partition("</tr>")[0] for row in html.split("<tr")}
    found = {claim.id: next(row for row in rows if f">{claim.id}<" in row) for claim in ledger.claims}
    results = Results(ROOT / "results" / "records")
    findings = {claim.id: judge(claim, results) for claim in ledger.claims}
    for name, finding in findings.items():
        badges = re.findall(r'<span class="hsi-verdict (hsi-verdict-[\w-]+)">. ([\w ]+)</span>', found[name])
        expected = [finding.verdict, *(here.verdict for _, here in finding.here)]
        assert [words for _, words in badges] == [verdict.value for verdict in expected], name
        assert badges[0][0] == f"hsi-verdict-{finding.verdict.name.lower().replace('_', '-')}"
        for shown in (finding, *(here for _, here in finding.here)):
            assert shown.why_undecided[1:] in found[name]
    # The summary counts each subject apart; its rows are the verdicts that occur.
    summary = html.partition("<table")[2].partition("</table>")[0]
    assert "&lt;" not in summary
    for verdict in Verdict:
        mine = [f.claim.subject for f in findings.values() if f.verdict == verdict]
        shown = [row for row in summary.split("<tr")[1:] if f" {verdict.value}<" in row]
        assert len(shown) == (1 if mine else 0)
        for row in shown:
            cells = [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row, flags=re.DOTALL)]
            assert cells[1:] == [str(mine.count(subject) or "–") for subject in SUBJECTS]
    # What needs a GPU is never measured by records from a CPU.
    row = found["training-time-pavia"]
    text = re.sub(r"<[^>]+>", "", row)
    assert "hsilib fetch pavia-university\nhsilib run paper --scene pavia-university" in text
    address = extension("address")
    link = f"https://colab.research.google.com/github/{address.slug(address.address())}/blob/main/notebooks/"
    assert f'href="{link}01_quickstart.ipynb"' in row
    assert "on a T4" in text
    # Others' numbers and ours are never in one table.
    tables = html.split("<table")
    assert not any("97.48 ± 0.44" in part and "hsi-verdict" in part for part in tables)


@pytest.mark.slow
def test_an_unknown_section_of_the_ledger_fails_the_build(tmp_path: Path) -> None:
    code, _, messages = build(tmp_path, "```{claims-ledger} A99\n```")
    assert code != 0
    assert "no section 'A99'" in messages


def test_verdict_on_a_fresh_run(cell: list[Record], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")  # one extension imports another
    results = extension("results")
    same = cell[0]
    assert "agree exactly" in results.verdict(same, same, cell).astext()
    values = [r.metrics["overall_accuracy"] for r in cell]
    mean = sum(values) / len(values)
    spread = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5
    for factor, agrees in ((1.9, True), (-1.9, True), (2.1, False), (-2.1, False)):
        metrics = {**same.metrics, "confusion": [], "overall_accuracy": values[0] + factor * spread}
        text = results.verdict(same, replace(same, metrics=metrics), cell).astext()
        assert text.startswith("They agree" if agrees else "They do not agree"), factor


def test_docstrings_move_descriptions_behind_the_name() -> None:
    lines = [
        "Do it.",
        "",
        "Parameters",
        "----------",
        "a, b : two",
        "    things.",
        "",
        "Returns",
        "-------",
        "Three.",
        "",
    ]
    lines += ["Raises", "------", "InputError : never."]
    expected = ["Do it.", "", "Parameters", "----------", "a, b", "    two", "    things.", ""]
    expected += ["Raises", "------", "InputError", "    never.", "", ":returns:", "    Three.", "", ""]
    assert extension("docstrings").rewrite(lines) == expected


def test_notebooks_are_cleaned_of_what_is_no_result() -> None:
    stream = nbformat.v4.new_output("stream", name="stderr")
    stream.text = (
        "\rfit:  10%|█  | 1/9\rfit: 100%|███| 9/9\n/x/site-packages/tqdm.py:21: TqdmWarning: no\n  import it\nkept\n"
    )
    result = nbformat.v4.new_output("stream", name="stdout", text="accuracy 0.5 of 100%|\n")
    code = nbformat.v4.new_code_cell("1", outputs=[stream, result], metadata={"papermill": {}, "tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[code], metadata={"papermill": {"input_path": "/somewhere"}})
    extension("clean_notebooks").clean(notebook)
    assert [output.text for output in code.outputs] == ["kept\n", "accuracy 0.5 of 100%|\n"]
    assert dict(code.metadata) == {"tags": ["parameters"]}
    assert "papermill" not in notebook.metadata


PAGE = """<link rel="canonical" href="https://a.b/page.html"><link rel="stylesheet" href="../_static/hsi.css">
<title>Page</title><p>a | b</p><p>see <a href="https://a.b/x.svg"><img alt="x" src="../_images/x.svg"></a></p>
<pre><span>| a |</span> &lt;img src="https://a.b/x.svg"&gt;</pre>"""


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        ("<p>| a | b |\n| — | — |\n| 1 | 2 |</p>", "shows a table as text: | a | b |"),
        ('<p class="x">\n| a |</p>', "shows a table as text: | a |"),
        ('<img alt="badge" src="https://a.b/badge.svg">', "loads https://a.b/badge.svg from outside"),
        ('<source type="image/png" srcset="//a.b/c.png 2x">', "loads //a.b/c.png 2x from outside"),
        ('<script async src="https://a.b/c.js"></script>', "loads https://a.b/c.js from outside"),
        ('<link href="https://a.b/c.css" rel="stylesheet">', "loads https://a.b/c.css from outside"),
        ('<meta property="og:site_name" content="Project name not set" />', "says that the project has no name"),
        (
            '<th><p>&lt;inline classes="x"&gt;supported&lt;/inline&gt;</p></th>',
            "shows markup as text: &lt;inline classes",
        ),
    ],
)
def test_a_fault_of_a_built_page_is_found(
    added: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_built = extension("check_built")
    assert check_built.faults(PAGE) == []
    (found,) = check_built.faults(PAGE + added)
    assert found.startswith(fault)
    monkeypatch.setattr("sys.argv", ["check_built.py", str(tmp_path)])
    with pytest.raises(SystemExit, match="no built page"):
        check_built.main()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "page.html").write_text(PAGE, encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        check_built.main()
    assert end.value.code == 0
    (tmp_path / "folder" / "page.html").write_text(PAGE + added, encoding="utf-8")
    with pytest.raises(SystemExit, match=re.escape(f"page.html: {fault}")):
        check_built.main()


def test_building_the_book_ends_with_the_check() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nbuild:")[2].partition("\n\n")[0]
    assert recipe.splitlines()[-1].strip() == "$(BIN)/python book/_ext/check_built.py _build/html"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_built_notebooks_show_our_own_badge(path: Path) -> None:
    badge = extension("colab_badge")
    source = [path.read_text(encoding="utf-8")]
    badge.use_ours(None, path.stem, source)
    assert f"[![Open in Colab]({badge.OURS})](https://colab.research.google.com/github/" in source[0]
    assert badge.GOOGLES not in source[0]
    assert (ROOT / badge.OURS.lstrip("/")).is_file()
