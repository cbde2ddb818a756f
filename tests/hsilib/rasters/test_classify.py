"""Classifying an image on disk: equal to memory, restarted after a kill, shared among processes, or refused."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import xarray as xr
from numpy.typing import NDArray

import hsilib.rasters.classify
from hsilib.cluster import run_tasks
from hsilib.errors import InputError
from hsilib.inference.dense import TILE, predict_logits
from hsilib.model_file import load_model, save_model
from hsilib.rasters.classify import Job, classify_raster, finish_tile
from hsilib.rasters.raster import Window
from hsilib.registry import create_model
from tests.helpers import make_nontrivial, undecided_model

NAMES = ["corn", "meadow", "water"]
CUBE = np.random.default_rng(0).normal(100, 15, (TILE + 5, 2 * TILE + 9, 4)).astype(np.float32)
N_TILES = 6  # of side TILE


def write_image(path: Path, cube: NDArray[Any] = CUBE) -> Path:
    rows, cols, bands = cube.shape
    shape = {"height": rows, "width": cols, "count": bands, "dtype": cube.dtype}
    place = {"crs": "EPSG:32616", "transform": rasterio.Affine(3, 0, 5e5, 0, -3, 4e6), "tiled": True}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place) as file:
        file.write(np.moveaxis(cube, -1, 0))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.safetensors, image.tif and map.tif, made in memory's way of one tile."""
    folder = tmp_path_factory.mktemp("predict")
    save_model(undecided_model(CUBE, len(NAMES)), folder / "model.safetensors", NAMES)
    write_image(folder / "image.tif")
    classify_raster(folder / "model.safetensors", folder / "image.tif", folder / "map.tif", tile=10 * TILE)
    return folder


