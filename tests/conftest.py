"""What every test stands on: no network, no files of the user's own, few threads, repeatable examples."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pooch
import pytest
import torch
from hypothesis import settings

from hsilib.data.load import load_scene
from hsilib.data.scene import Scene

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")
torch.set_num_threads(int(os.environ.get("HSILIB_TEST_THREADS", "1")))  # `make portable` tries others

# The repair is also judged on real scenes, where HSILIB_DATA has them.
MODULES_THAT_MAY_SEE_LOCAL_DATA = {"test_repair"}


@pytest.fixture(autouse=True)
def isolated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty download cache, no HSILIB_DATA, and a network that is down."""

    def no_network(url: str, **_: Any) -> str:
        raise ConnectionError(f"the tests have no network; asked for {url}")

    if request.path.stem not in MODULES_THAT_MAY_SEE_LOCAL_DATA:
        monkeypatch.delenv("HSILIB_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.setattr(pooch, "retrieve", no_network)


@pytest.fixture(scope="session")
def tiny() -> Scene:
    """24 × 20 pixels, 12 bands, 4 classes, 336 pixels labelled."""
    return load_scene("synthetic-tiny")
