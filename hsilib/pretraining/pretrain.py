"""`pretrain`: the self-supervised stages before the training. They see no label.

The setting is transductive: which pixels have labels is known and used, test pixels included, as the
description has it ("drawn 70 % from labelled positions, labels unused"); what the labels are is not.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.splits import Split
from hsilib.errors import InputError
from hsilib.files import ensure_writable
from hsilib.model.network import Network
from hsilib.pretraining.cmtssl import JigsawPretext, easiest
from hsilib.pretraining.encoder_cache import StageReport, load_pretrained, pretrained_key, save_pretrained
from hsilib.pretraining.mr_ssl import MaskedPretext
from hsilib.pretraining.rm_ssl import RotationPretext
from hsilib.pretraining.samples import draw_positions
from hsilib.progress import progress
from hsilib.training.device import autocast, gradient_scaler, own_randomness

Pretext = RotationPretext | MaskedPretext | JigsawPretext
PRETEXTS: dict[str, type[Pretext]] = {"rm-ssl": RotationPretext, "mr-ssl": MaskedPretext, "cmtssl": JigsawPretext}


@dataclass(frozen=True)
class PretrainOptions:
    """Settings of `pretrain`; all stages are off by default, the rest is the description's.

    Attributes
    ----------
    rm_ssl : rotation–mirror stage for the spatial encoder.
    mr_ssl : masked reconstruction stage for the spectral encoder.
    cmtssl : masked modelling and jigsaws for both encoders, an alternative to the two.
    epochs, batch_size : passes over a stage's samples, samples a batch (at least). The batch size is ours.
    rm_learning_rate, mr_learning_rate, cmtssl_learning_rate : constant. The last one is ours.
    weight_decay : AdamW's.
    """

    rm_ssl: bool = False
    mr_ssl: bool = False
    cmtssl: bool = False
    epochs: int = 90
    batch_size: int = 32
    rm_learning_rate: float = 4e-4
    mr_learning_rate: float = 2e-4
    cmtssl_learning_rate: float = 4e-4
    weight_decay: float = 1e-6

    def __post_init__(self) -> None:
        # A BatchNorm has no spread to divide by where a batch is one sample.
        for name, least in (("epochs", 1), ("batch_size", 2)):
            if getattr(self, name) < least:
                raise InputError(f"pretrain.{name} is {getattr(self, name)}; expected at least {least}.")
        for name in ("rm_learning_rate", "mr_learning_rate", "cmtssl_learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"pretrain.{name} is {getattr(self, name)}; expected a number above 0.")
        if not self.weight_decay >= 0:
            raise InputError(f"pretrain.weight_decay is {self.weight_decay}; expected at least 0.")

    @property
    def stages(self) -> dict[str, float]:
        """Names of the stages that are on, in their order, with their learning rates."""
        stages = {
            "rm-ssl": (self.rm_ssl, self.rm_learning_rate),
            "mr-ssl": (self.mr_ssl, self.mr_learning_rate),
            "cmtssl": (self.cmtssl, self.cmtssl_learning_rate),
        }
        return {stage: rate for stage, (on, rate) in stages.items() if on}


def pretrain(
    model: Network, sampler: PatchSampler, split: Split, options: PretrainOptions, seed: int, cache: Path | None = None
) -> list[StageReport]:
    """Train the encoders of ``model`` in place, one stage after the other, and say how it went.

    They are left in evaluation mode. The heads of the stages are thrown away. All randomness comes from
    ``seed``; torch's global stream is left as it was. The running statistics of the encoders' BatchNorms are
    part of what they learn.

    Parameters
    ----------
    model : standardised, on the sampler's device.
    sampler : gives patches of the scene.
    split : tells labelled from unlabelled positions; no label is read.
    cache : folder of encoders pre-trained before. One that started from the same weights, on the same
        samples, scene and settings, is taken from there instead of being trained again.

    Raises
    ------
    InputError : a stage is on whose encoder the network does not have.
    """
    if options.stages and cache:
        ensure_writable(cache)
    for stage in options.stages:
        PRETEXTS[stage].encoder_of(model)  # complain before the first stage, not after it
    return [
        _run_stage(stage, learning_rate, model, sampler, split, options, seed, cache)
        for stage, learning_rate in options.stages.items()
    ]


def _run_stage(
    stage: str,
    learning_rate: float,
    model: Network,
    sampler: PatchSampler,
    split: Split,
    options: PretrainOptions,
    seed: int,
    cache: Path | None,
) -> StageReport:
    """One stage, trained or taken from the cache."""
    started = time.perf_counter()
    begun = begin_stage(stage, learning_rate, model, sampler, split, options, seed, cache)
    if begun.report is not None:
        return begun.report
    loss = train_stage(begun.pretext, begun.samples, learning_rate, options, begun.generator)
    return end_stage(begun, loss, started)


@dataclass(frozen=True, eq=False)
class BegunStage:
    """A stage up to its training.

    Attributes
    ----------
    pretext : the encoder with the stage's head. samples, held_out : flat indices, on the sampler's device.
    generator : what the stage draws from. path : its file in the cache, or None.
    report : of the cache, if the stage was found there; then there is nothing to train.
    """

    pretext: Pretext
    samples: torch.Tensor
    held_out: torch.Tensor
    generator: torch.Generator
    path: Path | None
    report: StageReport | None


def begin_stage(
    stage: str,
    learning_rate: float,
    model: Network,
    sampler: PatchSampler,
    split: Split,
    options: PretrainOptions,
    seed: int,
    cache: Path | None,
) -> BegunStage:
    """Draw positions and the head's weights; look into the cache."""
    device = sampler.device
    stage_seed = seed_of(stage, seed)
    generator = torch.Generator().manual_seed(stage_seed)
    samples, held_out = (positions.to(device) for positions in draw_positions(split, generator))
    with own_randomness(stage_seed, device):  # for the weights of the head
        pretext = PRETEXTS[stage](model, sampler)
    path = report = None
    if cache:
        settings = (options.epochs, options.batch_size, learning_rate, options.weight_decay)
        key = pretrained_key(stage, settings, model, pretext.encoder, sampler, (samples, held_out), seed)
        path = cache / f"{stage}-{key[:16]}.safetensors"
        report = load_pretrained(path, pretext.encoder)
        if report is not None:
            pretext.eval()  # as training leaves it
    return BegunStage(pretext, samples, held_out, generator, path, report)