def classify(files: Path, target: Path, tile: int = TILE, **options: Any) -> Path:
    return classify_raster(files / "model.safetensors", files / "image.tif", target, tile, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_map_is_what_memory_gives(files: Path) -> None:
    model = load_model(files / "model.safetensors")
    expected = predict_logits(model, CUBE).argmax(dim=2).numpy() + 1
    assert len(np.unique(expected)) == len(NAMES)
    with rasterio.open(files / "map.tif") as file:
        np.testing.assert_array_equal(file.read(1), expected)
        assert file.crs.to_epsg() == 32616
        assert file.transform == rasterio.Affine(3, 0, 5e5, 0, -3, 4e6)
        assert [file.tags(1)[f"CLASS_{k}"] for k in (1, 2, 3)] == NAMES


@pytest.mark.parametrize("tile", [1, 2 * TILE - 1])
def test_tiles_of_any_size_give_the_same_bytes(files: Path, tile: int, tmp_path: Path) -> None:
    classify(files, tmp_path / "map.tif", tile)
    assert contents(tmp_path) == {name: (files / name).read_bytes() for name in ("map.tif", "map.tif.aux.xml")}


def test_netcdf_by_variable_gives_the_same_map(files: Path, tmp_path: Path) -> None:
    array = xr.DataArray(CUBE, dims=("y", "x", "band"))
    xr.Dataset({"a": array, "b": -array}).to_netcdf(tmp_path / "image.nc", engine="h5netcdf")
    classify_raster(files / "model.safetensors", f"{tmp_path}/image.nc:a", tmp_path / "map.tif", TILE)
    with rasterio.open(tmp_path / "map.tif") as found, rasterio.open(files / "map.tif") as expected:
        np.testing.assert_array_equal(found.read(1), expected.read(1))


def test_a_model_of_an_older_file_has_numbers_for_names(files: Path, tmp_path: Path) -> None:
    save_model(load_model(files / "model.safetensors"), tmp_path / "model.safetensors")
    classify_raster(tmp_path / "model.safetensors", files / "image.tif", tmp_path / "map.tif")
    assert "<Category>class 3</Category>" in (tmp_path / "map.tif.aux.xml").read_text()


# --- restart


class Interrupted:
    """`finish_tile` that stops after some tiles and counts."""

    def __init__(self, after: int) -> None:
        self.after, self.done = after, 0

    def __call__(self, job: Job, window: Window) -> None:
        if self.done == self.after:
            raise KeyboardInterrupt
        finish_tile(job, window)
        self.done += 1


def test_only_unfinished_tiles_are_done_after_an_interruption(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hsilib.rasters.classify, "finish_tile", Interrupted(4))
    with pytest.raises(KeyboardInterrupt):
        classify(files, tmp_path / "map.tif")
    assert not (tmp_path / "map.tif").exists()
    tiles = sorted((tmp_path / "map.tif.tiles").glob("*.npy"))
    assert len(tiles) == 4
    tiles[0].write_bytes(tiles[0].read_bytes()[:-1])  # as a failing disk leaves it
    again = Interrupted(N_TILES)
    monkeypatch.setattr(hsilib.rasters.classify, "finish_tile", again)
    classify(files, tmp_path / "map.tif")
    assert again.done == N_TILES - 3
    assert "3 of 6 tiles are finished already" in capsys.readouterr().err
    assert contents(tmp_path) == {name: (files / name).read_bytes() for name in ("map.tif", "map.tif.aux.xml")}


@pytest.mark.parametrize("change", ["model", "image", "tile"])
def test_tiles_of_something_else_are_not_used(
    files: Path, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.safetensors").write_bytes((files / "model.safetensors").read_bytes())
    write_image(tmp_path / "image.tif")
    monkeypatch.setattr(hsilib.rasters.classify, "finish_tile", Interrupted(2))
    with pytest.raises(KeyboardInterrupt):
        classify(tmp_path, tmp_path / "map.tif")
    if change == "model":
        save_model(load_model(files / "model.safetensors"), tmp_path / "model.safetensors", ["other", "names", "now"])
    if change == "image":
        write_image(tmp_path / "image.tif", CUBE + 1)
    again = Interrupted(N_TILES)
    monkeypatch.setattr(hsilib.rasters.classify, "finish_tile", again)
    classify(tmp_path, tmp_path / "map.tif", 2 * TILE if change == "tile" else TILE)
    assert again.done == (2 if change == "tile" else N_TILES)
    assert "starting anew" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_command_goes_on_and_ends_with_the_same_bytes(files: Path, tmp_path: Path) -> None:
    cube = np.tile(CUBE, (4, 2, 1))
    write_image(tmp_path / "image.tif", cube)
    killed, environment = tmp_path / "killed.tif", {**os.environ, "OMP_NUM_THREADS": "1"}
    start = [sys.executable, "-m", "onepercent.cli", "predict", f"{files}/model.safetensors", f"{tmp_path}/image.tif"]
    command = [*start, killed, "--tile", str(TILE), "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    limit = time.monotonic() + 120
    while (
        len(list(tmp_path.glob("killed.tif.tiles/*.npy"))) < 3 and process.poll() is None and time.monotonic() < limit
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("killed.tif.tiles/*.npy")}
    assert not killed.exists()
    resumed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    n_tiles = -(-cube.shape[0] // TILE) * -(-cube.shape[1] // TILE)
    assert 3 <= len(finished) < n_tiles
    assert f"{len(finished)} of {n_tiles} tiles are finished already" in resumed.stderr
    assert resumed.stdout.splitlines()[-1] == str(killed)
    assert {path.name for path in tmp_path.iterdir()} == {"image.tif", "killed.tif", "killed.tif.aux.xml"}
    whole = classify_raster(files / "model.safetensors", tmp_path / "image.tif", tmp_path / "whole.tif")
    assert killed.read_bytes() == whole.read_bytes()


# --- several processes


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_two_processes_of_which_one_is_killed_give_the_same_bytes(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = []

    def killing(client: Any, function: Callable[[Any], Any], tasks: Any) -> Iterator[Any]:
        for done, result in enumerate(run_tasks(client, function, tasks)):
            if done == 2:
                killed.append(next(iter(client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)
            yield result

    monkeypatch.setattr(hsilib.rasters.classify, "run_tasks", killing)
    classify(files, tmp_path / "map.tif", scheduler="local", device="cpu")
    assert killed
    assert killed[0] != os.getpid()
    assert contents(tmp_path) == {name: (files / name).read_bytes() for name in ("map.tif", "map.tif.aux.xml")}


FINISHED = """
import pickle
import sys
from hsilib.rasters.classify import finish_tile
before = [module for module in sys.modules if module.startswith("onepercent")]
finish_tile(*pickle.load(sys.stdin.buffer))
print(before, any(module.startswith("onepercent") for module in sys.modules))
"""


def peers_model(folder: Path) -> tuple[Path, Path]:
    """Files of a small network that hsilib does not have, and of an image for it."""
    cube = np.random.default_rng(1).normal(100, 15, (5, TILE + 9, 16)).astype(np.float32)
    torch.manual_seed(0)
    model = make_nontrivial(create_model("ssrn", cube.shape[2], len(NAMES), patch_size=3))
    return save_model(model, folder / "peer.safetensors", NAMES), write_image(folder / "image.tif", cube)


def test_a_process_that_knows_hsilib_alone_learns_of_the_models_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, image = peers_model(tmp_path)
    whole = classify_raster(checkpoint, image, tmp_path / "whole.tif", device="cpu").read_bytes()
    jobs: list[Job] = []

    def elsewhere(job: Job, window: Window) -> None:
        jobs.append(job)
        command = [sys.executable, "-c", FINISHED]
        done = subprocess.run(command, input=pickle.dumps((job, window)), capture_output=True, check=False)
        assert done.stdout.decode().strip() == "[] True", done.stderr.decode()

    monkeypatch.setattr(hsilib.rasters.classify, "finish_tile", elsewhere)
    classify_raster(checkpoint, image, tmp_path / "map.tif", TILE, device="cpu")
    assert [job.network for job in jobs] == ["onepercent.peers.networks.ssrn"] * 2
    assert (tmp_path / "map.tif").read_bytes() == whole


@pytest.mark.slow
def test_workers_classify_with_a_network_that_hsilib_does_not_have(tmp_path: Path) -> None:
    checkpoint, image = peers_model(tmp_path)
    whole = classify_raster(checkpoint, image, tmp_path / "whole.tif", device="cpu").read_bytes()
    classify_raster(checkpoint, image, tmp_path / "map.tif", TILE, scheduler="local", device="cpu")
    assert (tmp_path / "map.tif").read_bytes() == whole


# --- memory

MEASURED = """
import sys
import torch
from onepercent.bench.apart import peak_mb
from hsilib.rasters.classify import classify_raster
classify_raster(*sys.argv[1:4], tile=1, device="cpu")
print(peak_mb(torch.device("cpu")))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    part = np.random.default_rng(0).integers(0, 4000, (TILE, TILE, 100)).astype(np.uint16)
    save_model(undecided_model(part[:20, :20].astype(np.float32), 3), tmp_path / "model.safetensors")
    peaks = []
    for times in (1, 4):
        image = write_image(tmp_path / f"{times}.tif", np.tile(part, (times, times, 1)))
        command = [sys.executable, "-c", MEASURED, f"{tmp_path}/model.safetensors", image, f"{tmp_path}/map.tif"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout.splitlines()[-1]))
    assert peaks[1] < 1.3 * peaks[0]
    assert peaks[1] - peaks[0] < 0.5 * 15 * part.nbytes / 2**20, "half of what the larger image has more"


# --- what is refused


def bad(files: Path, tmp_path: Path) -> dict[str, tuple[tuple[Any, ...], str]]:
    """Arguments, each wrong in one thing, and what is said."""
    model, image, target = files / "model.safetensors", files / "image.tif", tmp_path / "map.tif"
    other = tmp_path / "other"
    other.mkdir()
    (other / "taken.tif.tiles").mkdir()
    (other / "taken.tif.tiles" / "precious.txt").touch()
    (other / "copy.tif").write_bytes(image.read_bytes())
    (other / "broken.safetensors").write_bytes(model.read_bytes()[:100])
    write_image(other / "bands.tif", CUBE[:, :, :3])
    os.link(other / "copy.tif", other / "link.tif")
    return {
        "no model": ((tmp_path / "nowhere", image, target), "nowhere: not a checkpoint"),
        "broken model": ((other / "broken.safetensors", image, target), "not a checkpoint"),
        "no image": ((model, tmp_path / "nowhere.tif", target), r"nowhere\.tif: no such file"),
        "not an image": ((model, model, target), "cannot be read"),
        "bands": ((model, other / "bands.tif", target), r"bands\.tif: 3 bands; the model was trained on 4"),
        "output is input": ((model, other / "copy.tif", other / "copy.tif"), "the output is the input"),
        "output links to input": ((model, other / "copy.tif", other / "link.tif"), "the output is the input"),
        "format": ((model, image, tmp_path / "map.png"), r"name it ….tif"),
        "output is a folder": ((model, image, tmp_path / "folder.tif"), "a folder; name a file"),
        "output folder": ((model, image, model / "map.tif"), "cannot write to the folder"),
        "tiles of others": ((model, image, other / "taken.tif"), r"no manifest\.json in it"),
        "device": ((model, image, target, TILE, None, "tpu"), "unknown device 'tpu'"),
        "scheduler": ((model, image, target, TILE, "tcp://127.0.0.1:1"), "no dask scheduler answers"),
    }


@pytest.mark.parametrize(
    "name",
    [
        *("no model", "broken model", "no image", "not an image", "bands", "output is input", "output links to input"),
        *("format", "output is a folder", "output folder", "tiles of others", "device", "scheduler"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_lost(name: str, files: Path, tmp_path: Path) -> None:
    arguments, message = bad(files, tmp_path)[name]
    (tmp_path / "folder.tif").mkdir()
    before = contents(tmp_path)
    with pytest.raises(InputError, match=message):
        classify_raster(*arguments)
    left = contents(tmp_path)
    left.pop("map.tif.tiles/manifest.json", None)  # an unreachable scheduler is tried again
    assert left == before


def test_the_manifest_says_what_the_tiles_are_of(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hsilib.rasters.classify, "finish_tile", Interrupted(0))
    with pytest.raises(KeyboardInterrupt):
        classify(files, tmp_path / "map.tif")
    manifest = json.loads((tmp_path / "map.tif.tiles/manifest.json").read_text())
    assert set(manifest) == {"checkpoint", "source", "files", "tile"}
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["checkpoint"])
    assert manifest["files"][:2] == [1, (files / "image.tif").stat().st_size]
