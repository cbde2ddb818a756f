"""``hsilib run --save`` and ``hsilib predict``: from a trained model to a map."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from hsilib.data.scene import Scene
from hsilib.inference.dense import TILE
from hsilib.model_file import read_class_names
from hsilib.rasters.classify import DEFAULT_SIDE
from onepercent.cli import main
from onepercent.report.png_map import read_class_map
from tests.helpers import SMALL_SETTINGS

Printed = pytest.CaptureFixture[str]


def run(folder: Path, recipe: str, *arguments: str) -> int:
    """A small run on the tiny scene; records and workspace stay in ``folder``."""
    scene = ["--scene", "synthetic-tiny", "--split", "count:5", "--device", "cpu"]
    kept = ["--records", str(folder / "records"), "--workspace", str(folder / "work")]
    return main(["run", recipe, *scene, *kept, *arguments])


def write_scene(scene: Scene, path: Path) -> Path:
    rows, cols, bands = scene.cube.shape
    shape = {"height": rows, "width": cols, "count": bands, "dtype": scene.cube.dtype}
    place = {"crs": "EPSG:32616", "transform": rasterio.Affine(3, 0, 5e5, 0, -3, 4e6)}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place) as file:
        file.write(np.moveaxis(scene.cube, -1, 0))
    return path


def test_the_map_of_a_saved_model_is_the_runs_own(tiny: Scene, tmp_path: Path, capsys: Printed) -> None:
    model, image, target = tmp_path / "m/model.safetensors", tmp_path / "image.tif", tmp_path / "map.tif"
    settings = [
        text for setting in [*SMALL_SETTINGS, "fit.epochs=40", "fit.learning_rate=0.01"] for text in ("--set", setting)
    ]
    assert run(tmp_path, "quick", *settings, "--map", "--save", str(model)) == 0
    record = Path(capsys.readouterr().out.splitlines()[-1])
    assert read_class_names(model) == tiny.class_names
    write_scene(tiny, image)
    assert main(["predict", str(model), str(image), str(target), "--device", "cpu"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(target)
    with rasterio.open(target) as file:
        labels = file.read(1)
        assert file.tags(1)["CLASS_1"] == tiny.class_names[0]
    assert len(np.unique(labels)) > 1
    np.testing.assert_array_equal(labels, read_class_map(record.with_suffix(".png")))


@pytest.mark.parametrize("arguments", [["svm"], ["quick", "--seed", "0", "1"]])
def test_what_gives_no_single_model_is_refused_before_it_runs(
    arguments: list[str], tmp_path: Path, capsys: Printed
) -> None:
    assert run(tmp_path, *arguments, "--save", str(tmp_path / "model.safetensors")) == 2
    assert "--save: one seed of a recipe that trains a network" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_the_help_states_is_what_is_done(capsys: Printed) -> None:
    """It does not load the library to say so."""
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"rounded up to a multiple of {TILE}; smaller needs less memory ({DEFAULT_SIDE})" in text


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: Printed) -> None:
    assert main(["predict", str(tmp_path / "model"), "image.tif", str(tmp_path / "map.tif")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"hsilib: {tmp_path}/model: not a checkpoint of hsilib")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["rasterio", "xarray"])
def test_without_the_optional_packages(
    package: str, tiny: Scene, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [text for setting in [*SMALL_SETTINGS, "fit.epochs=1"] for text in ("--set", setting)]
    run(tmp_path, "quick", *settings, "--save", str(tmp_path / "model.safetensors"))
    image = write_scene(tiny, tmp_path / "image.tif")
    for module in ("hsilib.rasters.xarray_file", "hsilib.rasters.gdal_file"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "model.safetensors"), str(image), str(tmp_path / "map.tif")]) == 2
    assert f"need the package {package}: pip install 'hsilib[geo]'" in capsys.readouterr().err
