"""The whole pipeline: what a record says is what was run, and no method sees a test label."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hsilib.config import Config, with_overrides
from hsilib.data.load import load_scene
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split, make_splits
from hsilib.errors import InputError
from hsilib.experiment import run
from hsilib.method import Method, one_hot
from hsilib.metrics import metrics_from_confusion
from hsilib.records import Record
from hsilib.training import fit as fit_module
from hsilib.training.device import find_device
from onepercent.recipes import RECIPES, recipe
from tests.helpers import scene_of, small

RECIPE_NAMES = ["paper", "quick", "coordinates-1nn", "superpixel-vote", "svm", "random-forest"]
RECIPE_NAMES += ["geodesic-1nn", "svm-emp", "svm-multiscale", "cegcn", "ssdgl"]


def without_circumstances(record: Record) -> Record:
    """The record without what may differ between two runs of the same thing."""
    provenance = {k: v for k, v in record.provenance.items() if k != "started_utc"}
    model = dict(record.model)
    if "pretraining" in model:
        circumstances = ("seconds", "from_cache")
        model["pretraining"] = [
            {k: v for k, v in stage.items() if k not in circumstances} for stage in model["pretraining"]
        ]
    return replace(record, timing={}, memory={}, model=model, provenance=provenance)


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_the_same_config_gives_the_same_record_and_the_same_map(name: str) -> None:
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002  the global stream must not matter
    first, first_map = run(small(name))
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    second, second_map = run(small(name))
    assert without_circumstances(first) == without_circumstances(second)
    assert np.array_equal(first_map, second_map)


def test_another_seed_gives_another_record() -> None:
    first, second = (run(small("svm", seed=seed))[0] for seed in (0, 1))
    assert first.id != second.id
    assert first.metrics["confusion"] != second.metrics["confusion"]


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_a_records_accuracy_follows_from_its_own_confusion_and_from_the_map(name: str) -> None:
    config = small(name, seed=2)
    record, class_map = run(config)
    confusion = np.array(record.metrics["confusion"])
    assert confusion.sum() == record.split["n_test"]
    assert record.metrics["overall_accuracy"] == pytest.approx(np.trace(confusion) / confusion.sum())
    again = metrics_from_confusion(confusion)
    assert record.metrics["kappa"] == again.kappa
    assert record.metrics["average_accuracy"] == again.average_accuracy

    scene = load_scene(config.scene)
    split = make_split(scene, config.split, config.seed)
    assert class_map.shape == scene.shape
    assert (class_map.min(), class_map.max()) >= (1, 1)
    right = class_map.ravel()[split.test] == scene.ground_truth.ravel()[split.test]
    assert record.metrics["overall_accuracy"] == pytest.approx(right.mean())


def test_what_a_record_says() -> None:
    config = small("quick", seed=5)
    record, _ = run(config)
    scene = load_scene("synthetic-tiny")
    split = make_split(scene, config.split, 5)
    assert (record.recipe, record.scene, record.seed) == ("quick", "synthetic-tiny", 5)
    assert (record.split["n_train"], record.split["n_val"]) == (len(split.train), len(split.val))
    assert record.split["spec"] == "percent:0.1"
    assert record.split["leakage"] == split.leakage(15)
    assert record.split["untested_classes"] == []
    assert record.config["fit"]["epochs"] == 3
    assert record.config["model"]["patch_size"] == 5
    assert len(record.model["history"]["train_loss"]) == 3
    assert record.provenance["data_sha256"] == scene.sha256()
    assert record.provenance["versions"]["torch"] == torch.__version__.partition("+")[0] or torch.__version__
    assert set(record.timing) == {"pretrain_s", "fit_s", "predict_s"}
    assert record.memory["peak_mb"] > 50


def test_untested_classes_are_named(tmp_path: Path) -> None:
    labels = np.tile(np.arange(48) // 4 % 2 + 1, (48, 1)).astype(np.uint8)
    labels[2:6, 2:6] = 3  # inside one block
    path = scene_of(labels).save(tmp_path / "scene.npz")
    record, _ = run(replace(recipe("coordinates-1nn"), scene=str(path), split="blocks:12:2:count:3"))
    assert record.split["untested_classes"] == ["class 3"]
    assert record.metrics["per_class_recall"][2] is None
    assert None not in record.metrics["per_class_recall"][:2]
    assert record.metrics["confusion"][2] == [0, 0, 0]


@dataclass(frozen=True)
class SpyOptions:
    """Builds a method that keeps everything it is shown."""

    seen: dict[str, Any] = field(default_factory=dict)
    uses_validation: bool = True
    kind: ClassVar[str] = "SpyOptions"
    uses_spectra: ClassVar[bool] = True

    def build(self, device: torch.device) -> Spy:
        return Spy(self.seen)


class Spy(Method):
    def __init__(self, seen: dict[str, Any]) -> None:
        self.seen = seen

    def fit(self, scene: Scene, split: Split, generator: torch.Generator) -> None:
        self.seen.update(scene=scene, split=split, draw=torch.rand((), generator=generator).item())

    def predict_proba(self, scene: Scene) -> NDArray[np.float32]:
        self.seen["predicted"] = scene
        return one_hot(np.ones(scene.shape, dtype=np.int64), scene.n_classes)


def test_no_method_ever_sees_a_test_label() -> None:
    options = SpyOptions()
    record, class_map = run(Config("spy", options, "synthetic-tiny", "percent:0.1", 3, "cpu"))
    whole = load_scene("synthetic-tiny")
    split = make_split(whole, "percent:0.1", 3)
    shown = options.seen["split"]
    assert not shown.test_labels.any()
    assert np.array_equal(shown.test, split.test)
    assert np.array_equal(shown.train_labels, split.train_labels)
    assert np.array_equal(shown.val_labels, split.val_labels)
    for scene in (options.seen["scene"], options.seen["predicted"]):
        assert not scene.ground_truth.any()
        assert not scene.class_counts.any()
    # The metrics are of the true labels all the same: everything was called class 1.
    assert (class_map == 1).all()
    assert record.metrics["overall_accuracy"] == pytest.approx((split.test_labels == 1).mean())
    assert options.seen["draw"] == torch.rand((), generator=torch.Generator().manual_seed(3)).item()


def test_a_method_that_does_not_choose_by_validation_never_sees_it() -> None:
    options = SpyOptions(uses_validation=False)
    record, _ = run(Config("spy", options, "synthetic-tiny", "percent:0.1", 3, "cpu"))
    split = make_split(load_scene("synthetic-tiny"), "percent:0.1", 3)
    shown = options.seen["split"]
    assert shown.val.size == shown.val_labels.size == 0
    assert np.array_equal(shown.train, split.train)
    assert np.array_equal(shown.test, split.test), "the test pixels are the same for all"
    assert record.split["n_val"] == len(split.val)


@pytest.mark.parametrize("name", RECIPES)
def test_only_these_recipes_see_validation_pixels(name: str) -> None:
    assert recipe(name).method.uses_validation == (name in ("paper", "probe"))


@pytest.mark.parametrize("spec", ["fields:2:1:count:4", "folds:3:2:count:4"])
def test_folds_are_trained_apart_and_their_confusions_added(spec: str) -> None:
    scene = load_scene("synthetic-tiny")
    splits = make_splits(scene, spec, 2)
    assert len(splits) > 1
    record, class_map = run(Config("coordinates-1nn", recipe("coordinates-1nn").method, scene.name, spec, 2, "cpu"))
    confusion = np.zeros((scene.n_classes, scene.n_classes), dtype=int)
    for split in splits:
        rule = recipe("coordinates-1nn").method.build(torch.device("cpu"))
        rule.fit(scene, split, torch.Generator())
        found = rule.predict_proba(scene).argmax(-1).ravel()[split.test] + 1
        np.add.at(confusion, (split.test_labels - 1, found - 1), 1)
        assert np.array_equal(class_map.ravel()[split.test], found), "a pixel's label is that of its own fold"
    assert record.metrics["confusion"] == confusion.tolist()
    assert record.split["n_folds"] == len(splits)
    assert record.split["n_test"] == sum(len(split.test) for split in splits) == confusion.sum()
    assert record.split["n_train"] == sum(len(split.train) for split in splits)
    contains = [split.leakage(15)["contains"] * len(split.test) for split in splits]
    assert record.split["leakage"]["contains"] == pytest.approx(sum(contains) / record.split["n_test"])


def test_folds_train_from_fresh_weights_and_no_model_is_saved(tmp_path: Path) -> None:
    config = small("quick", split="folds:3:2:count:4", workspace=tmp_path / "work")
    record, _ = run(config)
    histories = [fold["history"] for fold in record.model["folds"]]
    assert len({tuple(history["train_loss"]) for history in histories}) == len(histories)
    assert not list((tmp_path / "work").glob("*.checkpoint"))
    with pytest.raises(InputError, match=r"trains \d networks; percent:0.01 trains one"):
        run(replace(config, save=tmp_path / "model.safetensors"))


def test_a_rule_without_spectra_runs_where_only_the_labels_are_at_hand() -> None:
    record, _ = run(replace(recipe("coordinates-1nn"), scene="indian-pines", split="count:5"))
    assert record.split["n_train"] == 80
    assert 0.3 < record.metrics["overall_accuracy"] < 0.8


def test_coordinates_alone_on_one_percent_of_indian_pines() -> None:
    """The ruler: 81.6 ± 1.5 % over ten seeds; the mean must lie within 1.5 points."""
    config = replace(recipe("coordinates-1nn"), scene="indian-pines", split="percent:0.01")
    accuracies = [run(replace(config, seed=seed))[0].metrics["overall_accuracy"] for seed in range(10)]
    assert abs(100 * np.mean(accuracies) - 81.6) < 1.5


def test_devices() -> None:
    assert find_device("cpu").type == "cpu"
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_cuda_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA device was found; use --device auto"):
        find_device("cuda")
    assert find_device("auto").type == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cpus"])
def test_a_device_that_is_not_known(name: str) -> None:
    with pytest.raises(InputError):
        find_device(name)


# --- the workspace: what survives a kill, what is used again


def test_a_workspace_changes_nothing_but_the_time(tmp_path: Path) -> None:
    without, _ = run(small("paper"))
    first, _ = run(small("paper", workspace=tmp_path))
    again, _ = run(small("paper", workspace=tmp_path))
    for record, from_cache in ((first, False), (again, True)):
        assert [stage["from_cache"] for stage in record.model["pretraining"]] == [from_cache] * 2
        assert without_circumstances(record) == without_circumstances(without)
    assert again.timing["pretrain_s"] == first.timing["pretrain_s"], "what pre-training cost when it was done"
    assert not list(tmp_path.glob("*.checkpoint")), "a finished run leaves no checkpoint"
    assert len(list((tmp_path / "pretrained").iterdir())) == 2


def test_a_run_killed_in_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = with_overrides(small("paper"), ["fit.epochs=12"])
    uninterrupted, _ = run(config)
    config = replace(config, workspace=tmp_path)
    real, calls = fit_module.validate, []

    def dying(*arguments: Any) -> tuple[float, float]:
        calls.append(None)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(fit_module, "validate", dying)
    with pytest.raises(KeyboardInterrupt):
        run(config)
    assert len(list(tmp_path.glob("*.checkpoint"))) == 1
    resumed, _ = run(config)
    assert len(calls) == 14, "ten epochs were done before"
    assert resumed.metrics == uninterrupted.metrics
    assert resumed.model["history"] == uninterrupted.model["history"]


def test_times_of_the_stages() -> None:
    record, _ = run(small("paper"))
    assert set(record.timing) == {"pretrain_s", "fit_s", "predict_s"}
    assert all(seconds > 0 for seconds in record.timing.values())
    record, _ = run(small("svm"))
    assert set(record.timing) == {"pretrain_s", "fit_s", "predict_s"}
    assert record.timing["pretrain_s"] == 0.0


def test_classes_without_a_training_pixel_are_named() -> None:
    record, _ = run(small("coordinates-1nn", split="total:0.01", seed=1))
    split = make_split(load_scene("synthetic-tiny"), "total:0.01", 1)
    missing = {1, 2, 3, 4} - set(split.train_labels.tolist())
    assert missing, "three pixels cannot be of four classes"
    assert len(record.split["untrained_classes"]) == len(missing)


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_every_recipe_copes_with_a_class_without_training_pixels(name: str) -> None:
    config = small(name, split="total:0.02")
    record, class_map = run(config)
    assert record.split["untrained_classes"]
    assert class_map.max() <= 4
