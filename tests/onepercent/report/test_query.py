"""Numbers out of records: statistics against closed forms, and no answer where nothing was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from hsilib import InputError, recipe, run, with_overrides
from hsilib.records import read_records, record_id, record_path, write_record
from onepercent.report.query import NotMeasuredError, Results, paired_difference, records_folder
from onepercent.report.statistics import confidence_half_width

CELL = "synthetic-tiny/count:2/coordinates-1nn"
ACCURACIES = (0.5, 0.7, 0.9)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Three seeds with accuracies that are easy to reckon with."""
    config = replace(recipe("coordinates-1nn"), scene="synthetic-tiny", split="count:2")
    record, _ = run(config)
    for seed, accuracy in enumerate(ACCURACIES):
        identity = record_id(config.method, "synthetic-tiny", "count:2", seed)
        changed = replace(record, id=identity, seed=seed, metrics={**record.metrics, "overall_accuracy": accuracy})
        write_record(changed, record_path(tmp_path, "synthetic-tiny", "count:2", "coordinates-1nn", seed, changed.id))
    return Results(tmp_path)


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("", 0.7),
        (":mean", 0.7),
        (":std", 0.2),
        (":n", 3),
        (":min", 0.5),
        (":max", 0.9),
        (":median", 0.7),
        (":seed-2", 0.9),
    ],
)
def test_statistics(results: Results, statistic: str, expected: float) -> None:
    assert results.query(f"{CELL}/overall_accuracy{statistic}").value == pytest.approx(expected)


def test_interval_is_students(results: Results) -> None:
    low, high = scipy.stats.t.interval(0.95, 2, loc=0.7, scale=0.2 / np.sqrt(3))
    assert results.query(f"{CELL}/overall_accuracy:ci95").value == pytest.approx((high - low) / 2)
    assert np.isnan(confidence_half_width([0.5]))


def test_dotted_paths(results: Results) -> None:
    assert results.query(f"{CELL}/split.n_train:max").value == 8
    assert 0 <= results.query(f"{CELL}/split.leakage.contains").value <= 1


def test_source_names_what_was_run(results: Results) -> None:
    source = results.query(f"{CELL}/kappa").source()
    for part in ("coordinates-1nn on synthetic-tiny", "count:2", "3 seeds (0…2)", "data "):
        assert part in source


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("synthetic-tiny/count:2/svm/kappa", "not measured yet. Run: hsilib run svm --scene synthetic-tiny"),
        (f"{CELL}/kappa:seed-9", "not measured yet"),
        (f"{CELL}/accuracy", "no 'accuracy'"),
        (f"{CELL}/kappa:average", "unknown statistic"),
        ("kappa", "expected SCENE/SPLIT/RECIPE/METRIC"),
    ],
)
def test_no_answer_where_nothing_was_measured(results: Results, query: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        results.query(query)


VARIANT = "synthetic-tiny/count:2/superpixel-vote[n_components=2]"
OTHER_ACCURACIES = {0: 0.4, 2: 0.5, 5: 0.6}  # seeds 0 and 2 are the first cell's, too


@pytest.fixture
def paired(results: Results) -> Results:
    """Beside the three seeds of `results`, three of a variant, two of them in common."""
    config = with_overrides(recipe("superpixel-vote"), ["n_components=2"])
    record, _ = run(replace(config, scene="synthetic-tiny", split="count:2"))
    for seed, accuracy in OTHER_ACCURACIES.items():
        identity = record_id(config.method, "synthetic-tiny", "count:2", seed)
        metrics, timing = {**record.metrics, "overall_accuracy": accuracy}, {"fit_s": 2.0 + seed, "predict_s": 1.0}
        changed = replace(record, id=identity, seed=seed, metrics=metrics, timing=timing)
        write_record(
            changed, record_path(results.folder, "synthetic-tiny", "count:2", "superpixel-vote", seed, identity)
        )
    return Results(results.folder)


def test_a_variant_is_found_by_what_it_changes(paired: Results) -> None:
    assert paired.query(f"{VARIANT}/overall_accuracy").value == pytest.approx(0.5)
    default = recipe("superpixel-vote").method.compactness  # type: ignore[attr-defined]
    same = VARIANT.replace("n_components=2", f"compactness={default};n_components=2")
    assert paired.query(f"{same}/overall_accuracy:n").value == 3
    assert paired.cell("synthetic-tiny", "count:2", "superpixel-vote") == []
    assert paired.cell("synthetic-tiny", "count:2", "superpixel-vote[n_components=4]") == []


def test_pairs_share_their_seeds(paired: Results) -> None:
    pairs = paired.pairs(CELL, VARIANT)
    assert [(a.seed, b.seed) for a, b in pairs] == [(0, 0), (2, 2)]
    assert [a.recipe for a, _ in pairs] == ["coordinates-1nn"] * 2
    assert paired.pairs(CELL, CELL.replace("count:2", "count:3")) == []
    with pytest.raises(InputError, match="expected SCENE/SPLIT/RECIPE"):
        paired.pairs(CELL, "svm")


def test_paired_difference_is_the_paired_t_test(paired: Results) -> None:
    found = paired_difference(paired.pairs(CELL, VARIANT))
    assert found is not None
    reference = scipy.stats.ttest_rel([0.5, 0.9], [0.4, 0.5])
    interval = reference.confidence_interval(0.95)
    assert found.values == pytest.approx((0.1, 0.4))
    assert (found.seeds, found.n) == ((0, 2), 2)
    assert found.mean == pytest.approx(0.25)
    assert found.p == pytest.approx(reference.pvalue)
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx(tuple(interval))


def test_difference_of_one_pair_of_none_and_of_a_cell_with_itself(paired: Results) -> None:
    assert paired_difference([]) is None
    single = paired_difference(paired.pairs(CELL, VARIANT)[:1])
    assert single is not None
    assert np.isnan([single.half_width, single.p]).all()
    itself = paired_difference(paired.pairs(CELL, CELL), "kappa")
    assert itself is not None
    assert (itself.mean, itself.p) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"{CELL}/overall_accuracy - {VARIANT}/overall_accuracy", 0.25),
        (f"{CELL}/overall_accuracy - {VARIANT}/overall_accuracy:seed-2", 0.4),
        (f"{CELL}/overall_accuracy - {VARIANT}/overall_accuracy:n", 2),
        (
            f"{CELL}/overall_accuracy - {VARIANT}/overall_accuracy:p",
            scipy.stats.ttest_rel([0.5, 0.9], [0.4, 0.5]).pvalue,
        ),
        (f"{CELL}/overall_accuracy / {VARIANT}/overall_accuracy", np.sqrt(0.5 / 0.4 * 0.9 / 0.5)),
        (f"{VARIANT}/timing.fit_s + {VARIANT}/timing.predict_s:max", 8.0),
        (f"{VARIANT}/timing.fit_s + {VARIANT}/timing.predict_s / {VARIANT}/timing.predict_s:min", 3.0),
    ],
)
def test_two_queries_are_paired_by_seed(paired: Results, query: str, expected: float) -> None:
    answer = paired.query(query)
    assert answer.value == pytest.approx(expected)
    assert len(answer.records) == len(answer.values) * query.count("synthetic-tiny/")


