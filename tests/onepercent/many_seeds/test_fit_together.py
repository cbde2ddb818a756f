"""Which methods are fitted at once, and that each is what it is when fitted alone."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from hsilib.data.scene import Scene
from hsilib.data.splits import Split, make_split
from hsilib.method import SEEDS_TOGETHER
from hsilib.model.network import Network
from hsilib.network_method import NetworkMethod, NetworkOptions
from hsilib.pretraining.pretrain import PretrainOptions
from hsilib.registry import NETWORKS
from hsilib.training.spectral_train import SpectralTrainOptions
from onepercent.many_seeds import fit_together as together
from onepercent.many_seeds.fit_together import fit_together
from onepercent.peers.classical.svm import SvmOptions
from tests.helpers import SMALL, small_network

CPU = torch.device("cpu")
SEEDS = (0, 1)


class Recurrent(Network):
    def __init__(self, n_bands: int, n_classes: int, patch_size: int = 5) -> None:
        super().__init__(n_bands, n_classes, patch_size)
        self.n_features = 4
        self.layer = nn.GRU(n_bands, 4, batch_first=True)
        self.reset_head(n_classes)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        spectra = self.prepare(x).mean(dim=(2, 3))
        return self.layer(spectra[:, None])[0][:, 0, :, None, None]


def splits_of(scene: Scene) -> list[Split]:
    return [make_split(scene, "count:5", seed).hide_test_labels() for seed in SEEDS]


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in SEEDS]


def fitted_alone(options: NetworkOptions, scene: Scene, splits: list[Split]) -> list[NetworkMethod]:
    methods = [options.build(CPU) for _ in SEEDS]
    for method, split, generator in zip(methods, splits, generators(), strict=True):
        method.fit(scene.without_ground_truth(), split, generator)
    return methods


def test_a_stack_is_each_network_alone(tiny: Scene) -> None:
    options = replace(small_network(epochs=3), model={**SMALL, "dropout": 0.0})
    methods = [options.build(CPU) for _ in SEEDS]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit_together(methods, tiny.without_ground_truth(), splits_of(tiny), generators())
    assert torch.equal(torch.get_rng_state(), before)
    for method, alone in zip(methods, fitted_alone(options, tiny, splits_of(tiny)), strict=True):
        assert method.seed == alone.seed
        assert method.history.train_loss == pytest.approx(alone.history.train_loss, rel=1e-4)
        for name, tensor in alone.model.state_dict().items():
            torch.testing.assert_close(method.model.state_dict()[name], tensor, atol=1e-4, rtol=1e-3, msg=name)
        assert method.seconds[SEEDS_TOGETHER] == 2
        assert SEEDS_TOGETHER not in alone.seconds


@pytest.mark.parametrize("why", ["sizes", "recurrent", "stage", "schedule", "one", "no networks"])
def test_what_cannot_be_stacked_is_fitted_one_after_the_other(
    tiny: Scene, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(together, "fit_stacked", lambda *_: pytest.fail("stacked"))
    monkeypatch.setitem(NETWORKS, "recurrent", Recurrent)
    splits = splits_of(tiny)
    if why == "no networks":
        rules = [SvmOptions(costs=(1.0,), gammas=(1.0,)).build(CPU) for _ in SEEDS]
        fit_together(rules, tiny.without_ground_truth(), splits, generators())
        assert all(rule.predict_proba(tiny).shape == (24, 20, 4) for rule in rules)
        return
    options = small_network()
    if why == "recurrent":
        options = replace(options, network="recurrent", model={})
    if why == "schedule":
        spectral_train = SpectralTrainOptions(stages=2, components=4, first_components=2)
        options = replace(small_network(epochs=4), spectral_train=spectral_train)
    if why == "stage":
        monkeypatch.setattr(together, "STACKED_STAGES", ("rm-ssl",))
        options = replace(options, pretrain=PretrainOptions(mr_ssl=True, epochs=1))
    if why == "sizes":
        splits[1] = replace(splits[1], train=splits[1].train[1:], train_labels=splits[1].train_labels[1:])
    n_methods = 1 if why == "one" else 2
    methods = [options.build(CPU) for _ in range(n_methods)]
    fit_together(methods, tiny.without_ground_truth(), splits[:n_methods], generators()[:n_methods])
    for method, alone in zip(methods, fitted_alone(options, tiny, splits), strict=False):
        assert method.history == alone.history
        assert SEEDS_TOGETHER not in method.seconds


def test_every_setting_of_a_network_has_been_thought_of() -> None:
    """See the test of the same name for `fit_stacked`."""
    assert [f.name for f in fields(NetworkOptions)] == ["network", "model", "pretrain", "fit", "spectral_train", "tta"]
