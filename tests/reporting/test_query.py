"""Numbers out of records: statistics against closed forms, and no answer where nothing was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from hsilib import InputError, recipe, run, with_overrides
from hsilib.reporting.query import Results, confidence_half_width
from hsilib.reporting.records import record_id, record_path, write_record

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


def test_changed_settings_do_not_count_under_the_recipes_name(results: Results) -> None:
    changed = with_overrides(recipe("superpixel-vote"), ["n_components=2"])
    record, _ = run(replace(changed, scene="synthetic-tiny", split="count:2"))
    path = record_path(results.folder, "synthetic-tiny", "count:2", "superpixel-vote", 0, record.id)
    write_record(record, path)
    with pytest.raises(InputError, match="not measured yet"):
        Results(results.folder).query("synthetic-tiny/count:2/superpixel-vote/kappa")
