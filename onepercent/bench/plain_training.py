"""Training steps the plain way: patches cut beforehand, changed one at a time, put together by a `DataLoader`.

The baseline of ``hsilib bench train`` and ``hsilib bench pipeline``. Shared with the library: network, losses, mixing,
clipping, validation, batch size and precision. Not shared: a patch is changed by itself on the CPU, by code written for
one patch, which takes a half to a quarter of the time that the library's code for batches would; with torch's own
random numbers; it lies band by band in memory, as `torch.nn.Conv2d` documents its input; and AdamW is as
`torch.optim` makes it by default, where the library asks for its fused form: the same formula in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from hsilib.data.patches import PatchSampler
from hsilib.data.splits import Split
from hsilib.model.network import Network
from hsilib.pretraining.mr_ssl import MaskedPretext, draw_masks
from hsilib.pretraining.pretext import Pretext
from hsilib.pretraining.pretrain import PretrainOptions
from hsilib.pretraining.rm_ssl import AUGMENTATIONS, MIRRORED, N_ROTATIONS
from hsilib.training.augment import AugmentOptions, smoothing_matrices
from hsilib.training.device import autocast, gradient_scaler
from hsilib.training.fit import forward_mixed, mean_loss, validate
from hsilib.training.fit_options import FitOptions
from hsilib.training.losses import weights_for
from hsilib.training.mix import draw_mix
from onepercent.bench.comparison import timed

Item = tuple[torch.Tensor, torch.Tensor]
Change = Callable[[torch.Tensor], torch.Tensor]


class PlainTraining:
    """An epoch at each call.

    Parameters
    ----------
    samples : gives single patches on the CPU, each with what its loss needs. batch_size : samples a batch.
    module : is trained, on ``device``. loss_of : a batch's tensors → its loss.
    learning_rate, weight_decay : AdamW's. clip_norm : largest norm of all gradients together; 0 does not limit it.
    after_epoch : is called at the end of each.
    """

    def __init__(
        self,
        samples: Dataset[Item],
        batch_size: int,
        module: nn.Module,
        loss_of: Callable[..., torch.Tensor],
        device: torch.device,
        learning_rate: float,
        weight_decay: float,
        clip_norm: float = 0.0,
        after_epoch: Callable[[], object] | None = None,
    ) -> None:
        self.samples, self.batch_size, self.module, self.loss_of = samples, batch_size, module, loss_of
        self.device, self.clip_norm, self.after_epoch = device, clip_norm, after_epoch
        self.optimizer = torch.optim.AdamW(module.parameters(), lr=learning_rate, weight_decay=weight_decay)
        self.scaler = gradient_scaler(device)
        self.loader = self._loader(0)

    def __call__(self) -> float:
        """Mean of the batches' losses."""
        self.module.train()
        losses = []
        for batch in self.loader:
            patches, wanted = (part.to(self.device, non_blocking=True) for part in batch)
            self.optimizer.zero_grad()
            with autocast(self.device):
                loss = self.loss_of(patches, wanted)
            self.scaler.scale(loss).backward()
            if self.clip_norm:
                self.scaler.unscale_(self.optimizer)
                nn.utils.clip_grad_norm_(self.module.parameters(), self.clip_norm)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            losses.append(loss.detach())
        if self.after_epoch:
            self.after_epoch()
        return float(torch.stack(losses).mean())

    @property
    def name(self) -> str:
        """In words."""
        return f"DataLoader over patches cut beforehand, {self.loader.num_workers} workers"

    def choose_workers(self, numbers: Sequence[int]) -> None:
        """Keep the number of worker processes with which an epoch is shortest."""
        loaders = {number: self._loader(number) for number in numbers}
        seconds = {}
        for number, self.loader in loaders.items():
            self()  # starts the processes
            seconds[number] = timed(self)
        self.loader = loaders[min(seconds, key=seconds.__getitem__)]

    def _loader(self, workers: int) -> DataLoader[Item]:
        return DataLoader(
            self.samples,
            self.batch_size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=self.device.type == "cuda",
        )


