"""`pretrain`: the self-supervised stages before the training (METHOD A6). They see no label.

The setting is transductive: which pixels have labels is known and used, test pixels included, as the
description has it ("drawn 70 % from labelled positions, labels unused"); what the labels are is not.

Contents: `PretrainOptions`, `StageReport`, `pretrain`, `train_stage`, `draw_positions`.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hsilib.data.patches import PatchSampler
from hsilib.data.splits import Split
from hsilib.errors import InputError
from hsilib.files import ensure_writable
from hsilib.models.network import Network
from hsilib.progress import progress
from hsilib.training.mr_ssl import MaskedPretext
from hsilib.training.precision import autocast, gradient_scaler
from hsilib.training.pretrained import StageReport, load_pretrained, pretrained_key, save_pretrained
from hsilib.training.rm_ssl import RotationPretext

SAMPLED_SHARE = 0.05
FEWEST_SAMPLES, MOST_SAMPLES = 1000, 3000
LABELLED_SHARE = 0.7
HELD_OUT = 256

Pretext = RotationPretext | MaskedPretext
PRETEXTS: dict[str, type[Pretext]] = {"rm-ssl": RotationPretext, "mr-ssl": MaskedPretext}


@dataclass(frozen=True)
class PretrainOptions:
    """Settings of `pretrain`; both stages are off by default, the rest is the description's.

    Attributes
    ----------
    rm_ssl : rotation–mirror stage for the spatial encoder.
    mr_ssl : masked reconstruction stage for the spectral encoder.
    epochs, batch_size : passes over a stage's samples, samples a batch (at least). The batch size is ours.
    rm_learning_rate, mr_learning_rate : constant.
    weight_decay : AdamW's.
    """

    rm_ssl: bool = False
    mr_ssl: bool = False
    epochs: int = 90
    batch_size: int = 32
    rm_learning_rate: float = 4e-4
    mr_learning_rate: float = 2e-4
    weight_decay: float = 1e-6

    def __post_init__(self) -> None:
        # A BatchNorm has no spread to divide by where a batch is one sample.
        for name, least in (("epochs", 1), ("batch_size", 2)):
            if getattr(self, name) < least:
                raise InputError(f"pretrain.{name} is {getattr(self, name)}; expected at least {least}.")
        for name in ("rm_learning_rate", "mr_learning_rate"):
            if not getattr(self, name) > 0:
                raise InputError(f"pretrain.{name} is {getattr(self, name)}; expected a number above 0.")
        if not self.weight_decay >= 0:
            raise InputError(f"pretrain.weight_decay is {self.weight_decay}; expected at least 0.")

    @property
    def stages(self) -> dict[str, float]:
        """Names of the stages that are on, in their order, with their learning rates."""
        rates = {"rm-ssl": self.rm_learning_rate, "mr-ssl": self.mr_learning_rate}
        on = {"rm-ssl": self.rm_ssl, "mr-ssl": self.mr_ssl}
        return {stage: rate for stage, rate in rates.items() if on[stage]}


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
    device = sampler.device
    stage_seed = seed_of(stage, seed)
    generator = torch.Generator().manual_seed(stage_seed)
    samples, held_out = (positions.to(device) for positions in draw_positions(split, generator))
    # The weights of the head draw from torch's global stream; it is seeded here and restored after.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(stage_seed)
        pretext = PRETEXTS[stage](model, sampler)
    path = None
    if cache:
        settings = (options.epochs, options.batch_size, learning_rate, options.weight_decay)
        key = pretrained_key(stage, settings, model, pretext.encoder, sampler, (samples, held_out), seed)
        path = cache / f"{stage}-{key[:16]}.safetensors"
        report = load_pretrained(path, pretext.encoder)
        if report is not None:
            pretext.eval()  # as training leaves it
            return report
    loss = train_stage(pretext, samples, learning_rate, options, generator)
    measured = pretext.measure(held_out, generator)
    report = StageReport(stage, time.perf_counter() - started, False, loss, measured)
    if path:
        save_pretrained(path, pretext.encoder, report)
    return report


def train_stage(
    pretext: Pretext, samples: torch.Tensor, learning_rate: float, options: PretrainOptions, generator: torch.Generator
) -> list[float]:
    """The loop of a stage; leaves encoder and head trained, in evaluation mode.

    Parameters
    ----------
    samples : (N,) flat indices of pixels, on the sampler's device. Each epoch visits each once.
    generator : a CPU generator; draws their order, and what the pretext draws.

    Returns
    -------
    The mean loss of each epoch.
    """
    optimizer = torch.optim.AdamW(pretext.parameters(), lr=learning_rate, weight_decay=options.weight_decay)
    scaler = gradient_scaler(samples.device)
    n_batches = max(1, len(samples) // options.batch_size)
    losses = []
    pretext.train()
    with progress(options.epochs, pretext.stage, "epoch") as bar:
        for _ in range(options.epochs):
            order = torch.randperm(len(samples), generator=generator).to(samples.device)
            total = torch.zeros((), device=samples.device)
            # Batches of equal size, give or take one, so that the last one is not a single sample.
            for batch in samples[order].tensor_split(n_batches):
                with autocast(samples.device):
                    loss = pretext.loss(batch, generator)
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad(set_to_none=True)  # after the step: nothing stays behind for the main training
                total += loss.detach() * len(batch)
            losses.append(float(total) / len(samples))
            bar.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
            bar.update()
    pretext.eval()
    return losses


def sample_count(n_pixels: int) -> int:
    """5 % of the pixels, at least 1000 and at most 3000: how we scale "1,000–3,000 samples by scene size"."""
    return min(max(round(SAMPLED_SHARE * n_pixels), FEWEST_SAMPLES), MOST_SAMPLES)


def draw_positions(split: Split, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat indices of the samples and of 256 other positions to measure on, both 70 % labelled.

    Labelled are the training, validation and test positions of the split. Where one kind runs out, the
    other fills up. A scene that is too small for all gives a fifth of its pixels to measure on and the
    rest as samples. The patches of the held-out positions overlap those of the samples.
    """
    n_pixels = split.shape[0] * split.shape[1]
    labelled = np.unique(np.concatenate([split.train, split.val, split.test]))
    kinds = [torch.from_numpy(labelled), torch.from_numpy(np.setdiff1d(np.arange(n_pixels), labelled))]
    kinds = [kind[torch.randperm(len(kind), generator=generator)] for kind in kinds]
    n_held_out = min(HELD_OUT, n_pixels // 5)
    samples, kinds = _take(kinds, min(sample_count(n_pixels), n_pixels - n_held_out))
    held_out, _ = _take(kinds, n_held_out)
    return samples, held_out


def _take(kinds: list[torch.Tensor], wanted: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The first of each kind, 70 % of them labelled while there are enough, and what is left of each kind."""
    labelled, unlabelled = kinds
    n_labelled = min(round(LABELLED_SHARE * wanted), len(labelled))
    n_unlabelled = min(wanted - n_labelled, len(unlabelled))
    n_labelled = wanted - n_unlabelled
    taken = torch.cat([labelled[:n_labelled], unlabelled[:n_unlabelled]])
    return taken, [labelled[n_labelled:], unlabelled[n_unlabelled:]]


def seed_of(stage: str, seed: int) -> int:
    """A seed of the stage's own, so that the stages do not draw the same numbers."""
    return int.from_bytes(hashlib.sha256(f"{stage} {seed}".encode()).digest()[:4], "big")
