"""Several methods of one recipe, each with its own seed, fitted at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.scene import Scene
from hsilib.data.splits import Split
from hsilib.method import Method
from hsilib.network_method import NetworkMethod, NetworkOptions
from hsilib.registry import create_model
from onepercent.many_seeds.fit_stacked import can_be_stacked, fit_stacked
from onepercent.many_seeds.pretrain_stacked import STACKED_STAGES, pretrain_stacked
from onepercent.many_seeds.stack import has_recurrent_layers


def fit_together(
    methods: Sequence[Method], scene: Scene, splits: Sequence[Split], generators: Sequence[torch.Generator]
) -> None:
    """Fit each method on its own split; networks as one stack.

    Stacked, each differs from being fitted alone by what `stacked` names, leaves no checkpoint, and its times are
    its share. One after the other are fitted: methods that are no networks, networks whose splits differ in size,
    and those with layers or pre-training stages that cannot be stacked.

    Parameters
    ----------
    methods : built from the same options. splits, generators : of each.
    """
    networks = [method for method in methods if type(method) is NetworkMethod]  # a subclass may fit differently
    if 1 < len(networks) == len(methods) and can_be_stacked(splits) and _is_stackable(networks[0].options, scene):
        _fit_stacked(networks, scene, splits, generators)
        return
    for method, split, generator in zip(methods, splits, generators, strict=True):
        method.fit(scene, split, generator)


def _is_stackable(options: NetworkOptions, scene: Scene) -> bool:
    """Whether its stages and its layers are, and it is trained on all bands from the start."""
    with torch.random.fork_rng(devices=[]):
        network = create_model(options.network, scene.n_bands, scene.n_classes, **options.model)
    stages = set(options.pretrain.stages) <= set(STACKED_STAGES)
    return stages and not options.spectral_train.stages and not has_recurrent_layers(network)


def _fit_stacked(
    methods: Sequence[NetworkMethod], scene: Scene, splits: Sequence[Split], generators: Sequence[torch.Generator]
) -> None:
    """`NetworkMethod.fit` for all."""
    for method, generator in zip(methods, generators, strict=True):
        method.draw_seed(generator)
        with method.own_randomness():
            method.create_model(scene)
    first, models, seeds = methods[0], [method.model for method in methods], [method.seed for method in methods]
    cache = first.workspace.pretrained if first.workspace else None
    sampler = PatchSampler(scene.cube, first.model.patch_size, first.device)
    with first.own_randomness():
        stages = pretrain_stacked(models, sampler, splits, first.options.pretrain, seeds, cache)
        histories = fit_stacked(models, sampler, splits, first.options.fit.lengthened(len(splits[0].train)), generators)
    for method, own_stages, history in zip(methods, stages, histories, strict=True):
        method.fitted(own_stages, history, together=len(methods))
