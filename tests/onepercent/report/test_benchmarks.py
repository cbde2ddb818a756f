"""Stored reports: what they are called, that they come back, and the table that is made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hsilib.errors import InputError
from onepercent.report.benchmarks import benchmark_table, duration, read_benchmarks, write_benchmark


def content(name: str = "dense", device: str = "Some CPU, threads: 2", ratio: float = 42.125) -> dict[str, Any]:
    comparison = {
        "what": "logits of 9 | 9",
        "baseline": "patch by patch",
        "ours": "dense",
        "baseline_s": [168.5],
        "ours_s": [4.0],
        "baseline_median_s": 168.5,
        "ours_median_s": 4.0,
        "ratio": ratio,
        "ratio_range": [40.0, 44.0],
    }
    provenance = {"device": device, "git_commit": "0123456789abcdef", "dirty": False, "started_utc": "2025-03-04T05:06"}
    return {
        "benchmark": name,
        "ratio": ratio,
        "comparisons": [comparison],
        "facts": {"difference": 1e-7},
        "provenance": provenance,
    }


def test_a_report_comes_back_under_the_hardwares_name(tmp_path: Path) -> None:
    gpu = content(device="Tesla T4 (rev. a1)")
    assert write_benchmark(tmp_path / "bench", gpu, cuda=True).name == "dense-tesla-t4-rev-a1.json"
    assert write_benchmark(tmp_path / "bench", content(), cuda=False).name == "dense-cpu.json"
    cpu, other = read_benchmarks(tmp_path / "bench")
    assert (cpu.name, cpu.hardware, other.hardware) == ("dense", "cpu", "tesla-t4-rev-a1")
    assert other.comparisons == gpu["comparisons"]
    assert (cpu.facts, cpu.provenance) == (content()["facts"], content()["provenance"])


def test_a_failure_while_writing_leaves_the_old_report(tmp_path: Path) -> None:
    path = write_benchmark(tmp_path, content(), cuda=False)
    with pytest.raises(TypeError):
        write_benchmark(tmp_path, content() | {"facts": {"no": object()}}, cuda=False)
    assert json.loads(path.read_text()) == content()
    assert list(tmp_path.iterdir()) == [path]


def test_no_folder_is_no_report(tmp_path: Path) -> None:
    assert read_benchmarks(tmp_path / "nowhere") == []


@pytest.mark.parametrize("text", ["{", "[]", '{"benchmark": "dense"}'])
def test_a_file_that_is_no_report_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "dense-cpu.json").write_text(text)
    with pytest.raises(InputError, match=r"dense-cpu\.json is no report"):
        read_benchmarks(tmp_path)


def test_the_table_has_a_row_a_comparison_and_one_for_what_is_missing(tmp_path: Path) -> None:
    write_benchmark(tmp_path, content(), cuda=False)
    header, _, dense, train = benchmark_table(read_benchmarks(tmp_path), ["dense", "train"]).splitlines()
    assert {line.count("|") for line in (header, dense, train)} == {9}
    cells = [cell.strip() for cell in dense.strip("|").split("|")]
    assert cells[:3] == ["**dense**", "logits of 9 / 9", "patch by patch: 2.81 min"]
    assert cells[3:6] == ["dense: 4 s", "42.1", "40 – 44"]
    assert cells[6:] == ["Some CPU, threads: 2", "2025-03-04, 012345678"]
    assert "not measured yet: `hsilib bench train --write`" in train


def test_changes_without_a_commit_are_marked(tmp_path: Path) -> None:
    changed = content()
    changed["provenance"] |= {"dirty": True}
    write_benchmark(tmp_path, changed, cuda=False)
    write_benchmark(tmp_path, content("train") | {"provenance": content()["provenance"] | {"git_commit": None}}, False)
    dense, train = read_benchmarks(tmp_path)
    assert (dense.measured, train.measured) == ("2025-03-04, 012345678*", "2025-03-04, no commit")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0151, "15.1 ms"),
        (0.9999, "1000 ms"),
        (4.1, "4.1 s"),
        (99.9, "99.9 s"),
        (3120, "52 min"),
        (6000, "1.67 h"),
        (5e6, "1389 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
