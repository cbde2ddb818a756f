"""The claims ledger: the rule of the verdicts at its edges, what the file may say, and that it names real runs."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
import yaml

from hsilib import InputError, recipe, run
from hsilib.data.catalog import catalog
from hsilib.records import record_id, record_path, write_record
from onepercent.campaigns.campaign import read_campaign
from onepercent.report.claims import Claim, Finding, Verdict, compare, judge
from onepercent.report.claims_measures import calculate, counted, distinct_views
from onepercent.report.claims_reader import claims_file, read_claims
from onepercent.report.complexity import audit
from onepercent.report.query import Results, query_cells, run_command
from tests.helpers import ROOT

LEDGER = ROOT / "book" / "claims.yml"
CELL = "synthetic-tiny/count:2/coordinates-1nn"
ACCURACIES = (0.5, 0.7, 0.9)
CLAIM = Claim(
    id="made-up",
    source="A1",
    claim="It is so.",
    kind="number",
    low=80.0,
    high=80.0,
    unit="%",
    tolerance=1.0,
    why="None.",
    measure=("query", f"{CELL}/overall_accuracy"),
)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Three seeds: mean 0.7, standard deviation 0.2; fitted in 30, 60 and 90 s."""
    config = replace(recipe("coordinates-1nn"), scene="synthetic-tiny", split="count:2")
    record, _ = run(config)
    for seed, accuracy in enumerate(ACCURACIES):
        identity = record_id(config.method, "synthetic-tiny", "count:2", seed)
        metrics = {**record.metrics, "overall_accuracy": accuracy}
        timing = {"fit_s": 30.0 * (seed + 1), "predict_s": 1.0}
        changed = replace(record, id=identity, seed=seed, metrics=metrics, timing=timing)
        path = record_path(tmp_path / "records", "synthetic-tiny", "count:2", "coordinates-1nn", seed, identity)
        write_record(changed, path)
    return Results(tmp_path / "records")


# --- the rule


@pytest.mark.parametrize(
    ("kind", "low", "high", "agrees"),
    [
        ("number", 81.0, 90.0, True),  # touches stated + tolerance
        ("number", 81.1, 90.0, False),
        ("number", 70.0, 79.0, True),
        ("number", 70.0, 78.9, False),
        ("number", 10.0, 99.0, True),
        ("at-least", 95.0, 99.0, True),
        ("at-least", 70.0, 79.0, True),
        ("at-least", 70.0, 78.9, False),
        ("at-most", 10.0, 20.0, True),
        ("at-most", 81.0, 90.0, True),
        ("at-most", 81.1, 90.0, False),
        ("consistency", 81.0, 81.0, True),
        ("consistency", 81.1, 81.1, False),
    ],
)
def test_what_agrees(kind: str, low: float, high: float, agrees: bool) -> None:
    other = Verdict.CONTRADICTS if kind == "consistency" else Verdict.NOT_REPRODUCED
    assert compare(replace(CLAIM, kind=kind), low, high) == (Verdict.REPRODUCED if agrees else other)


@pytest.mark.parametrize(
    ("kind", "value", "agrees"),
    [
        ("number", 78.0, False),
        ("number", 79.0, True),
        ("number", 91.0, True),
        ("number", 92.0, False),
        ("at-least", 78.0, False),
        ("at-least", 92.0, True),
        ("at-most", 78.0, True),
        ("at-most", 92.0, False),
    ],
)
def test_a_stated_range(kind: str, value: float, agrees: bool) -> None:
    claim = replace(CLAIM, kind=kind, high=90.0)
    # at-least asks for the lower end, at-most for the upper one.
    assert (compare(claim, value, value) == Verdict.REPRODUCED) == agrees


def test_binary_fractions_are_no_disagreement() -> None:
    claim = replace(CLAIM, low=0.3, high=0.3, tolerance=0.0)
    assert 97.0 - 96.7 != 0.3
    assert compare(claim, 97.0 - 96.7, 97.0 - 96.7) == Verdict.REPRODUCED
    assert compare(claim, 0.2999, 0.2999) == Verdict.NOT_REPRODUCED


