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

from hsilib.checks import check_numbers
from hsilib.data.patches import PatchSampler
from hsilib.data.splits import Split
from hsilib.errors import InputError
from hsilib.files import ensure_writable
from hsilib.model.network import Network
from hsilib.pretraining.encoder_cache import StageReport, encoder_key, load_encoder, save_encoder
from hsilib.pretraining.mr_ssl import MaskedPretext
from hsilib.pretraining.pretext import Pretext
from hsilib.pretraining.rm_ssl import RotationPretext
from hsilib.pretraining.samples import draw_samples
from hsilib.progress import progress
from hsilib.training.device import autocast, gradient_scaler, own_randomness

# `onepercent.peers` adds CMTSSL when it is imported.
PRETEXTS: dict[str, type[Pretext]] = {RotationPretext.stage: RotationPretext, MaskedPretext.stage: MaskedPretext}


def register_pretext(pretext: type[Pretext]) -> None:
    """Make a self-supervised stage known under its ``stage``.

    Raises
    ------
    ValueError : another one has that name.
    """
    if PRETEXTS.setdefault(pretext.stage, pretext) is not pretext:
        raise ValueError(f"there are two stages called {pretext.stage}.")


def pretext_class(stage: str) -> type[Pretext]:
    """The registered pretext of that stage.

    Raises
    ------
    InputError : it is not registered.
    """
    if stage not in PRETEXTS:
        raise InputError(
            f"no pre-training stage {stage!r} is registered; cmtssl is known after `import onepercent.peers`."
        )
    return PRETEXTS[stage]


@dataclass(frozen=True)
class PretrainOptions:
    """Settings of `pretrain`; all stages are off by default, the rest is the description's.

    Attributes
    ----------
    rm_ssl : rotation–mirror stage for the spatial encoder.
    mr_ssl : masked reconstruction stage for the spectral encoder.
    cmtssl : masked modelling and jigsaws for both encoders, an alternative to the two; with `onepercent.peers` only.
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
        check_numbers("pretrain.", least=1, whole=True, epochs=self.epochs)
        # A BatchNorm has no spread to divide by where a batch is one sample.
        check_numbers("pretrain.", least=2, whole=True, batch_size=self.batch_size)
        check_numbers("pretrain.", above=0, rm_learning_rate=self.rm_learning_rate)
        check_numbers("pretrain.", above=0, mr_learning_rate=self.mr_learning_rate)
        check_numbers("pretrain.", above=0, cmtssl_learning_rate=self.cmtssl_learning_rate)
        check_numbers("pretrain.", least=0, weight_decay=self.weight_decay)

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
    split : tells labelled from unlabelled pixels; no label is read.
    cache : folder of encoders pre-trained before. One that started from the same weights, on the same
        samples, scene and settings, is taken from there instead of being trained again.

    Raises
    ------
    InputError : a stage is on that is not registered, or whose encoder the network does not have.
    """
    if options.stages and cache:
        ensure_writable(cache)
    for name in options.stages:
        pretext_class(name).encoder_of(model)  # complain before the first stage, not after it
    reports = []
    for name, learning_rate in options.stages.items():
        started = time.perf_counter()
        stage = Stage(name, model, sampler, split, seed)
        report = stage.look_up(options, cache) if cache else None
        if report is None:
            loss = train_stage(stage.pretext, stage.samples, learning_rate, options, stage.generator)
            report = stage.finish(loss, started)
        reports.append(report)
    return reports


class Stage:
    """A stage of one network: an encoder with the stage's head, and what it learns from.

    Parameters
    ----------
    name : of a registered stage; the rest is as for `pretrain`.

    Attributes
    ----------
    pretext : the encoder, which is the model's own, with a fresh head.
    samples, held_out : flat indices of the pixels to train and to measure on, on the sampler's device.
    generator : what the stage draws from.
    """

    def __init__(self, name: str, model: Network, sampler: PatchSampler, split: Split, seed: int) -> None:
        own_seed = seed_of(name, seed)
        self.generator = torch.Generator().manual_seed(own_seed)
        self.samples, self.held_out = (pixels.to(sampler.device) for pixels in draw_samples(split, self.generator))
        with own_randomness(own_seed, sampler.device):  # for the weights of the head
            self.pretext = pretext_class(name)(model, sampler)
        self._model, self._seed = model, seed
        self._path: Path | None = None

    def look_up(self, options: PretrainOptions, cache: Path) -> StageReport | None:
        """The report of the same stage where ``cache`` has it, whose weights the encoder takes over; else None.

        It has to be asked before the training, which `finish` then keeps there.
        """
        name, encoder = self.pretext.stage, self.pretext.encoder
        settings = (options.epochs, options.batch_size, options.stages[name], options.weight_decay)
        scaling = [self._model.band_mean, self._model.band_scale, self._model.projection]
        tensors = [tensor for tensor in (*scaling, self.samples, self.held_out) if tensor is not None]
        key = encoder_key((name, settings, self._seed), encoder, self.pretext.sampler, tensors)
        self._path = cache / f"{name}-{key[:16]}.safetensors"
        report = load_encoder(self._path, encoder)
        if report is not None:
            self.pretext.eval()  # as training leaves it
        return report

    def finish(self, loss: list[float], started: float, together: int = 1) -> StageReport:
        """Measure what was trained and put it into the cache, if there is one.

        Parameters
        ----------
        loss : of each epoch. started : when the stage began, by `time.perf_counter`.
        together : stages that shared that time.
        """
        measured = self.pretext.measure(self.held_out, self.generator)
        report = StageReport(self.pretext.stage, (time.perf_counter() - started) / together, False, loss, measured)
        if self._path:
            save_encoder(self._path, self.pretext.encoder, report)
        return report


def train_stage(
    pretext: Pretext, samples: torch.Tensor, learning_rate: float, options: PretrainOptions, generator: torch.Generator
) -> list[float]:
    """The loop of a stage; leaves encoder and head trained, in evaluation mode.

    Parameters
    ----------
    samples : (N,) flat indices of pixels, on the sampler's device. Each epoch visits each once, unless
        the pretext's `samples_in` says otherwise.
    generator : a CPU generator; draws their order, and what the pretext draws.

    Returns
    -------
    The mean loss of each epoch.
    """
    optimizer = torch.optim.AdamW(pretext.parameters(), lr=learning_rate, weight_decay=options.weight_decay, fused=True)
    scaler = gradient_scaler(samples.device)
    losses = []
    samples = pretext.order_samples(samples)
    pretext.train()
    with progress(options.epochs, pretext.stage, "epoch") as bar:
        for epoch in range(options.epochs):
            n = pretext.samples_in(epoch, options.epochs, len(samples))
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
