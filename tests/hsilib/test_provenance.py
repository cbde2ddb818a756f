"""Where a measurement comes from: enough to understand, on another machine, why it differs there."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from hsilib import provenance
from hsilib.experiment import run
from hsilib.provenance import instruction_set, machine, processor
from hsilib.records import read_record, record_path, write_record
from onepercent.report.query import Results
from tests.helpers import small

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz: test
flags\t\t: fpu sse4_1 avx f16c fma avx2 avx512f avx512vl avx512_bf16 amx_bf16 amx_tile
bugs\t\t: spectre_v1

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
ARM = """\
processor\t: 0
Features\t: fp asimd crc32 sve
CPU implementer\t: 0x41
"""


def cpu_says(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(provenance, "CPU_INFO", path)


def without_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in provenance.LIMITS:
        monkeypatch.delenv(name, raising=False)


def test_the_first_processor_and_its_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu_says(X86, tmp_path, monkeypatch)
    assert processor() == "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz: test"
    flags = ["sse4_1", "avx", "fma", "avx2", "avx512f", "avx512_bf16", "amx_tile"]
    assert instruction_set()["flags"] == flags, "whole words only: avx512vl, amx_bf16 and f16c choose no kernel by name"


def test_arm_calls_them_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu_says(ARM, tmp_path, monkeypatch)
    monkeypatch.setattr(provenance.platform, "processor", lambda: "")
    monkeypatch.setattr(provenance.platform, "machine", lambda: "aarch64")
    assert processor() == "aarch64"
    assert instruction_set()["flags"] == ["asimd", "sve"]


def test_a_system_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "CPU_INFO", tmp_path / "none")
    assert processor()
    assert instruction_set()["flags"] == []


def test_limits_of_the_environment_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    without_limits(monkeypatch)
    assert instruction_set()["limits"] == {}
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert instruction_set()["limits"] == {"ONEDNN_MAX_CPU_ISA": "AVX2"}


def test_what_aten_took_is_asked_not_guessed() -> None:
    """A limit shows in the answer of a process that started under it."""
    code = "from hsilib.provenance import instruction_set; print(instruction_set()['aten'])"
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() in ("DEFAULT", "NO AVX"), "the latter is what releases before 2.5 call it"


def test_what_a_machine_is() -> None:
    content = machine(torch.device("cpu"), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert content["threads"] == torch.get_num_threads()
    assert content["device"] == f"{content['processor']}, threads: {content['threads']}"
    assert content["instruction_set"] == instruction_set()
    assert content["started_utc"] == "2026-01-02T03:04:05+00:00"


def test_records_from_before_are_read_and_traced(tmp_path: Path) -> None:
    """The oldest records name a device and nothing else of the machine."""
    record, _ = run(small("coordinates-1nn", seed=1))
    new = {"processor", "instruction_set", "threads"}
    assert new <= record.provenance.keys()
    old = replace(record, provenance={k: v for k, v in record.provenance.items() if k not in new})
    path = record_path(tmp_path, old.scene, old.split["spec"], old.recipe, old.seed, old.id)
    assert read_record(write_record(old, path)) == old
    source = Results(tmp_path).query("synthetic-tiny/percent:0.1/coordinates-1nn/kappa").source()
    assert source.endswith(f"; {old.provenance['device']}")
