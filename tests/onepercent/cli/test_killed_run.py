"""A run killed by the operating system, seen from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import SMALL_SETTINGS

SETTINGS = [*SMALL_SETTINGS, "fit.epochs=150", "pretrain.epochs=2", "tta=8"]
COMMAND = [
    sys.executable,
    "-m",
    "onepercent.cli",
    "run",
    "paper",
    "--scene",
    "synthetic-tiny",
    "--split",
    "percent:0.05",
]


def command(records: Path, workspace: Path) -> list[str]:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return [*COMMAND, *settings, "--records", str(records), "--workspace", str(workspace), "--device", "cpu"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_run_killed_at_any_moment_ends_with_the_same_metrics(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole = subprocess.run(
        command(tmp_path / "whole", tmp_path / "a"), capture_output=True, text=True, check=True, env=environment
    )
    expected = json.loads(Path(whole.stdout.splitlines()[-1]).read_text())

    workspace, records = tmp_path / "b", tmp_path / "killed"
    process = subprocess.Popen(command(records, workspace), stderr=subprocess.DEVNULL, env=environment)
    limit = time.monotonic() + 120
    while not list(workspace.glob("*.checkpoint")) and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"
    assert not list(records.rglob("*.json"))
    resumed = subprocess.run(command(records, workspace), capture_output=True, text=True, check=True, env=environment)
    record = json.loads(Path(resumed.stdout.splitlines()[-1]).read_text())
    assert record["metrics"] == expected["metrics"]
    assert record["model"]["history"] == expected["model"]["history"]
    assert all(stage["from_cache"] for stage in record["model"]["pretraining"])
    assert not list(workspace.glob("*.checkpoint"))
