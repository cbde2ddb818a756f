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
from hsilib.records import read_record, record_id, record_path, write_record
from onepercent.campaigns.campaign import read_campaign
from onepercent.report.claims import Claim, Finding, judge
from onepercent.report.claims_measures import calculate, counted, distinct_views
from onepercent.report.claims_reader import claims_file, read_claims
from onepercent.report.complexity import audit
from onepercent.report.query import Results, query_cells, run_command
from onepercent.report.statistics import detectable_effect, estimate, seeds_needed
from onepercent.report.verdict import Verdict
from tests.helpers import ROOT

LEDGER = ROOT / "book" / "claims.yml"
CELL = "synthetic-tiny/count:2/coordinates-1nn"
ACCURACIES = (0.5, 0.7, 0.9)
CLAIM = Claim(
    id="made-up",
    source="A1",
    claim="It is so.",
    subject="performance",
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


# --- the rule (tests of `decide` stand in test_verdict.py)


def more_seeds(results: Results, accuracies: tuple[float, ...]) -> Results:
    """The same folder with further seeds."""
    (first, *_) = sorted(results.folder.rglob("seed-0-*.json"))
    record = read_record(first)
    for seed, accuracy in enumerate(accuracies, start=3):
        identity = record_id(recipe("coordinates-1nn").method, "synthetic-tiny", "count:2", seed)
        changed = replace(record, id=identity, seed=seed, metrics={**record.metrics, "overall_accuracy": accuracy})
        write_record(changed, record_path(results.folder, "synthetic-tiny", "count:2", record.recipe, seed, identity))
    return Results(results.folder)


def test_three_seeds_decide_nothing_and_say_what_they_could_have_shown(results: Results) -> None:
    low, high = scipy.stats.t.interval(0.95, 2, loc=70, scale=20 / math.sqrt(3))
    finding = judge(CLAIM, results)
    assert finding.verdict == Verdict.UNDECIDED
    assert finding.measured == f"70 %, {low:.2f} to {high:.1f}, 3 seeds"
    effect = detectable_effect(20.0, 3)
    assert finding.why_undecided == (
        f"fewer than 5 seeds; 3 seeds show {effect:.2f} % with 80 % power, "
        f"about {seeds_needed(9.0, 20.0):.0f} would decide at what was found"
    )


def test_six_seeds_decide(results: Results) -> None:
    six = more_seeds(results, (0.7, 0.7, 0.7))
    found = estimate([50, 70, 90, 70, 70, 70])
    for stated, verdict in (
        (found.low - 1.01, Verdict.CONTRADICTED),
        (found.low - 0.99, Verdict.UNDECIDED),
        (70.0, Verdict.UNDECIDED),
    ):
        assert judge(replace(CLAIM, low=stated, high=stated), six).verdict == verdict
    wide = replace(CLAIM, low=found.low + 1, high=found.high - 1)
    assert judge(wide, six).verdict == Verdict.SUPPORTED
    one_sided = estimate([50, 70, 90, 70, 70, 70], one_sided=True)
    at_least = replace(CLAIM, kind="at-least", low=one_sided.low + 0.99, high=one_sided.low + 0.99)
    assert judge(at_least, six).verdict == Verdict.SUPPORTED
    assert judge(replace(at_least, high=one_sided.low - 1.01, low=0.0), six).verdict == Verdict.EXCEEDS


def test_one_seed_decides_nothing(results: Results) -> None:
    for path in list(results.folder.rglob("seed-[12]-*.json")):
        path.unlink()
    finding = judge(CLAIM, Results(results.folder))
    assert finding.verdict == Verdict.UNDECIDED
    assert finding.measured == "50 %, one seed"
    assert finding.why_undecided == "fewer than 5 seeds; one seed says nothing of the spread"


def test_a_ratio_has_one_estimator(results: Results) -> None:
    """30, 60 and 90 s to fit, 1 s to predict: the geometric mean, in the ledger as in a query."""
    query = f"{CELL}/timing.fit_s / {CELL}/timing.predict_s"
    finding = judge(replace(CLAIM, unit="times", measure=("query", query)), results)
    assert finding.decision.estimate.value == pytest.approx((30 * 60 * 90) ** (1 / 3))
    assert results.query(query).value == pytest.approx(finding.decision.estimate.value)
    assert results.query(f"{query}:low").value == pytest.approx(finding.decision.estimate.low)
    with pytest.raises(InputError, match="unknown statistic 'std'"):
        results.query(f"{query}:std")


def test_text_is_consistent_or_not() -> None:
    claim = replace(CLAIM, kind="consistency", subject="text", measure=("text", "40 * 2"))
    assert judge(claim, Results(ROOT / "nowhere")).verdict == Verdict.CONSISTENT
    claim = replace(claim, measure=("text", "40 * 3"))
    assert judge(claim, Results(ROOT / "nowhere")).verdict == Verdict.INCONSISTENT


def test_what_is_counted_needs_no_seeds(results: Results) -> None:
    counted_size = replace(CLAIM, unit="K", low=350.0, high=360.0, measure=("complexity", "pavia-university/total"))
    assert judge(counted_size, results).verdict == Verdict.SUPPORTED
    assert judge(replace(counted_size, low=1200.0, high=1200.0), results).verdict == Verdict.CONTRADICTED


def test_units(results: Results) -> None:
    minutes = judge(replace(CLAIM, unit="min", measure=("query", f"{CELL}/timing.fit_s")), results)
    assert minutes.decision.estimate.value == pytest.approx(1.0)
    points = judge(
        replace(CLAIM, unit="points", measure=("query", f"{CELL}/overall_accuracy - {CELL}/overall_accuracy")), results
    )
    assert points.measured == "+0 points with each of 3 seeds"


def test_what_no_record_answers(results: Results) -> None:
    elsewhere = (("here", f"{CELL}/overall_accuracy"), ("nowhere", f"{CELL.replace('tiny', 'small')}/kappa"))
    missing = ("query", f"{CELL.replace('count:2', 'count:3')}/kappa")
    claim = replace(CLAIM, measure=missing, also=elsewhere, here=elsewhere)
    finding = judge(claim, results)
    assert finding.verdict == Verdict.UNDECIDED
    assert math.isnan(finding.decision.estimate.value)
    assert finding.measured == finding.why_undecided == ""
    # What was measured elsewhere is told and decides nothing; what is judged here has a verdict of its own.
    assert dict(finding.also)["here"].startswith("70 %, ")
    assert dict(finding.also)["nowhere"] == "not measured yet"
    assert dict(finding.here)["here"].measured.startswith("70 %, ")
    assert dict(finding.here)["nowhere"].verdict == Verdict.UNDECIDED
    assert judge(replace(CLAIM, device="T4"), results).verdict == Verdict.NEEDS_DEVICE
    away = ("query", f"{CELL.replace('synthetic-tiny', 'salinas')}/kappa")
    assert judge(replace(CLAIM, measure=away), results).verdict == Verdict.NEEDS_SCENE
    assert judge(replace(CLAIM, measure=("reading", "our width")), results).verdict == Verdict.OUR_READING
    assert judge(replace(CLAIM, measure=("nothing", "no time")), results).verdict == Verdict.UNDECIDED


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
    "subject": "performance",
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
    entry = {**ENTRY, "measure": {"query": query}, "also": {"there": query}, "here": {"here": query}}
    entry |= {"stated": [70, 80], "estimate": True, "ours": True}
    (claim,) = read_claims(ledger(tmp_path, entry)).claims
    assert claim.measure == ("query", f"{CELL}/kappa")
    assert claim.also == (("there", f"{CELL}/kappa"),)
    assert claim.here == (("here", f"{CELL}/kappa"),)
    assert claim.ours
    assert (claim.low, claim.high, claim.stated) == (70.0, 80.0, "70 to 80 %")
    words = {key: ENTRY[key] for key in ("id", "source", "claim", "subject")}
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
        ({"verdict": "supported"}, "claim one: unknown key 'verdict'"),
        ({"subject": None}, "claim one: subject is missing"),
        ({"subject": "performances"}, "claim one: .*did you mean performance"),
        ({"subject": "text"}, "claim one: subject text belongs to kind consistency"),
        ({"kind": "at-least", "unit": "points", "stated": 0.3, "tolerance": 0.3}, "claim one: tolerance: a gain less"),
        ({"stated": "97 %"}, "claim one: stated: expected a number"),
        ({"stated": [1, 2, 3]}, "claim one: stated: expected a number"),
        ({"tolerance": True}, "claim one: tolerance: expected a number"),
        ({"kind": "atleast"}, "claim one: .*did you mean at-least"),
        ({"unit": "percent"}, "claim one: unknown unit"),
        ({"source": "A2"}, "claim one: unknown source"),
        ({"kind": "consistency", "subject": "text"}, "claim one: kind consistency belongs to"),
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
    assert len(committed) >= 70
    text = {Verdict.CONSISTENT, Verdict.INCONSISTENT}
    unmeasured = {Verdict.NEEDS_SCENE, Verdict.NEEDS_DEVICE, Verdict.OUR_READING}
    for finding in committed.values():
        claim, found = finding.claim, finding.decision.estimate
        assert (claim.subject == "text") == (finding.verdict in text), claim.id
        if finding.verdict in unmeasured:
            assert math.isnan(found.value), claim.id
        if (
            finding.verdict in (Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.EXCEEDS)
            and claim.measure[0] == "query"
        ):
            assert found.n >= 5, claim.id


def test_inconsistencies_that_do_not_depend_on_any_run(committed: dict[str, Finding]) -> None:
    found = {name for name, finding in committed.items() if finding.verdict == Verdict.INCONSISTENT}
    assert {"pavia-training-pixels", "parameters-sum", "tta-views", "ssl-share-salinas-total"} <= found
    assert {"memory-of-parameters", "memory-of-optimiser", "pavia-validation-pixels", "mhssmamba-pavia"} <= found
    assert committed["parameters-sum"].decision.estimate.value == 790
    assert committed["inference-pavia"].verdict == Verdict.NEEDS_DEVICE


def test_every_command_makes_the_records_that_its_claim_is_judged_by(committed: dict[str, Finding]) -> None:
    """A campaign has every cell of the query, whatever it calls it; a single command is that of the query."""
    campaigns: dict[str, set[tuple[str, str, str]]] = {}
    for finding in committed.values():
        claim = finding.claim
        if claim.measure[0] != "query":
            continue
        command, _, path = claim.command.rpartition(" ")
        cells = [cell for query in (claim.measure[1], *dict(claim.here).values()) for cell in query_cells(query)]
        if command == "hsilib sweep":
            if path not in campaigns:
                runs = read_campaign(ROOT / path)
                campaigns[path] = {(r.scene, r.split, _identity(r.scene, r.split, r.name)) for r in runs}
            for scene, split, name in cells:
                assert (scene, split, _identity(scene, split, name)) in campaigns[path], claim.id
        else:
            (single,) = {run_command("/".join(cell)) for cell in query_cells(claim.measure[1])}
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
