"""Tasks on a real local cluster: every result once, a killed worker, errors that come back."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from distributed import Client

import hsilib.cluster
from hsilib.cluster import connect, run_tasks
from hsilib.errors import InputError


def square(number: int) -> int:
    return number**2


def refuse(number: int) -> int:
    if number == 3:
        raise InputError("three is no good")
    return number


def note_and_wait(folder: Path, number: int) -> int:
    """Leave a file for each time the task begins."""
    (folder / f"{number}-{os.getpid()}-{time.monotonic_ns()}").touch()
    time.sleep(0.1)
    return number


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with connect("local") as client:
        yield client


@pytest.mark.slow
def test_every_task_is_done_once_however_few_may_be_in_flight(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(client.nthreads().values()) == [1, 1]
    monkeypatch.setattr(hsilib.cluster, "IN_FLIGHT", 3)
    assert sorted(run_tasks(client, square, range(20))) == [(n, n**2) for n in range(20)]
    assert list(run_tasks(client, square, [])) == []


@pytest.mark.slow
def test_workers_use_one_thread(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(client.run(os.environ.get, "OMP_NUM_THREADS").values()) == {os.environ.get("OMP_NUM_THREADS", "1")}


@pytest.mark.slow
def test_what_a_task_raises_is_raised_and_the_rest_is_cancelled(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="three is no good"):
        list(run_tasks(client, refuse, range(6)))
    for _ in run_tasks(client, partial(note_and_wait, tmp_path), range(300)):
        break
    time.sleep(0.5)
    begun = len(list(tmp_path.iterdir()))
    time.sleep(0.5)
    assert begun == len(list(tmp_path.iterdir())) < 300


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_the_task_of_a_killed_worker_runs_again(client: Client, tmp_path: Path) -> None:
    done = []
    for task, result in run_tasks(client, partial(note_and_wait, tmp_path), range(20)):
        assert task == result
        done.append(task)
        if len(done) == 4:
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    assert sorted(done) == list(range(20))
    begun = [path.name.split("-")[0] for path in tmp_path.iterdir()]
    assert 20 < len(begun) < 25, "only what the killed worker held runs again"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_task_that_kills_every_worker_ends_with_a_sentence(client: Client) -> None:
    with pytest.raises(InputError, match="died one after the other"):
        list(run_tasks(client, die, [0]))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "http://127.0.0.1:8786"])
def test_an_address_where_nobody_answers(address: str) -> None:
    with (
        pytest.raises(InputError, match=rf"--scheduler {address}: no dask scheduler answers.*tcp://host:8786"),
        connect(address),
    ):
        pass


def test_without_distributed_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'hsilib\[dask\]'"), connect("local"):
        pass