def plain_fit(model: Network, sampler: PatchSampler, split: Split, options: FitOptions) -> PlainTraining:
    """`hsilib.training.fit` at its peak learning rate; ``sampler`` is on the model's device."""
    pixels, labels = torch.from_numpy(split.train).to(sampler.device), torch.from_numpy(split.train_labels - 1)
    weights = weights_for(split.train_labels, model.n_classes, options.loss).to(sampler.device)
    generator = torch.Generator().manual_seed(0)

    def loss_of(patches: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """As in the first epoch of `fit`, mixed."""
        mix = draw_mix(len(patches), model.n_bands, model.patch_size, options.mix, generator)
        logits, targets = forward_mixed(model, patches, classes, mix)
        return mean_loss(logits, targets, weights, options, step=0, epoch=0)

    return PlainTraining(
        Patches(sampler(pixels), partial(labelled, change=_change(sampler, options.augment), labels=labels)),
        options.batch_size,
        model,
        loss_of,
        sampler.device,
        options.learning_rate,
        options.weight_decay,
        options.clip_norm,
        partial(validate, model, sampler, split) if len(split.val) else None,
    )


def plain_stage(pretext: Pretext, positions: torch.Tensor, rate: float, options: PretrainOptions) -> PlainTraining:
    """`hsilib.pretraining.pretrain.train_stage` of RM-SSL or MR-SSL on the pixels ``positions`` (N,), on the device."""
    sampler = pretext.sampler
    if isinstance(pretext, MaskedPretext):
        samples = Patches(sampler(positions, pretext.window), masked)
    else:
        samples = Patches(sampler(positions), partial(rotated, change=_change(sampler, AUGMENTATIONS)))
    loss_of, decay = pretext.batch_loss, options.weight_decay
    return PlainTraining(samples, options.batch_size, pretext, loss_of, sampler.device, rate, decay)


def _change(sampler: PatchSampler, options: AugmentOptions) -> Change:
    """`changed` with the ranges of the scene's bands."""
    low, span = sampler.band_low.cpu()[:, None, None], sampler.band_range.cpu()[:, None, None]
    return partial(changed, low=low, span=span, options=options)


class Patches(Dataset[Item]):
    """Patches, cut beforehand, and, for each when it is asked for, what its loss needs.

    Parameters
    ----------
    patches : (N, S, P, P) raw values; they are kept on the CPU.
    item : takes a patch and its place; gives the tensors of a sample.
    """

    def __init__(self, patches: torch.Tensor, item: Callable[[torch.Tensor, int], Item]) -> None:
        self.patches, self.item = patches.contiguous().cpu(), item

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: int) -> Item:
        return self.item(self.patches[index], index)


def labelled(patch: torch.Tensor, place: int, change: Change, labels: torch.Tensor) -> Item:
    """For `fit`: the changed patch and its class from 0; ``labels`` (N,) are those of all patches."""
    return change(patch), labels[place]


def rotated(patch: torch.Tensor, place: int, change: Change) -> Item:
    """For RM-SSL: the patch, mirrored or not, turned and changed, and the number of quarter turns."""
    del place
    rotation = int(torch.randint(N_ROTATIONS, ()))
    if torch.rand(()) < MIRRORED:
        patch = patch.flip(2)
    return change(torch.rot90(patch, rotation, (1, 2))), torch.tensor(rotation)


def masked(window: torch.Tensor, place: int) -> Item:
    """For MR-SSL: the window (S, w, w) as it is and its mask (S,)."""
    del place
    return window, draw_masks(1, len(window), torch.default_generator)[0]


def changed(patch: torch.Tensor, low: torch.Tensor, span: torch.Tensor, options: AugmentOptions) -> torch.Tensor:
    """What `hsilib.training.augment` does to a batch, written for one patch (S, P, P) of raw values."""
    if torch.rand(()) >= options.probability:
        return patch
    if options.orientation:
        patch = torch.rot90(patch, int(torch.randint(4, ())), (1, 2))
        if torch.rand(()) < 0.5:
            patch = patch.flip(2)
    gain = torch.empty(()).uniform_(*options.brightness).expand(len(patch)).clone()
    dropped = torch.randperm(len(patch))[: round(options.dropped_bands * len(patch))]
    gain[dropped] *= torch.empty(len(dropped)).uniform_(*options.dropped_gain)
    patch = low + gain[:, None, None] * (patch - low)
    if torch.rand(()) < options.smoothing_probability:
        blur = smoothing_matrices(torch.empty(1).uniform_(*options.smoothing_sigma), patch.shape[-1])[0]
        patch = blur @ patch @ blur.T
    return patch + options.noise * span * torch.randn(patch.shape)
