"""Real processes: what they are told, what comes back, and whose memory is counted."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
import torch

from onepercent.bench.apart import Apart, run_apart

CPU = torch.device("cpu")


def surroundings(device: torch.device, names: list[str]) -> dict[str, Any]:
    print("not the result")
    variables = {name: os.environ.get(name) for name in names}
    return {"device": str(device), "threads": torch.get_num_threads(), "variables": variables, "pid": os.getpid()}


def give_up(device: torch.device) -> None:
    sys.exit(f"no more {device}")


def test_what_the_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "a")
    monkeypatch.setenv("TAKEN", "b")
    names = ["KEPT", "TAKEN", "NEW"]
    found = run_apart(surroundings, CPU, {"names": names}, 1, {"TAKEN": None, "NEW": "c"}).result
    assert found.pop("pid") != os.getpid()
    assert found == {"device": "cpu", "threads": 1, "variables": {"KEPT": "a", "TAKEN": None, "NEW": "c"}}
    assert os.environ["TAKEN"] == "b"


def test_it_has_as_many_threads_as_this_one() -> None:
    assert run_apart(surroundings, CPU, {"names": []}).result["threads"] == torch.get_num_threads()


def test_added_memory_by_hand() -> None:
    assert Apart(None, idle_mb=300.1, peak_mb=420.4).added_mb == 120.3


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="no more cpu"):
        run_apart(give_up, CPU, {})