def test_the_interval_of_the_mean_decides(results: Results) -> None:
    low, high = scipy.stats.t.interval(0.95, 2, loc=70, scale=20 / math.sqrt(3))
    finding = judge(CLAIM, results)
    assert (finding.value, finding.n) == (pytest.approx(70.0), 3)
    assert (finding.value - finding.half_width, finding.value + finding.half_width) == pytest.approx((low, high))
    assert finding.measured == f"70 %, {low:.2f} to {high:.1f}, 3 seeds"
    edge = high + CLAIM.tolerance
    for stated, verdict in ((edge - 0.01, Verdict.REPRODUCED), (edge + 0.01, Verdict.NOT_REPRODUCED)):
        assert judge(replace(CLAIM, low=stated, high=stated), results).verdict == verdict


def test_one_seed_is_judged_by_the_tolerance_alone_and_says_so(results: Results, tmp_path: Path) -> None:
    for path in list(results.folder.rglob("seed-[12]-*.json")):
        path.unlink()
    one = Results(results.folder)
    for stated, verdict in ((51.0, Verdict.REPRODUCED), (51.1, Verdict.NOT_REPRODUCED)):
        finding = judge(replace(CLAIM, low=stated, high=stated), one)
        assert finding.verdict == verdict
        assert finding.measured == "50 %, one seed"


def test_units(results: Results) -> None:
    minutes = judge(replace(CLAIM, unit="min", measure=("query", f"{CELL}/timing.fit_s")), results)
    assert minutes.value == pytest.approx(1.0)
    points = judge(
        replace(CLAIM, unit="points", measure=("query", f"{CELL}/overall_accuracy - {CELL}/overall_accuracy")), results
    )
    assert points.measured == "+0 points with each of 3 seeds"


