"""Several seeds of one config: each has the record of a single run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hsilib.config import with_overrides
from hsilib.experiment import run
from hsilib.method import SEEDS_TOGETHER
from onepercent.many_seeds import run_seeds as run_seeds_module
from onepercent.many_seeds.run_seeds import run_seeds, run_together
from onepercent.recipes import recipe
from tests.helpers import small


def test_seeds_trained_together_have_the_records_of_single_runs() -> None:
    """Without dropout; rounding may move a pixel at the border of two classes."""
    config = with_overrides(small("paper"), ["model.dropout=0.0", "tta=8"])
    singles = [run(replace(config, seed=seed))[0] for seed in (0, 3)]
    for (record, class_map), single in zip(run_together(config, [0, 3]), singles, strict=True):
        assert (record.id, record.seed, record.config) == (single.id, single.seed, single.config)
        assert record.split == single.split
        assert record.metrics["overall_accuracy"] == pytest.approx(single.metrics["overall_accuracy"], abs=0.01)
        assert record.model["history"]["train_loss"] == pytest.approx(single.model["history"]["train_loss"], abs=1e-3)
        assert record.model["parameters"] == single.model["parameters"]
        assert [stage["stage"] for stage in record.model["pretraining"]] == ["rm-ssl", "mr-ssl"]
        assert class_map.shape == (24, 20)
        assert record.timing[SEEDS_TOGETHER] == 2
        assert SEEDS_TOGETHER not in single.timing
        assert set(record.timing) - {SEEDS_TOGETHER} == set(single.timing)


@pytest.mark.parametrize(
    ("device", "name", "n_seeds", "way"),
    [
        ("cuda", "quick", 3, "together"),
        ("cuda", "quick", 1, "one after the other"),
        ("cuda", "svm", 3, "one after the other"),
        ("cpu", "quick", 3, "one after the other"),
    ],
)
def test_the_way_is_chosen(monkeypatch: pytest.MonkeyPatch, device: str, name: str, n_seeds: int, way: str) -> None:
    ways: list[str] = []
    monkeypatch.setattr(run_seeds_module, "find_device", lambda _: torch.device(device))
    monkeypatch.setattr(run_seeds_module, "run", lambda _: ways.append("one after the other"))
    monkeypatch.setattr(run_seeds_module, "run_together", lambda _, seeds: (ways.append("together"), seeds)[1])
    assert len(list(run_seeds(recipe(name), range(n_seeds)))) == n_seeds
    assert set(ways) == {way}
