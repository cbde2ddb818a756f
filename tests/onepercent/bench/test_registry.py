"""Which benchmarks a machine can run."""

from __future__ import annotations

import pytest
import torch

from onepercent.bench.registry import BENCHMARKS, NEED_CUDA, runnable


@pytest.mark.parametrize("found", [False, True])
def test_without_a_gpu_those_that_need_one_are_left_out(monkeypatch: pytest.MonkeyPatch, found: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found)
    assert set(BENCHMARKS) - set(runnable()) == (set() if found else set(NEED_CUDA))
    assert set(NEED_CUDA) < set(BENCHMARKS)