def test_what_no_record_answers_is_not_measured_yet(results: Results) -> None:
    elsewhere = (("here", f"{CELL}/overall_accuracy"), ("nowhere", f"{CELL.replace('tiny', 'big')}/kappa"))
    claim = replace(CLAIM, measure=("query", f"{CELL.replace('count:2', 'count:3')}/kappa"), also=elsewhere)
    finding = judge(claim, results)
    assert finding.verdict == Verdict.NOT_MEASURED
    assert math.isnan(finding.value)
    assert finding.measured == ""
    # What was measured elsewhere is told and decides nothing.
    assert dict(finding.elsewhere)["here"].startswith("70 %, ")
    assert dict(finding.elsewhere)["nowhere"] == "not measured yet"
    assert judge(replace(CLAIM, device="T4"), results).verdict == Verdict.NOT_MEASURED
    assert judge(replace(CLAIM, measure=("nothing", "no time")), results).verdict == Verdict.NOT_MEASURED


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (("query", f"{CELL}/accuracy"), "claim made-up: .*no 'accuracy'"),
        (("query", f"{CELL.replace('1nn', '2nn')}/kappa"), "claim made-up: .*did you mean coordinates-1nn"),
        (("text", "1 + x"), "claim made-up: .*no arithmetic"),
        (("complexity", "mars/total"), "claim made-up: unknown scene"),
        (("complexity", "salinas/attentions"), "claim made-up: .*did you mean attention"),
        (("computed", "distinct-view"), "claim made-up: .*did you mean distinct-views"),
    ],
)
def test_a_measure_that_cannot_be_understood_is_an_error_and_no_verdict(
    results: Results, measure: tuple[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        judge(replace(CLAIM, measure=measure), results)


def test_commands_download_what_comes_with_no_package_first() -> None:
    claim = replace(CLAIM, command="hsilib sweep x.yaml")
    assert claim.commands == ["hsilib sweep x.yaml"]
    query = "salinas/count:2/svm/kappa - pavia-university/count:2/svm/kappa - indian-pines/count:2/svm/kappa"
    away = replace(claim, measure=("query", query))
    assert away.commands == ["hsilib fetch salinas pavia-university", "hsilib sweep x.yaml"]
    assert replace(CLAIM, measure=("nothing", "")).commands == []


# --- what is measured without a record


def test_arithmetic() -> None:
    assert calculate("224 - (112 - 108 + 1) - (167 - 154 + 1) - 1") == 204
    assert calculate("15 / 1000 * 610 * 340 / 60") == pytest.approx(51.85)
    for text in ("__import__('os')", "2 ** 9", "True + 1", "1 / 0", "1 +", "'a' * 3", "(lambda: 1)()", "[1][0]"):
        with pytest.raises(InputError, match="no arithmetic"):
            calculate(text)


def test_views_are_those_of_the_square() -> None:
    """Four rotations times four flips, as matrices on the plane: the eight of the dihedral group."""
    turn = ((0, -1), (1, 0))
    flips = [((a, 0), (0, b)) for a, b in itertools.product((1, -1), repeat=2)]

    def times(a: Any, b: Any) -> Any:
        return tuple(tuple(sum(a[i][k] * b[k][j] for k in (0, 1)) for j in (0, 1)) for i in (0, 1))

    views = set()
    for matrix in flips:
        for _ in range(4):
            matrix = times(turn, matrix)
            views.add(matrix)
    assert distinct_views() == len(views) == 8


def test_parts_are_those_of_the_audit() -> None:
    scene = catalog()["pavia-university"]
    assert counted("pavia-university/total") == audit(scene.shape[2], len(scene.class_names)).n_parameters
    assert counted("pavia-university/SSL heads") == 97 * 4 + 161 * 103
    assert counted("pavia-university/size_mb") == pytest.approx(counted("pavia-university/total") * 4 / 1e6, rel=0.01)


# --- the file


ENTRY: dict[str, Any] = {
    "id": "one",
    "source": "A1",
    "claim": "It is so.",
    "kind": "number",
    "stated": 80,
    "unit": "%",
    "tolerance": 1,
    "why": "None.",
    "measure": {"query": f"{CELL}/kappa"},
    "command": "hsilib run coordinates-1nn",
}


def ledger(folder: Path, *entries: Any, **changes: Any) -> Path:
    content = {"sections": {"A1": "Data"}, "recipes": {"rule": "coordinates-1nn"}, "published": [], **changes}
    path = folder / "claims.yml"
    path.write_text(yaml.safe_dump({**content, "claims": list(entries)}), encoding="utf-8")
    return path


def test_an_entry_is_read(tmp_path: Path) -> None:
    query = "synthetic-tiny/count:2/{rule}/kappa"
    entry = {**ENTRY, "measure": {"query": query}, "also": {"there": query}, "stated": [70, 80], "estimate": True}
    (claim,) = read_claims(ledger(tmp_path, entry)).claims
    assert claim.measure == ("query", f"{CELL}/kappa")
    assert claim.also == (("there", f"{CELL}/kappa"),)
    assert (claim.low, claim.high, claim.stated) == (70.0, 80.0, "70 to 80 %")
    words = {key: ENTRY[key] for key in ("id", "source", "claim")}
    (claim,) = read_claims(ledger(tmp_path, {**words, "measure": {"nothing": "no time"}})).claims
    assert claim.stated == "in words"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stated": None}, "claim one: stated is missing"),
        ({"why": None}, "claim one: why is missing"),
        ({"command": None}, "claim one: command is missing"),
        ({"measure": None}, "claim one: measure: expected one of query, complexity"),
        ({"measure": {"query": "a", "text": "1"}}, "claim one: measure: expected one of"),
        ({"measure": {"texts": "1"}}, "claim one: .*did you mean text"),
        ({"verdict": "reproduced"}, "claim one: unknown key 'verdict'"),
        ({"stated": "97 %"}, "claim one: stated: expected a number"),
        ({"stated": [1, 2, 3]}, "claim one: stated: expected a number"),
        ({"tolerance": True}, "claim one: tolerance: expected a number"),
        ({"kind": "atleast"}, "claim one: .*did you mean at-least"),
        ({"unit": "percent"}, "claim one: unknown unit"),
        ({"source": "A2"}, "claim one: unknown source"),
        ({"kind": "consistency"}, "claim one: kind consistency belongs to"),
        ({"measure": {"text": "1 + 1"}}, "claim one: kind consistency belongs to"),
        ({"measure": {"query": "kappa"}}, "claim one: .*expected SCENE/SPLIT"),
        ({"measure": {"query": f"{CELL}/kappa:max"}}, "claim one: .*leave the statistic out"),
        ({"measure": {"query": "synthetic-tiny/count:2/{rules}/kappa"}}, "claim one: .*did you mean rule"),
        ({"also": {"there": "kappa"}}, "claim one: .*expected SCENE/SPLIT"),
    ],
)
def test_errors_name_the_entry(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    entry = {key: value for key, value in {**ENTRY, **changes}.items() if value is not None}
    with pytest.raises(InputError, match=message):
        read_claims(ledger(tmp_path, entry))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="claim one: there are two"):
        read_claims(ledger(tmp_path, ENTRY, ENTRY))
    with pytest.raises(InputError, match="claim number 2"):
        read_claims(ledger(tmp_path, ENTRY, "words"))
    with pytest.raises(InputError, match="published number 1: expected source"):
        read_claims(ledger(tmp_path, published=[{"method": "x"}]))
    with pytest.raises(InputError, match="exactly the keys"):
        read_claims(ledger(tmp_path, verdicts={}))
    with pytest.raises(InputError, match=r"nowhere\.yml: not a readable ledger"):
        read_claims(tmp_path / "nowhere.yml")


