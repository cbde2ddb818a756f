"""``hsilib bench``: what it prints and what it stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from onepercent.bench.comparison import Comparison, Report
from onepercent.bench.registry import BENCHMARKS
from onepercent.cli import bench, main
from onepercent.report.benchmarks import DEFAULT_BENCHMARKS, read_benchmarks

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def known_benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A benchmark whose times are known, in an empty working directory; the number of threads is put back."""

    def known(device: torch.device) -> Report:
        return Report("known", [Comparison("a task", "slow", "fast", [6.0, 4.0], [1.0, 1.0])], {"device": device.type})

    monkeypatch.setitem(BENCHMARKS, "known", known)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)


def test_json_is_the_only_thing_on_standard_output(capsys: Printed, tmp_path: Path) -> None:
    assert main(["bench", "known", "--json", "--device", "cpu"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["benchmark"], content["ratio"], content["facts"]) == ("known", 5.0, {"device": "cpu"})
    assert "threads" in content["provenance"]["device"]
    assert list(tmp_path.iterdir()) == []


def test_without_json_a_table(capsys: Printed) -> None:
    assert main(["bench", "known", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "slow: 5 s" in printed
    assert "4.00 – 6.00" in printed


def test_a_stored_report_is_what_json_prints(capsys: Printed) -> None:
    assert main(["bench", "known", "--json", "--write", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    path = Path("results/bench/known-cpu.json")
    assert json.loads(path.read_text()) == json.loads(printed.out)
    assert printed.err.splitlines()[-1] == str(path)


def test_the_last_line_is_the_path_and_another_folder_can_be_given(capsys: Printed) -> None:
    assert main(["bench", "known", "--device", "cpu", "--write", "elsewhere"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(Path("elsewhere/known-cpu.json"))
    assert [report.name for report in read_benchmarks("elsewhere")] == ["known"]


def test_a_folder_that_cannot_be_written_is_said_before_the_measurement(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").write_text("in the way")
    monkeypatch.setitem(BENCHMARKS, "known", lambda device: pytest.fail("it was run"))
    assert main(["bench", "known", "--write", "file/below"]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_an_unknown_name_lists_the_known_ones(capsys: Printed) -> None:
    assert main(["bench", "nown"]) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("hsilib: unknown benchmark 'nown': did you mean known? Valid: cluster, ")
    assert len(sentence.splitlines()) == 1


def test_what_the_help_states_is_what_there_is() -> None:
    """It imports no benchmark to say so."""
    assert {*bench.NAMES, "known"} == set(BENCHMARKS)
    assert bench.FOLDER == DEFAULT_BENCHMARKS


def test_no_threads_at_all(capsys: Printed) -> None:
    assert main(["bench", "dense", "--threads", "0"]) != 0
    assert "--threads is 0; expected at least 1" in capsys.readouterr().err
