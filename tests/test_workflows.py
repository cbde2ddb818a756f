"""What runs elsewhere: workflows and `make portable` name what there is, and try what they say they try."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))


def workflow(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))
    content["on"] = content.pop(True)  # YAML 1.1 reads `on` as a truth value
    return content


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


def commands(name: str) -> str:
    return "\n".join(step["run"] for step in steps(name) if "run" in step)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_a_workflow_names_what_there_is(path: Path) -> None:
    text, run = path.read_text(encoding="utf-8"), commands(path.name)
    assert set(re.findall(r"\bmake ([\w-]+)", run)) <= TARGETS
    files = re.findall(r"\bbash (\S+)|--ignore (\S+)|cache-dependency-path: (\S+)", text)
    for file in filter(None, (name for names in files for name in names)):
        assert (ROOT / file).is_file(), f"{path.name} names {file}, which does not exist"
    for extras in re.findall(r"'\.\[([^\]]*)\]'", run):
        assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()
    assert not re.search(r"(^|[\s'\"=:])(file://|~|/(home|root|work|Users|tmp)\b)", text), "a path of some machine"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_a_workflow_runs_on_pythons_that_the_package_accepts_and_may_write_nothing(path: Path) -> None:
    jobs = workflow(path.name)["jobs"]
    versions = [step["with"]["python-version"] for step in steps(path.name) if "setup-python" in step.get("uses", "")]
    for job in jobs.values():
        versions += job.get("strategy", {}).get("matrix", {}).get("python", [])
    versions = [version for version in versions if version != "${{ matrix.python }}"]
    assert versions
    assert all(isinstance(version, str) for version in versions), "3.10 as a number is 3.1"
    assert all(SpecifierSet(PROJECT["requires-python"]).contains(version) for version in versions)
    assert workflow(path.name)["permissions"] == {"contents": "read"}, "a job that writes says so itself"
    assert all(set(job["needs"]) <= jobs.keys() for job in jobs.values() if isinstance(job.get("needs"), list))


def test_what_runs_weekly_is_not_pinned() -> None:
    """Pins cannot notice that the world outside has moved."""
    assert "schedule" not in workflow("test.yml")["on"]
    weekly = workflow("newest.yml")
    assert "schedule" in weekly["on"]
    for job in ("newest", "lowest"):
        assert "constraint" not in str(weekly["jobs"][job])
    assert "--resolution lowest-direct" in commands("newest.yml")
    report = weekly["jobs"]["report"]
    assert set(report["needs"]) == weekly["jobs"].keys() - {"report"}
    assert report["if"] == "failure()"
    assert report["permissions"] == {"issues": "write"}


def test_portable_tries_every_limit() -> None:
    text = (ROOT / ".ci" / "portable").read_text(encoding="utf-8")
    table = text.partition("<<COMBINATIONS\n")[2].partition("\nCOMBINATIONS")[0]
    onednn, aten, threads = (set(column) for column in zip(*(row.split() for row in table.splitlines()), strict=True))
    assert onednn == {"SSE41", "AVX2", "-"}
    assert aten == {"default", "avx2", "-"}
    assert threads == {"1", "2", "4"}
    for parent, names in re.findall(r"(tests/\w+)/\{([\w,]+)\}", text):
        assert all((ROOT / parent / name).is_dir() for name in names.split(","))
    conftest = (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")
    assert all("HSILIB_TEST_THREADS" in where for where in (text, conftest))
