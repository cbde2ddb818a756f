"""Repeated runs, tiny: the arithmetic by hand, and real processes under other settings."""

from __future__ import annotations

import json

import pytest
import torch

from onepercent.bench.rerun import ONEDNN, OTHERS, Setting, bench_rerun, summary
from tests.helpers import SMALL_SETTINGS


def test_the_summary_by_hand() -> None:
    first = {"overall_accuracy": 0.75, "labels": [1, 1, 2, 2]}
    other = {"overall_accuracy": 0.5, "labels": [1, 2, 2, 2]}
    assert summary(["other"], [first, first, other]) == {
        "same setting again, identical": True,
        "spread of overall accuracy": 0.25,
        "settings": {
            "2 threads": {"overall accuracy": 0.75, "share of other labels": 0.0},
            "other": {"overall accuracy": 0.5, "share of other labels": 0.25},
        },
    }
    assert not summary([], [first, other])["same setting again, identical"]


def test_settings_have_names_of_their_own() -> None:
    assert len({setting.name for setting in OTHERS}) == len(OTHERS)


def test_a_small_one_repeats_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever limits the instructions outside, the first setting is the processor's own."""
    monkeypatch.setenv(ONEDNN, "nonsense")
    others = [Setting("1 thread", 1), Setting("SSE41", 1, {ONEDNN: "SSE41"})]
    report = bench_rerun(torch.device("cpu"), ["synthetic-tiny"], [*SMALL_SETTINGS, "fit.epochs=2"], others)
    facts = report.facts["synthetic-tiny"]
    assert facts["same setting again, identical"]
    assert list(facts["settings"]) == ["2 threads", "1 thread", "SSE41"]
    accuracies = [found["overall accuracy"] for found in facts["settings"].values()]
    assert facts["spread of overall accuracy"] == max(accuracies) - min(accuracies)
    values = report.as_dict()
    assert (values["ratio"], values["comparisons"]) == (None, [])
    assert json.loads(json.dumps(values)) == values
