"""Training steps the plain way: patches cut beforehand, changed one at a time, put together by a `DataLoader`.

Network, losses, mixing, clipping and precision are those of the library. What differs: a patch is changed by itself,
with torch's own random numbers, and lies band by band in memory, as `torch.nn.Conv2d` documents its input; and AdamW
is as `torch.optim` makes it by default, where the library asks for its fused form: the same formula in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from hsilib.model.network import Network
from hsilib.pretraining.mr_ssl import draw_masks
from hsilib.pretraining.rm_ssl import AUGMENTATIONS, MIRRORED, N_ROTATIONS
from hsilib.training.augment import AugmentOptions, smoothing_matrices
from hsilib.training.device import autocast, gradient_scaler
from hsilib.training.fit import mixed_loss
from hsilib.training.fit_options import FitOptions
from hsilib.training.mix import draw_mix
from onepercent.bench.comparison import timed

Item = tuple[torch.Tensor, torch.Tensor]


class PlainTraining:
    """An epoch at each call.

    Parameters
    ----------
    samples : gives single patches on the CPU, each with what its loss needs. batch_size : samples a batch.
    module : is trained. loss_of : a batch's tensors → its loss.
    learning_rate, weight_decay : AdamW's. clip_norm : largest norm of all gradients together; 0 does not limit it.
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
    ) -> None:
        self.samples, self.batch_size, self.module, self.loss_of = samples, batch_size, module, loss_of
        self.device, self.clip_norm = device, clip_norm
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
        return float(torch.stack(losses).mean())

    def choose_workers(self, numbers: Sequence[int]) -> int:
        """Keep the number of worker processes with which an epoch is shortest, and say which."""
        loaders = {number: self._loader(number) for number in numbers}
        seconds = {}
        for number, self.loader in loaders.items():
            self()  # starts the processes
            seconds[number] = timed(self)
        best = min(seconds, key=seconds.__getitem__)
        self.loader = loaders[best]
        return best

    def _loader(self, workers: int) -> DataLoader[Item]:
        return DataLoader(
            self.samples,
            self.batch_size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=self.device.type == "cuda",
        )


class FitPatches(Dataset[Item]):
    """A changed patch and its class.

    Parameters
    ----------
    patches : (N, S, P, P) raw values. labels : (N,) from 0.
    low, span : (S,) each band's smallest value, and largest minus smallest.
    """

    def __init__(
        self,
        patches: torch.Tensor,
        labels: torch.Tensor,
        low: torch.Tensor,
        span: torch.Tensor,
        options: AugmentOptions,
    ) -> None:
        self.patches, self.labels = patches, labels
        self.change = partial(changed, low=low[:, None, None], span=span[:, None, None], options=options)

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: int) -> Item:
        return self.change(self.patches[index]), self.labels[index]


class RotatedPatches(Dataset[Item]):
    """A turned and changed patch and the number of quarter turns; the arguments are as above."""

    def __init__(self, patches: torch.Tensor, low: torch.Tensor, span: torch.Tensor) -> None:
        self.patches = patches
        self.change = partial(changed, low=low[:, None, None], span=span[:, None, None], options=AUGMENTATIONS)

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: int) -> Item:
        patch, rotation = self.patches[index], int(torch.randint(N_ROTATIONS, ()))
        if torch.rand(()) < MIRRORED:
            patch = patch.flip(2)
        return self.change(torch.rot90(patch, rotation, (1, 2))), torch.tensor(rotation)


class MaskedWindows(Dataset[Item]):
    """A window (S, w, w) and its mask (S,)."""

    def __init__(self, windows: torch.Tensor) -> None:
        self.windows = windows

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Item:
        window = self.windows[index]
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


def fit_loss(
    patches: torch.Tensor,
    labels: torch.Tensor,
    model: Network,
    weights: torch.Tensor,
    options: FitOptions,
    generator: torch.Generator,
) -> torch.Tensor:
    """The loss of a batch as in the first epoch of `hsilib.training.fit`, mixed.

    Parameters
    ----------
    patches : (N, S, P, P). labels : (N,) from 0. weights : (K,) of the classes.
    """
    mix = draw_mix(len(patches), model.n_bands, model.patch_size, options.mix, generator)
    return mixed_loss(model, patches, labels, mix, weights, options, step=0, epoch=0)