def end_stage(begun: BegunStage, loss: list[float], started: float, together: int = 1) -> StageReport:
    """Measure a trained stage and put it into the cache.

    Parameters
    ----------
    loss : of each epoch. started : when the stage began, by `time.perf_counter`.
    together : stages that shared that time.
    """
    measured = begun.pretext.measure(begun.held_out, begun.generator)
    seconds = (time.perf_counter() - started) / together
    report = StageReport(begun.pretext.stage, seconds, False, loss, measured)
    if begun.path:
        save_pretrained(begun.path, begun.pretext.encoder, report)
    return report


def train_stage(
    pretext: Pretext, samples: torch.Tensor, learning_rate: float, options: PretrainOptions, generator: torch.Generator
) -> list[float]:
    """The loop of a stage; leaves encoder and head trained, in evaluation mode.

    Parameters
    ----------
    samples : (N,) flat indices of pixels, on the sampler's device. Each epoch visits each once; CMTSSL's early
        epochs visit the easiest ones only.
    generator : a CPU generator; draws their order, and what the pretext draws.

    Returns
    -------
    The mean loss of each epoch.
    """
    optimizer = torch.optim.AdamW(pretext.parameters(), lr=learning_rate, weight_decay=options.weight_decay, fused=True)
    scaler = gradient_scaler(samples.device)
    losses = []
    if isinstance(pretext, JigsawPretext):
        samples = pretext.order_samples(samples)
    pretext.train()
    with progress(options.epochs, pretext.stage, "epoch") as bar:
        for epoch in range(options.epochs):
            n = easiest(len(samples), epoch, options.epochs) if isinstance(pretext, JigsawPretext) else len(samples)
            order = torch.randperm(n, generator=generator).to(samples.device)
            total = torch.zeros((), device=samples.device)
            # Batches of equal size, give or take one, so that the last one is not a single sample.
            for batch in samples[order].tensor_split(max(1, n // options.batch_size)):
                with autocast(samples.device):
                    loss = pretext.loss(batch, generator)
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad(set_to_none=True)  # after the step: nothing stays behind for the main training
                total += loss.detach() * len(batch)
            losses.append(float(total) / n)
            bar.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
            bar.update()
    pretext.eval()
    return losses


def seed_of(stage: str, seed: int) -> int:
    """A seed of the stage's own, so that the stages do not draw the same numbers."""
    return int.from_bytes(hashlib.sha256(f"{stage} {seed}".encode()).digest()[:4], "big")
