"""A small run of the benchmark whose figures are checked where they are known; times are not."""

from __future__ import annotations

import json

import pytest
import torch

from onepercent.bench.apart import run_apart
from onepercent.bench.dense import SIDES, bench_dense, example, gflop_of, matrix_product_gflops, predict_noise
from onepercent.report.complexity import flops

CPU = torch.device("cpu")
ROWS, COLS, BANDS = 24, 22, 6


def test_a_small_run_is_complete() -> None:
    report = bench_dense(CPU, ROWS, COLS, BANDS, repeats=2)
    values = report.as_dict()
    assert json.loads(json.dumps(values)) == values
    assert [c["what"].split()[0] for c in values["comparisons"]] == ["logits", "logits", "8", "16"]
    repeats = [len(c[side]) for c in values["comparisons"] for side in ("baseline_s", "ours_s")]
    assert repeats == [2, 2, 1, 1, 2, 2, 2, 2]
    facts = report.facts
    assert facts["standard_deviation_of_logits"] > 0.01
    assert 0 < facts["largest_logit_difference"] < 1e-4
    for name in ("added_memory_mb", "gflop", "least_s_at_that_speed", "share_of_that_speed"):
        assert facts[name].keys() == SIDES.keys()
        assert min(facts[name].values()) > 0
    model, _ = example(CPU, ROWS, COLS, BANDS)
    assert facts["gflop"]["patch by patch"] == pytest.approx(flops(model, 1) * ROWS * COLS / 1e9)
    assert facts["gflop"]["dense"] < facts["gflop"]["patch by patch"] / 20
    assert facts["least_s_at_that_speed"]["dense"] == pytest.approx(
        facts["gflop"]["dense"] / facts["matrix_product_gflops"]
    )


def test_operations_of_a_matrix_product_by_hand() -> None:
    a, out = torch.ones(3, 5), torch.empty(3, 7)
    assert gflop_of(lambda: torch.addmm(torch.ones(7), a, torch.ones(5, 7), out=out)) == 2 * 3 * 5 * 7 / 1e9
    assert matrix_product_gflops(CPU, size=64, repeats=1) > 0


def test_the_example_is_no_fresh_model() -> None:
    model, cube = example(CPU, ROWS, COLS, BANDS)
    assert cube.shape == (ROWS, COLS, BANDS)
    assert not model.training
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_mean.abs().min() > 0
            assert module.weight.std() > 0.1
    assert (model.band_scale != 1).all()


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="KeyError: 'sideways'"):
        run_apart(predict_noise, CPU, {"side": "sideways", "rows": 8, "cols": 8, "bands": 3})