def test_the_ledger_is_found_from_within_a_checkout_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "notebooks")
    assert claims_file() == LEDGER
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"book/claims\.yml: not found here or above"):
        claims_file()


# --- the committed ledger


@pytest.fixture(scope="module")
def committed() -> dict[str, Finding]:
    claims = read_claims(LEDGER).claims
    records = Results(ROOT / "results" / "records")
    return {claim.id: judge(claim, records) for claim in claims}


def test_every_measure_of_the_committed_ledger_is_understood(committed: dict[str, Finding]) -> None:
    assert len(committed) >= 40
    for finding in committed.values():
        assert (finding.verdict == Verdict.NOT_MEASURED) == math.isnan(finding.value), finding.claim.id
        if finding.claim.kind == "consistency":
            assert finding.verdict in (Verdict.REPRODUCED, Verdict.CONTRADICTS)
        else:
            assert finding.verdict != Verdict.CONTRADICTS


def test_contradictions_that_do_not_depend_on_any_run(committed: dict[str, Finding]) -> None:
    contradictions = {name for name, finding in committed.items() if finding.verdict == Verdict.CONTRADICTS}
    assert {"pavia-training-pixels", "parameters-sum", "tta-views", "ssl-share-salinas-total"} <= contradictions
    assert committed["parameters-sum"].value == 790
    assert committed["inference-scene"].verdict == Verdict.REPRODUCED


def test_every_command_makes_the_records_that_its_claim_is_judged_by(committed: dict[str, Finding]) -> None:
    """A campaign has every cell of the query, whatever it calls it; a single command is that of the query."""
    campaigns: dict[str, set[tuple[str, str, str]]] = {}
    for finding in committed.values():
        claim = finding.claim
        if claim.measure[0] != "query":
            continue
        command, _, path = claim.command.rpartition(" ")
        cells = query_cells(claim.measure[1])
        if command == "hsilib sweep":
            if path not in campaigns:
                runs = read_campaign(ROOT / path)
                campaigns[path] = {(r.scene, r.split, _identity(r.scene, r.split, r.name)) for r in runs}
            for scene, split, name in cells:
                assert (scene, split, _identity(scene, split, name)) in campaigns[path], claim.id
        else:
            (single,) = {run_command("/".join(cell)) for cell in cells}
            assert claim.command.startswith(single), claim.id


def _identity(scene: str, split: str, name: str) -> str:
    from hsilib import with_overrides
    from onepercent.report.query import split_variant

    base, settings = split_variant(name)
    return record_id(with_overrides(recipe(base), list(settings)).method, scene, split, 0)


def test_the_file_holds_no_verdict() -> None:
    text = re.sub(r"#.*", "", LEDGER.read_text(encoding="utf-8"))
    for verdict in Verdict:
        assert verdict.value not in text