def test_source_of_a_difference_names_both_sides(paired: Results) -> None:
    source = paired.query(f"{CELL}/kappa - {VARIANT}/kappa").source()
    assert (
        "coordinates-1nn on synthetic-tiny, count:2 and superpixel-vote on synthetic-tiny, count:2, 2 seeds" in source
    )


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (f"{CELL}/kappa:mean - {VARIANT}/kappa", "several of them with the statistic at the end"),
        (f"{CELL}/kappa - 1", "several of them with the statistic at the end"),
        (f"{CELL}/kappa:p", "unknown statistic 'p'"),
        (f"{CELL}/kappa / {VARIANT}/kappa:p", "unknown statistic 'p'"),
        (f"{CELL}/kappa - {VARIANT}/kappa:seed-1", "not measured yet"),
        (VARIANT.replace("=2", "=4") + "/kappa", r"Run: hsilib run superpixel-vote .* --set n_components=4$"),
        (f"{CELL}/kappa - {CELL.replace('coordinates-1nn', 'svm')}/kappa", r"Run: hsilib run svm [^;]*$"),
        (VARIANT.replace("n_components", "components") + "/kappa", "did you mean n_components"),
        (CELL.replace("1nn", "2nn") + "/kappa", "did you mean coordinates-1nn"),
    ],
)
def test_no_answer_from_pairs_where_there_is_none(paired: Results, query: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        paired.query(query)


def test_only_records_of_a_device_count_where_one_is_named(paired: Results) -> None:
    device = paired.query(f"{CELL}/kappa").records[0].provenance["device"]
    assert paired.query(f"{CELL}/kappa:n", device=device[:5]).value == 3
    with pytest.raises(NotMeasuredError, match="not measured yet"):
        paired.query(f"{CELL}/kappa:n", device="Tesla T4")


def test_records_folder_is_found_from_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "checkout" / "notebooks"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert records_folder() == Path("results/records")
    (tmp_path / "checkout/results/records").mkdir(parents=True)
    assert records_folder() == tmp_path / "checkout/results/records"


def test_changed_settings_do_not_count_under_the_recipes_name(results: Results) -> None:
    changed = with_overrides(recipe("superpixel-vote"), ["n_components=2"])
    record, _ = run(replace(changed, scene="synthetic-tiny", split="count:2"))
    path = record_path(results.folder, "synthetic-tiny", "count:2", "superpixel-vote", 0, record.id)
    write_record(record, path)
    with pytest.raises(InputError, match="not measured yet"):
        Results(results.folder).query("synthetic-tiny/count:2/superpixel-vote/kappa")


def test_what_seeds_cost_together_is_no_single_runs_cost(results: Results) -> None:
    """Seed 2 was trained at once with another: its accuracy counts, its times and memory do not."""
    (stacked,) = (record for record in read_records(results.folder) if record.seed == 2)
    assert stacked.path is not None
    write_record(replace(stacked, timing={**stacked.timing, "seeds_together": 2}), stacked.path)
    results = Results(results.folder)
    for metric, n in (("overall_accuracy", 3), ("timing.predict_s", 3), ("timing.fit_s", 2), ("memory.peak_mb", 2)):
        assert results.query(f"{CELL}/{metric}:n").value == n
    with pytest.raises(NotMeasuredError):
        results.query(f"{CELL}/timing.fit_s:seed-2")
