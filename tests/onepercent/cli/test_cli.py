"""The command line: what it prints, how it ends, and that bad input leaves nothing behind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import pytest
import scipy.io

from hsilib.data.load import scene_names
from hsilib.data.scene import Scene
from hsilib.data.store import local_folders
from hsilib.records import read_record
from onepercent.cli import main
from onepercent.many_seeds import run_seeds
from onepercent.recipes import RECIPES
from onepercent.report.png_map import read_class_map
from tests.helpers import SMALL_SETTINGS

Printed = pytest.CaptureFixture[str]
QUICK_SETTINGS = [text for setting in [*SMALL_SETTINGS, "fit.epochs=2"] for text in ("--set", setting)]


def run_quick(records: Path, *arguments: str) -> int:
    """A small `hsilib run quick` on the tiny scene; later arguments win."""
    scene = ["--scene", "synthetic-tiny", "--split", "count:5", "--device", "cpu"]
    return main(["run", "quick", *scene, "--records", str(records), *QUICK_SETTINGS, *arguments])


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# --- what it prints


def test_the_last_line_on_standard_output_is_the_records_path(tmp_path: Path, capsys: Printed) -> None:
    assert run_quick(tmp_path / "records", "--seed", "4") == 0
    lines = capsys.readouterr().out.splitlines()
    path = Path(lines[-1])
    assert files_below(tmp_path / "records") == [path]
    record = read_record(path)
    assert path.parent == tmp_path / "records/synthetic-tiny/count-5/quick"
    assert path.name == f"seed-4-{record.id}.json"
    assert record.config["model"]["patch_size"] == 5
    assert f"OA {record.metrics['overall_accuracy']:.2%}" in lines[-2]


def test_as_a_process_of_its_own(tmp_path: Path) -> None:
    """Progress goes to standard error, the record's path is the last line of standard output."""
    command = [sys.executable, "-m", "onepercent.cli", "run", "coordinates-1nn", "--scene", "synthetic-tiny"]
    done = subprocess.run(
        [*command, "--split", "count:5", "--records", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(Path(done.stdout.splitlines()[-1]).read_text())
    confusion = np.array(content["metrics"]["confusion"])
    assert content["metrics"]["overall_accuracy"] == np.trace(confusion) / confusion.sum()


def test_the_same_command_twice_gives_the_same_record(tmp_path: Path, capsys: Printed) -> None:
    paths = []
    for folder in ("first", "second"):
        run_quick(tmp_path / folder)
        paths.append(Path(capsys.readouterr().out.splitlines()[-1]))
    first, second = (read_record(path) for path in paths)
    assert first.id == second.id
    assert first.metrics == second.metrics
    assert first.model == second.model
    assert paths[0].relative_to(tmp_path / "first") == paths[1].relative_to(tmp_path / "second")


def test_several_seeds_leave_the_records_that_each_leaves_alone(tmp_path: Path, capsys: Printed) -> None:
    assert run_quick(tmp_path / "together", "--seed", "4", "2", "4") == 0
    lines = capsys.readouterr().out.splitlines()
    paths = [Path(line) for line in lines[1::2]]
    assert ["seed 4" in lines[0], "seed 2" in lines[2], len(lines)] == [True, True, 4]
    for path, seed in zip(paths, (4, 2), strict=True):
        run_quick(tmp_path / "alone", "--seed", str(seed))
        alone = Path(capsys.readouterr().out.splitlines()[-1])
        assert path.relative_to(tmp_path / "together") == alone.relative_to(tmp_path / "alone")
        assert read_record(path).metrics == read_record(alone).metrics


def test_the_class_map_lies_beside_the_record(tmp_path: Path, capsys: Printed) -> None:
    assert run_quick(tmp_path, "--map") == 0
    path = Path(capsys.readouterr().out.splitlines()[-1])
    class_map = read_class_map(path.with_suffix(".png"))
    assert class_map.shape == (24, 20)
    assert set(np.unique(class_map)) <= {1, 2, 3, 4}


def test_a_scene_and_a_mask_of_ones_own(tiny: Scene, tmp_path: Path, capsys: Printed) -> None:
    scipy.io.savemat(tmp_path / "cube.mat", {"data": tiny.cube})
    scipy.io.savemat(tmp_path / "labels.mat", {"gt": tiny.ground_truth})
    train, test = tiny.ground_truth.copy(), tiny.ground_truth.copy()
    train[:, 10:], test[:, :10] = 0, 0
    np.savez(tmp_path / "maps.npz", train=train, test=test)
    scene = f"{tmp_path}/cube.mat:data,{tmp_path}/labels.mat:gt"
    arguments = ["--scene", scene, "--split", f"mask:{tmp_path}/maps.npz", "--records", str(tmp_path / "records")]
    assert main(["run", "coordinates-1nn", *arguments]) == 0
    path = Path(capsys.readouterr().out.splitlines()[-1])
    assert path.is_relative_to(tmp_path / "records")
    record = read_record(path)
    assert (record.split["n_train"], record.split["n_test"]) == ((train > 0).sum(), (test > 0).sum())


def test_scenes_are_listed_with_what_is_at_hand(capsys: Printed) -> None:
    assert main(["scenes"]) == 0
    lines = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines[1:]] == scene_names()
    rows = {line.split()[0]: line for line in lines}
    assert " yes " in rows["indian-pines"]
    assert "145 × 145 × 200" in rows["indian-pines"]
    assert "tensorly" in rows["indian-pines"]
    assert " no " in rows["pavia-university"]
    assert "https://" in rows["pavia-university"]
    assert "24 × 20 × 12" in rows["synthetic-tiny"]


def helped(arguments: list[str], capsys: Printed) -> str:
    """What a command with ``--help`` prints."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", [[], ["run"]])
def test_general_help_fits_two_screens(command: list[str], capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = helped([*command, "--help"], capsys).splitlines()
    assert len(lines) <= 48
    assert max(map(len, lines)) <= 100


def test_recipes_are_listed_with_the_time_they_take(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["recipes"]) == 0
    text = capsys.readouterr().out
    rows = {line.split()[0]: line for line in text.partition("\n\n")[0].splitlines()}
    assert list(rows) == list(RECIPES)
    assert all(RECIPES[name].what in row and RECIPES[name].takes in row for name, row in rows.items())
    assert "two CPU cores" in text


def test_the_settings_of_a_recipe_are_shown_a_line_each(capsys: Printed) -> None:
    assert main(["recipes", "hybridsn"]) == 0
    shown = capsys.readouterr().out
    assert "two CPU cores" in shown
    lines = shown.splitlines()
    assert {"  network=hybridsn", "  model.components=30", "  fit.learning_rate=0.001", "  tta=0"} <= set(lines)
    for setting in ("network", "model.components", "fit.learning_rate"):
        assert sum(line.strip().startswith(f"{setting}=") for line in lines) == 1
    assert main(["recipes", "coordinates-1nn"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no settings"


def test_help_behind_a_recipe_ends_with_its_settings(capsys: Printed) -> None:
    general = helped(["run", "--help"], capsys)
    main(["recipes", "quick"])
    settings = capsys.readouterr().out
    assert "fit.learning_rate=" in settings
    assert "fit.learning_rate=" not in general
    assert helped(["run", "quick", "--help"], capsys) == f"{general}\n{settings}"


def test_fetch(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    def retrieve(url: str, **options: Any) -> str:
        return str(Path(options["path"]) / options["fname"])

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert main(["fetch", "salinas-a", "synthetic-tiny"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"salinas-a: {local_folders()[-1]}/SalinasA_corrected.mat, {local_folders()[-1]}/SalinasA_gt.mat"
    assert second == "synthetic-tiny: nothing to download"


def test_claims_are_held_against_the_records_of_a_folder(tmp_path: Path, capsys: Printed) -> None:
    """The committed ledger; without a record only what needs none has a verdict."""
    assert main(["claims", "--records", str(tmp_path)]) == 0
    table, counts, missing = capsys.readouterr().out.strip().split("\n\n")
    rows = {line.split()[0]: line for line in table.splitlines()[1:] if not line.startswith(" ")}
    assert re.split(r"\s{2,}", rows["parameters-sum"])[-1] == "text inconsistent"
    assert "about 1.2 M" in rows["parameters-sum"]
    assert "790 K" in rows["parameters-sum"]
    assert re.split(r"\s{2,}", rows["pavia-labels"])[-1] == "needs a scene"
    assert [line.partition(":")[0] for line in counts.splitlines()] == ["performance", "cost", "setting", "text"]
    assert sum(int(number) for number in re.findall(r"\d+", counts)) == len(rows)
    by_verdict = [sum(map(int, re.findall(r"(\d+) needs a scene", line))) for line in counts.splitlines()]
    assert sum(by_verdict) == sum(row.endswith("needs a scene") for row in rows.values())
    assert any(line.strip().startswith("on Indian Pines") for line in table.splitlines())
    assert "  hsilib sweep results/campaigns/ruler.yaml" in missing.splitlines()


def test_claims_are_read_from_the_checkouts_records_by_default(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    assert main(["claims"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("pavia-labels "))
    assert re.split(r"\s{2,}", row)[-1] == "supported"
    assert "10 seeds" in row


# --- bad input: one clear sentence on standard error, exit code 2, nothing written


def refused(arguments: list[str], capsys: Printed) -> str:
    """Run, check that it ends with 2 and one sentence; return the sentence."""
    capsys.readouterr()
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    # Before the sentence there may be progress bars; behind it nothing.
    last = printed.err.strip().splitlines()[-1].rpartition("\r")[2]
    assert last.startswith("hsilib: ")
    assert "Traceback" not in printed.err
    return last


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scene", "indian-pine"], "unknown scene 'indian-pine': did you mean indian-pines"),
        (["--set", "fit.epoch=3"], "unknown --set key 'fit.epoch': did you mean fit.epochs"),
        (["--set", "fit.epochs=many"], "expected int"),
        (["--set", "fit.epochs"], "expected key=value"),
        (["--set", "fit.epochs=0"], "epochs"),
        (["--set", "fit.batch_size=0"], "batch_size"),
        (["--set", "model.patch_size=4"], "odd number of at least 5"),
        (["--set", "model.dropout=2.0"], "dropout"),
        (["--set", "model.hidden_width=0"], "hidden_width"),
        (["--set", "network=dual-brunch"], "unknown network 'dual-brunch': did you mean dual-branch"),
        (["--split", "persent:0.01"], "unknown split 'persent': did you mean percent"),
        (["--split", "percent:7"], "not a fraction between 0 and 1"),
        (["--split", "blocks:8"], "expected blocks:SIZE:BUFFER:count:N"),
        (["--split", "blocks:1000000000:7:count:3"], "no test pixels"),
        (["--split", "mask:nowhere.npz"], "nowhere.npz: no such file"),
        (["--split", "count:60"], "too few labelled pixels in gravel (45 pixels, needs 62)"),
        (["--scene", "pavia-university"], "PaviaU_gt.mat is not at hand and could not be downloaded"),
        (["--scene", "nowhere.npz"], "nowhere.npz: no such file"),
        (["--scene", "a.mat,b.mat,c.mat"], "expected FILE.npz or CUBE,GROUND_TRUTH"),
        (["--seed", "-1"], "seed"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_bad_arguments(arguments: list[str], message: str, tmp_path: Path, capsys: Printed) -> None:
    scene = ["--scene", "synthetic-tiny", "--split", "count:5", "--device", "cpu", *QUICK_SETTINGS]
    sentence = refused(["run", "quick", *scene, "--records", str(tmp_path / "records"), *arguments], capsys)
    assert message in sentence
    assert files_below(tmp_path) == []


def test_claims_outside_a_checkout(tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "book/claims.yml: not found here or above" in refused(["claims"], capsys)


def test_an_unknown_recipe(tmp_path: Path, capsys: Printed) -> None:
    for arguments in (
        ["run", "quik", "--records", str(tmp_path / "records")],
        ["run", "quik", "-h"],
        ["recipes", "quik"],
    ):
        assert "unknown recipe 'quik': did you mean quick?" in refused(arguments, capsys)
    assert files_below(tmp_path) == []


def test_fetching_an_unknown_scene(capsys: Printed) -> None:
    assert "did you mean salinas" in refused(["fetch", "salinass"], capsys)


def test_fetching_without_network(capsys: Printed) -> None:
    sentence = refused(["fetch", "salinas"], capsys)
    assert "https://www.ehu.eus/ccwintco/uploads/a/a3/Salinas_corrected.mat" in sentence
    assert "HSILIB_DATA" in sentence


def test_a_file_whose_hash_is_wrong(tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("SalinasA_corrected.mat", "SalinasA_gt.mat"):
        (data / name).write_bytes(b"half a download")
    monkeypatch.setenv("HSILIB_DATA", str(data))
    records = tmp_path / "records"
    sentence = refused(["run", "svm", "--scene", "salinas-a", "--records", str(records)], capsys)
    assert "its sha256 is" in sentence
    assert "17814c1d3296c0e2" in sentence
    assert files_below(records) == []


def other_size(cube: Any, labels: Any) -> dict[str, Any]:
    return {"cube": cube[:-1], "ground_truth": labels}


def other_shape(cube: Any, labels: Any) -> dict[str, Any]:
    return {"cube": cube[:, :, 0], "ground_truth": labels}


def no_key(cube: Any, labels: Any) -> dict[str, Any]:
    return {"cubes": cube, "ground_truth": labels}


def not_a_number(cube: Any, labels: Any) -> dict[str, Any]:
    cube = cube.astype(float)
    cube[3, 4, 5] = np.nan
    return {"cube": cube, "ground_truth": labels}


def infinite(cube: Any, labels: Any) -> dict[str, Any]:
    cube = cube.astype(float)
    cube[3, 4, 6] = np.inf
    return {"cube": cube, "ground_truth": labels}


def constant_band(cube: Any, labels: Any) -> dict[str, Any]:
    cube = cube.copy()
    cube[:, :, 7] = 1
    return {"cube": cube, "ground_truth": labels}


def like_salinas_a(cube: Any, labels: Any) -> dict[str, Any]:
    return {"cube": cube, "ground_truth": np.array([0, 1, 10, 11, 14])[labels]}


def labels_with_nan(cube: Any, labels: Any) -> dict[str, Any]:
    labels = labels.astype(float)
    labels[0, 0] = np.nan
    return {"cube": cube, "ground_truth": labels}


def no_labels(cube: Any, labels: Any) -> dict[str, Any]:
    return {"cube": cube, "ground_truth": labels * 0}


def one_class(cube: Any, labels: Any) -> dict[str, Any]:
    return {"cube": cube, "ground_truth": (labels > 0).astype(np.uint8)}


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_size, "23 × 20 pixels but the ground truth 24 × 20"),
        (other_shape, "shape (24, 20); expected 3 dimensions"),
        (no_key, "unknown array 'cube': did you mean cubes"),
        (not_a_number, "1 values are NaN or infinite, in band 5"),
        (infinite, "1 values are NaN or infinite, in band 6"),
        (constant_band, "band 7 (counted from 0) hold one value everywhere"),
        (like_salinas_a, "holds the labels 1, 10, 11, 14; expected 0 for unlabelled and every label from 1"),
        (labels_with_nan, "whole numbers"),
        (no_labels, "label"),
        (one_class, "class"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_bad_scene_files(
    change: Callable[[Any, Any], dict[str, Any]],
    message: str,
    suffix: str,
    tiny: Scene,
    tmp_path: Path,
    capsys: Printed,
) -> None:
    path, records = tmp_path / f"scene{suffix}", tmp_path / "records"
    arrays = change(tiny.cube, tiny.ground_truth)
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        scipy.io.savemat(path, arrays)
    arguments = ["run", "svm", "--scene", str(path), "--split", "count:5", "--records", str(records)]
    assert message in refused(arguments, capsys)
    assert files_below(records) == []


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file", b"<html>not found</html>" * 20])
def test_a_damaged_scene_file(content: bytes, tmp_path: Path, capsys: Printed) -> None:
    path, records = tmp_path / "scene.mat", tmp_path / "records"
    path.write_bytes(content)
    sentence = refused(["run", "svm", "--scene", str(path), "--records", str(records)], capsys)
    assert "not a readable .mat file" in sentence
    assert files_below(records) == []


def test_an_unwritable_records_folder_is_found_before_the_training(
    tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(run_seeds, "run", lambda config: pytest.fail("the training started"))
    sentence = refused(["run", "quick", "--records", str(tmp_path / "file" / "records")], capsys)
    assert f"cannot write to the folder {tmp_path}/file/records" in sentence
    assert files_below(tmp_path) == [tmp_path / "file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_cuda_where_there_is_none(tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "no CUDA device" in refused(["run", "quick", "--device", "cuda", "--records", str(tmp_path)], capsys)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("arguments", [[], ["learn"], ["run"], ["run", "quick", "--seed", "one"], ["fetch"]])
def test_wrong_usage_ends_with_two(arguments: list[str], capsys: Printed) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: hsilib" in capsys.readouterr().err


# --- interruption


def interrupt(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def test_an_interrupted_training_ends_with_130_and_leaves_nothing(
    tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsilib.network_method.fit", interrupt)
    assert run_quick(tmp_path) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("hsilib: interrupted")
    assert files_below(tmp_path) == []


def test_an_interruption_while_the_record_is_written_leaves_no_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.replace", interrupt)
    assert run_quick(tmp_path) == 130
    assert files_below(tmp_path) == []


def test_an_interruption_leaves_the_record_of_an_earlier_run(
    tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_quick(tmp_path)
    path = Path(capsys.readouterr().out.splitlines()[-1])
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", interrupt)
    assert run_quick(tmp_path) == 130
    assert path.read_bytes() == before
    assert files_below(tmp_path) == [path]
