"""Recipes of the dual-branch model."""

from __future__ import annotations

from dataclasses import replace

from hsilib.config import Config
from hsilib.inference.network_method import NetworkOptions
from hsilib.inference.probe_method import ProbeOptions
from hsilib.training.augment import AugmentOptions
from hsilib.training.fit_options import FitOptions
from hsilib.training.losses import LossOptions
from hsilib.training.mix import MixOptions
from hsilib.training.pretrain import PretrainOptions


def quick() -> Config:
    """The dual-branch model with turned patches, 150 short epochs, no pre-training: the method's core.

    1 min on two CPU cores for 1 % of Indian Pines, at most 3 min for more labels.
    """
    schedule = FitOptions(
        epochs=150, learning_rate=1e-3, warmup_epochs=5, random_orientation=True, max_steps_per_epoch=16
    )
    return Config("quick", NetworkOptions(fit=schedule))


def paper() -> Config:
    """The dual-branch model as described, everything on: two pre-training stages, focal loss, mixing, 16 views.

    7 min on two CPU cores for 1 % of Indian Pines.
    """
    schedule = FitOptions(
        loss=LossOptions("focal", label_smoothing=0.12, class_weights=True),
        augment=AugmentOptions(probability=0.8),
        mix=MixOptions(mixup=0.3, cutmix=0.2),
        curriculum_epochs=20,
    )
    stages = PretrainOptions(rm_ssl=True, mr_ssl=True)
    return Config("paper", NetworkOptions(pretrain=stages, fit=schedule, tta=16))


def cmtssl() -> Config:
    """The recipe `paper` with CMTSSL in place of both pre-training stages.

    8 min on two CPU cores for 1 % of Indian Pines.
    """
    method = paper().method
    assert isinstance(method, NetworkOptions)
    return Config("cmtssl", replace(method, pretrain=PretrainOptions(cmtssl=True)))


def probe() -> Config:
    """What pre-training alone has learned: a linear classifier on frozen features of one encoder.

    2 min on two CPU cores for the spatial encoder of Indian Pines, 1 min for the spectral one.
    """
    return Config("probe", ProbeOptions())
