"""Pre-training: which positions, which labels (none), the same with and without a cache, something learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.data.standardize import Standardizer
from hsilib.errors import InputError
from hsilib.model.network import Network
from hsilib.pretraining import pretrain as pretrain_module
from hsilib.pretraining.encoder_cache import StageReport
from hsilib.pretraining.mr_ssl import MaskedPretext
from hsilib.pretraining.pretext import Pretext
from hsilib.pretraining.pretrain import PRETEXTS, PretrainOptions, pretrain, register_pretext, train_stage
from hsilib.pretraining.rm_ssl import RotationPretext
from hsilib.pretraining.samples import draw_samples, sample_count
from hsilib.registry import create_model
from tests.helpers import SMALL, scene_of

CPU = torch.device("cpu")
BOTH = PretrainOptions(rm_ssl=True, mr_ssl=True, epochs=2)


def fresh(scene: Scene, weights: int = 0, **model: Any) -> tuple[Network, PatchSampler]:
    torch.manual_seed(weights)
    network = create_model("dual-branch", scene.n_bands, scene.n_classes, **{**SMALL, **model})
    network.set_standardizer(Standardizer.fit(scene.cube))
    return network, PatchSampler(scene.cube, network.patch_size, CPU)


def pretrained(
    scene: Scene, options: PretrainOptions = BOTH, seed: int = 0, cache: Path | None = None, split: Split | None = None
) -> tuple[Network, list[StageReport]]:
    model, sampler = fresh(scene)
    reports = pretrain(model, sampler, split or make_split(scene, "count:5", 0), options, seed, cache)
    return model, reports


def same_weights(first: Network, second: Network) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def a_split(rows: int, cols: int, n_labelled: int) -> Split:
    """So many labelled pixels at random places, a tenth of them for training and as many for validation."""
    pixels = np.random.default_rng(0).permutation(rows * cols)[:n_labelled]
    train, val, test = np.split(pixels, [n_labelled // 10, n_labelled // 5])
    return Split("made up", (rows, cols), train, val, test, *(np.ones_like(part) for part in (train, val, test)))


# --- positions


@pytest.mark.parametrize(
    ("n_pixels", "samples"), [(145 * 145, 1051), (83 * 86, 1000), (512 * 217, 3000), (30_000, 1500)]
)
def test_samples_by_scene_size(n_pixels: int, samples: int) -> None:
    assert sample_count(n_pixels) == samples


@pytest.mark.parametrize("n_labelled", [3000, 10249, 20000])
def test_seventy_percent_of_the_samples_are_labelled_and_none_is_held_out(n_labelled: int) -> None:
    split = a_split(145, 145, n_labelled)
    samples, held_out = draw_samples(split, torch.Generator().manual_seed(0))
    labelled = np.concatenate([split.train, split.val, split.test])
    assert (len(samples), len(held_out)) == (1051, 256)
    assert np.isin(samples, labelled).sum() == round(0.7 * 1051)
    assert np.isin(held_out, labelled).sum() == round(0.7 * 256)
    together = torch.cat([samples, held_out])
    assert len(together.unique()) == len(together)
    assert 0 <= together.min() < 1000 < 20_000 < together.max() < 145 * 145


def test_positions_come_from_all_three_parts_of_the_split() -> None:
    split = a_split(145, 145, 10_000)
    samples, _ = draw_samples(split, torch.Generator().manual_seed(0))
    for part, share in ((split.train, 0.1), (split.val, 0.1), (split.test, 0.8)):
        assert np.isin(samples, part).sum() == pytest.approx(share * 736, abs=40)


@pytest.mark.parametrize(("n_labelled", "expected"), [(100, 100), (20_900, 926)])
def test_where_one_kind_runs_out_the_other_fills_up(n_labelled: int, expected: int) -> None:
    split = a_split(145, 145, n_labelled)
    samples, held_out = draw_samples(split, torch.Generator().manual_seed(0))
    assert (len(samples), len(held_out)) == (1051, 256)
    labelled = np.concatenate([split.train, split.val, split.test])
    assert np.isin(samples, labelled).sum() == expected
    assert len(torch.cat([samples, held_out]).unique()) == 1051 + 256


@pytest.mark.parametrize(("rows", "cols"), [(24, 20), (2, 5), (30, 40)])
def test_a_small_scene_gives_what_it_has(rows: int, cols: int) -> None:
    n = rows * cols
    samples, held_out = draw_samples(a_split(rows, cols, n // 2 + 5), torch.Generator().manual_seed(0))
    assert len(held_out) == min(256, n // 5)
    assert len(samples) == min(1000, n - len(held_out))
    assert len(torch.cat([samples, held_out]).unique()) == len(samples) + len(held_out)


def test_positions_depend_on_the_generator_alone() -> None:
    split = a_split(40, 40, 700)
    shuffled = replace(split, test=split.test[::-1])
    draws = [
        draw_samples(s, torch.Generator().manual_seed(seed)) for s, seed in ((split, 0), (shuffled, 0), (split, 1))
    ]
    assert torch.equal(draws[0][0], draws[1][0])
    assert not torch.equal(draws[0][0], draws[2][0])


# --- the stages


def test_the_defaults_are_the_descriptions() -> None:
    """METHOD A6; the batch size is not in it."""
    options = PretrainOptions()
    assert (options.rm_ssl, options.mr_ssl, options.epochs) == (False, False, 90)
    assert (options.rm_learning_rate, options.mr_learning_rate, options.weight_decay) == (4e-4, 2e-4, 1e-6)


@pytest.mark.parametrize(
    ("rm_ssl", "mr_ssl", "changed"),
    [
        (False, False, set()),
        (True, False, {"spatial"}),
        (False, True, {"spectral"}),
        (True, True, {"spatial", "spectral"}),
    ],
)
def test_a_stage_changes_its_own_encoder_and_nothing_else(
    tiny: Scene, rm_ssl: bool, mr_ssl: bool, changed: set[str]
) -> None:
    before = fresh(tiny)[0].state_dict()
    model, reports = pretrained(tiny, PretrainOptions(rm_ssl=rm_ssl, mr_ssl=mr_ssl, epochs=1))
    different = {
        name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert different == changed
    assert [report.stage for report in reports] == ["rm-ssl"] * rm_ssl + ["mr-ssl"] * mr_ssl


def test_running_statistics_are_learned_too(tiny: Scene) -> None:
    before = fresh(tiny)[0].state_dict()
    after = pretrained(tiny)[0].state_dict()
    moved = [name for name in before if "running" in name]
    assert len(moved) == 8
    assert not any(torch.equal(before[name], after[name]) for name in moved)


def test_reports(tiny: Scene) -> None:
    for report in pretrained(tiny)[1]:
        assert len(report.loss) == 2
        assert report.seconds > 0
        assert not report.from_cache
    rm, mr = pretrained(tiny)[1]
    assert 0 < rm.held_out["rotation_accuracy"] < 1
    assert mr.held_out.keys() == {"masked_rmse", "band_mean_rmse"}


def test_a_stage_is_the_same_alone_and_after_another(tiny: Scene) -> None:
    together, _ = pretrained(tiny)
    alone, _ = pretrained(tiny, replace(BOTH, rm_ssl=False))
    for name, weight in alone.spectral.state_dict().items():
        assert torch.equal(weight, together.spectral.state_dict()[name]), name


def test_the_seed_decides_everything_and_the_global_stream_is_left_alone(tiny: Scene) -> None:
    models = []
    for seed, stream in ((0, 1), (0, 2), (1, 1)):
        model, sampler = fresh(tiny)
        torch.manual_seed(stream)
        before = torch.get_rng_state()
        pretrain(model, sampler, make_split(tiny, "count:5", 0), BOTH, seed)
        assert torch.equal(torch.get_rng_state(), before)
        models.append(model)
    assert same_weights(models[0], models[1])
    assert not same_weights(models[0], models[2])


def test_no_label_has_any_influence(tiny: Scene) -> None:
    split = make_split(tiny, "count:5", 0)
    none = [np.zeros_like(labels) for labels in (split.train_labels, split.val_labels, split.test_labels)]
    hidden = replace(split, train_labels=none[0], val_labels=none[1], test_labels=none[2])
    assert split.train_labels.any()
    assert same_weights(pretrained(tiny, split=split)[0], pretrained(tiny, split=hidden)[0])


def test_nothing_is_left_behind_for_the_main_training(tiny: Scene) -> None:
    """A gradient that stays would be added to the first of the main training."""
    model, _ = pretrained(tiny)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_every_epoch_visits_every_sample_once_in_batches_of_equal_size(
    tiny: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, sampler = fresh(tiny)
    visited: list[torch.Tensor] = []
    real = RotationPretext.loss

    def watched(self: RotationPretext, pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        visited.append(pixels)
        return real(self, pixels, generator)

    monkeypatch.setattr(RotationPretext, "loss", watched)
    samples = torch.arange(100, 165)
    options = PretrainOptions(epochs=2, batch_size=16)
    loss = train_stage(RotationPretext(model, sampler), samples, 1e-3, options, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in visited] == [17, 16, 16, 16] * 2
    first, second = torch.cat(visited[:4]), torch.cat(visited[4:])
    assert sorted(first.tolist()) == sorted(second.tolist()) == samples.tolist()
    assert first.tolist() != second.tolist()
    assert len(loss) == 2


def test_the_optimiser_gets_each_stages_own_learning_rate(tiny: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[float, float, tuple[float, float]]] = []

    class Watched(torch.optim.AdamW):
        def step(self, closure: Any = None) -> Any:
            (group,) = self.param_groups
            used.append((group["lr"], group["weight_decay"], group["betas"]))
            return super().step(closure)

    monkeypatch.setattr(pretrain_module.torch.optim, "AdamW", Watched)
    pretrained(tiny, PretrainOptions(rm_ssl=True, mr_ssl=True, epochs=3, rm_learning_rate=3e-3, mr_learning_rate=5e-3))
    assert set(used) == {(3e-3, 1e-6, (0.9, 0.999)), (5e-3, 1e-6, (0.9, 0.999))}
    half = len(used) // 2
    assert {rate for rate, *_ in used[:half]} == {3e-3}, "constant, no schedule"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("epochs", 0, "a whole number, at least 1"),
        ("batch_size", 1, "a whole number, at least 2"),
        ("rm_learning_rate", 0.0, "a number, above 0"),
        ("mr_learning_rate", -1.0, "a number, above 0"),
        ("cmtssl_learning_rate", 0.0, "a number, above 0"),
        ("weight_decay", -0.1, "a number, at least 0"),
    ],
)
def test_settings_that_cannot_be(name: str, value: float, wanted: str) -> None:
    with pytest.raises(InputError, match=rf"^pretrain\.{name} is {value}; expected {wanted}\.$"):
        PretrainOptions(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", ["rm_ssl", "mr_ssl"])
def test_a_network_without_the_encoder_is_refused_before_any_stage_runs(
    tiny: Scene, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Network(tiny.n_bands, 2, 5)
    model.name = "shapes"
    if stage == "mr_ssl":  # has one encoder of the two
        model.spatial = fresh(tiny)[0].spatial
    monkeypatch.setattr(pretrain_module, "train_stage", lambda *_: pytest.fail("a stage ran"))
    sampler = PatchSampler(tiny.cube, 5, CPU)
    with pytest.raises(InputError, match=rf"'shapes'.*pretrain\.{stage}=False"):
        pretrain(model, sampler, make_split(tiny, "count:5", 0), BOTH, 0)


def test_a_stage_that_is_not_registered_is_refused_first(tiny: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(PRETEXTS, "cmtssl", raising=False)
    monkeypatch.setattr(pretrain_module, "train_stage", lambda *_: pytest.fail("a stage ran"))
    with pytest.raises(InputError, match=r"'cmtssl'.*known after `import onepercent\.peers`"):
        pretrained(tiny, replace(BOTH, cmtssl=True))


def test_two_stages_of_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Pretext):
        stage = "rm-ssl"

    register_pretext(RotationPretext)  # once more is no clash
    with pytest.raises(ValueError, match="two stages called rm-ssl"):
        register_pretext(Other)
    assert PRETEXTS["rm-ssl"] is RotationPretext
    Other.stage = "other"
    monkeypatch.setattr(pretrain_module, "PRETEXTS", dict(PRETEXTS))
    register_pretext(Other)
    assert pretrain_module.pretext_class("other") is Other


# --- the cache


def test_a_second_run_takes_the_first_ones_result(tiny: Scene, tmp_path: Path) -> None:
    without, plain = pretrained(tiny)
    first, computed = pretrained(tiny, cache=tmp_path / "cache")
    second, found = pretrained(tiny, cache=tmp_path / "cache")
    assert same_weights(without, first)
    assert same_weights(first, second)
    assert plain == computed == found
    assert [report.from_cache for report in (*computed, *found)] == [False, False, True, True]
    assert [report.seconds for report in found] == [report.seconds for report in computed]
    assert second.spatial.training == first.spatial.training
    names = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert [name[:7] for name in names] == ["mr-ssl-", "rm-ssl-"]
    assert all(len(name) == len("rm-ssl-.safetensors") + 16 for name in names)


def test_a_stage_found_leaves_the_other_as_it_would_have_been(tiny: Scene, tmp_path: Path) -> None:
    complete, _ = pretrained(tiny)
    pretrained(tiny, replace(BOTH, mr_ssl=False), cache=tmp_path)
    half, reports = pretrained(tiny, cache=tmp_path)
    assert [report.from_cache for report in reports] == [True, False]
    assert same_weights(complete, half)


def other_split(scene: Scene) -> Split:
    """Other pixels are labelled, so other positions are drawn."""
    split = make_split(scene, "count:5", 0)
    return replace(split, test=split.test[:-40], test_labels=split.test_labels[:-40])


@pytest.mark.parametrize("change", ["seed", "epochs", "batch_size", "learning_rate", "weight_decay", "split", "scene"])
def test_whatever_changes_the_result_is_not_found(tiny: Scene, tmp_path: Path, change: str) -> None:
    pretrained(tiny, cache=tmp_path)
    scene, options, seed, split = tiny, BOTH, 0, None
    if change == "seed":
        seed = 1
    elif change == "split":
        split = other_split(tiny)
    elif change == "scene":
        cube = tiny.cube.copy()
        cube[3, 4, 5] += 1
        scene = replace(tiny, cube=cube)
    else:
        names = ["rm_learning_rate", "mr_learning_rate"] if change == "learning_rate" else [change]
        options = replace(BOTH, **{name: 3 * getattr(BOTH, name) for name in names})
    _, reports = pretrained(scene, options, seed, tmp_path, split)
    assert [report.from_cache for report in reports] == [False, False]


@pytest.mark.parametrize(
    ("weights", "model"), [(1, {}), (0, {"attention": "squeeze-excitation"}), (0, {"patch_size": 7})]
)
def test_an_encoder_that_starts_elsewhere_is_not_found(
    tiny: Scene, tmp_path: Path, weights: int, model: dict[str, Any]
) -> None:
    """Squeeze-and-excitation has weights of the same names and sizes, the same numbers even."""
    pretrained(tiny, cache=tmp_path)
    network, sampler = fresh(tiny, weights, **model)
    reports = pretrain(network, sampler, make_split(tiny, "count:5", 0), BOTH, 0, tmp_path)
    assert [report.from_cache for report in reports] == [False, False]


def test_another_projection_is_not_found(tiny: Scene, tmp_path: Path) -> None:
    """Four components, whitened and not, have the same scaling and the same initial encoders."""
    reports = []
    for whiten in (True, False):
        torch.manual_seed(0)
        network = create_model("dual-branch", tiny.n_bands, tiny.n_classes, **SMALL, components=4)
        network.set_standardizer(Standardizer.fit(tiny.cube, 4, whiten))
        sampler = PatchSampler(tiny.cube, network.patch_size, CPU)
        options = replace(BOTH, mr_ssl=False)
        reports += pretrain(network, sampler, make_split(tiny, "count:5", 0), options, 0, tmp_path)
    assert [report.from_cache for report in reports] == [False, False]


@pytest.mark.parametrize("damage", ["truncated", "not safetensors", "no report", "another report", "other weights"])
def test_a_file_that_cannot_be_used_is_computed_again(tiny: Scene, tmp_path: Path, damage: str) -> None:
    import safetensors.torch

    first, _ = pretrained(tiny, cache=tmp_path)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        if damage == "truncated":
            path.write_bytes(content[: len(content) // 2])
        elif damage == "not safetensors":
            path.write_text("nothing")
        else:
            weights = safetensors.torch.load(content)
            metadata = {
                "no report": None,
                "another report": {"hsilib": '{"name": "dual-branch"}'},
                "other weights": {
                    "hsilib": '{"stage": "rm-ssl", "seconds": 1, "from_cache": false, "loss": [], "held_out": {}}'
                },
            }[damage]
            if damage == "other weights":
                weights[next(iter(weights))] = torch.zeros(3)
            path.write_bytes(safetensors.torch.save(weights, metadata=metadata))
    again, reports = pretrained(tiny, cache=tmp_path)
    assert [report.from_cache for report in reports] == [False, False]
    assert same_weights(first, again)
    assert [report.from_cache for report in pretrained(tiny, cache=tmp_path)[1]] == [True, True]


def test_a_folder_that_cannot_be_written_is_named_before_the_work(
    tiny: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrain_module, "train_stage", lambda *_: pytest.fail("a stage ran"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        pretrained(tiny, cache=tmp_path / "file")


# --- something is learned


def test_rotations_are_learned_where_the_scene_has_a_direction() -> None:
    """Brightness rises from row to row in steps and falls back: turned patches look different everywhere."""
    rows, cols, period = 40, 40, 4
    saw = (np.arange(rows) % period)[:, None] + np.zeros((1, cols))
    noise = np.random.default_rng(0).normal(0, 0.05, (rows, cols, 3))
    cube = (1000 + 200 * (saw[:, :, None] + noise)).astype(np.float32)
    scene = scene_of(np.ones((rows, cols), dtype=np.uint8), cube=cube)
    model, sampler = fresh(scene, patch_size=7)
    options = PretrainOptions(rm_ssl=True, epochs=12, rm_learning_rate=5e-3)
    split = a_split(rows, cols, 1000)
    (report,) = pretrain(model, sampler, split, options, 0)
    assert report.held_out["rotation_accuracy"] > 0.9
    assert report.loss[-1] < 0.7 < 1.2 < report.loss[0]


def test_spectra_are_filled_in_better_than_by_the_mean(tiny: Scene) -> None:
    model, sampler = fresh(tiny, spectral_width=32)
    options = PretrainOptions(mr_ssl=True, epochs=15, mr_learning_rate=1e-2)
    (report,) = pretrain(model, sampler, make_split(tiny, "count:5", 0), options, 0)
    assert report.held_out["masked_rmse"] < 0.8 * report.held_out["band_mean_rmse"]
    untrained = MaskedPretext(fresh(tiny, spectral_width=32)[0], sampler)
    before = untrained.measure(torch.arange(100), torch.Generator().manual_seed(0))
    assert before["masked_rmse"] > before["band_mean_rmse"]
