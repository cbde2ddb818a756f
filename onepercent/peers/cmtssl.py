"""CMTSSL: masked modelling and two jigsaws at once, from easy to hard samples.

After Carlesso et al., "Curriculum Multi-Task Self-Supervision Improves Lightweight Architectures for Onboard
Satellite Hyperspectral Image Segmentation" (2025), as an alternative to RM-SSL and MR-SSL for the dual-branch
model. What we know of it is its idea: masked image modelling with decoupled spatial and spectral jigsaws, guided
by a curriculum over the difficulty of the data. All below is our reading for two encoders that pool at their end:

- spatial jigsaw: the patch is cut into 3 × 3 pieces, which are laid down in one of 24 orders; the spatial encoder's
  map before its pooling, averaged over the nine places, says which. Its attention, which comes after the pooling,
  sees none of this: it gets no gradient in this stage and starts the training fresh.
- spectral jigsaw: the bands are cut into 4 runs, which are put in one of the 4! = 24 orders; the spectral encoder's
  features of each pixel, averaged over the window, say which. So each puzzle has an encoder of its own.
- masked modelling: one run of bands of each sample, and one piece of its patch, are set to the mean; both encoders
  together fill in what is masked of the spectrum of each pixel. Mean square error, in standardised units.
- the three losses are added; a jigsaw's is divided by log 24, its value for a guess, so that all start near 1.
- difficulty of a sample is its texture, the mean step between neighbouring pixels; epoch e of E draws from the
  easiest share of the samples, which grows from a third to all of them over the first half of the epochs.
"""

from __future__ import annotations

import math
from itertools import permutations
from typing import ClassVar

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from hsilib.data.patches import PatchSampler
from hsilib.errors import InputError
from hsilib.model.dual_branch import SpatialEncoder, SpectralEncoder
from hsilib.model.network import Network
from hsilib.pretraining.pretext import Pretext

SIDE = 3  # pieces on a side
RUNS = 4  # of bands
N_ORDERS = math.factorial(RUNS)
FIRST_SHARE = 1 / 3


def _distinct_orders(n: int, count: int) -> torch.Tensor:
    """``count`` orders of ``n`` things, each as unlike those before it as can be found; the first is 0, 1, 2 …

    Unlike means that many things stand elsewhere (Noroozi and Favaro, ECCV 2016). Candidates are 2,000 random
    orders of a fixed seed.
    """
    generator = torch.Generator().manual_seed(0)
    candidates = torch.stack([torch.arange(n), *(torch.randperm(n, generator=generator) for _ in range(2000))])
    chosen = [0]
    nearest = torch.full((len(candidates),), n + 1)
    while len(chosen) < count:
        nearest = torch.minimum(nearest, (candidates != candidates[chosen[-1]]).sum(dim=1))
        chosen.append(int(nearest.argmax()))
    return candidates[chosen]


SPATIAL_ORDERS = _distinct_orders(SIDE**2, N_ORDERS)  # (24, 9)
SPECTRAL_ORDERS = torch.tensor(list(permutations(range(RUNS))))  # (24, 4)


class Encoders(nn.Module):
    """Both encoders of a dual-branch model as one module, which the stage trains and the cache keeps.

    The one part of them that it leaves at its initial weights is the spatial encoder's attention: that gates what
    pooling makes of a patch, and both tasks of this encoder need its map from before the pooling.
    """

    def __init__(self, spectral: SpectralEncoder, spatial: SpatialEncoder) -> None:
        super().__init__()
        self.spectral, self.spatial = spectral, spatial


class JigsawPretext(Pretext):
    """Both encoders with a head for each task.

    Parameters
    ----------
    model : standardises; its encoders are shared, not copied. Its patches are at least 9 × 9.
    sampler : gives patches of the scene, on the model's device.

    Raises
    ------
    InputError : a network without the two encoders, one on principal components, too few bands or pixels.
    """

    stage: ClassVar[str] = "cmtssl"
    encoder: Encoders

    def __init__(self, model: Network, sampler: PatchSampler) -> None:
        super().__init__(model, sampler)
        self.standardize = model.standardize
        spectral, spatial = self.encoder.spectral, self.encoder.spatial
        self.piece, self.n_bands = model.patch_size // SIDE, model.n_bands
        self.spatial_head = nn.Linear(SIDE**2 * spatial.width, N_ORDERS)
        self.spectral_head = nn.Linear(spectral.width, N_ORDERS)
        self.fill_head = nn.Conv2d(spectral.width + spatial.width, model.n_bands, 1)
        self.to(sampler.device)

    @staticmethod
    def encoder_of(model: Network) -> Encoders:
        """The part of ``model`` that this stage trains."""
        spectral, spatial = getattr(model, "spectral", None), getattr(model, "spatial", None)
        if not isinstance(spectral, SpectralEncoder) or not isinstance(spatial, SpatialEncoder):
            raise InputError(f"network {model.name!r} has no two encoders to pre-train: set pretrain.cmtssl=False.")
        if model.n_components or model.patch_size < 9 or model.n_bands < RUNS:
            raise InputError(
                f"CMTSSL cuts bands into {RUNS} runs and patches into {SIDE} × {SIDE} pieces; the network has "
                f"{model.n_components} components (0 needed), {model.n_bands} bands and patches of {model.patch_size} "
                f"pixels (9 needed): set pretrain.cmtssl=False."
            )
        return Encoders(spectral, spatial)

    def order_samples(self, samples: torch.Tensor) -> torch.Tensor:
        """``samples`` (N,) from the smoothest patch to the most textured one."""
        values = torch.cat([texture(self.standardize(self.sampler(batch))) for batch in samples.split(256)])
        return samples[values.argsort()]

    def samples_in(self, epoch: int, epochs: int, n: int) -> int:
        """A third of the samples, growing to all of them by the middle of the epochs."""
        share = FIRST_SHARE + (1 - FIRST_SHARE) * min(1.0, 2 * epoch / epochs)
        return max(1, min(n, round(share * n)))

    def draw_batch(self, pixels: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Standardised patches (N, S, P, P) around ``pixels`` (N,) and, for each, the orders and what is masked."""
        n, device = len(pixels), pixels.device
        drawn = [torch.randint(high, (n,), generator=generator) for high in (N_ORDERS, N_ORDERS, RUNS, SIDE**2)]
        return self.standardize(self.sampler(pixels)), *(numbers.to(device) for numbers in drawn)

    def batch_loss(
        self,
        patches: torch.Tensor,
        spatial_order: torch.Tensor,
        spectral_order: torch.Tensor,
        masked_run: torch.Tensor,
        masked_piece: torch.Tensor,
    ) -> torch.Tensor:
        """All three tasks together, on what `draw_batch` gave."""
        jigsaws = [
            cross_entropy(self.spatial_logits(self.shuffled_pieces(patches, spatial_order)), spatial_order),
            cross_entropy(self.spectral_logits(self.shuffled_runs(patches, spectral_order)), spectral_order),
        ]
        mask = self.run_mask(masked_run) | self.piece_mask(masked_piece, patches.shape[-1])
        error = (self.fill(patches.masked_fill(mask, 0.0)) - self._inner(patches)).square()
        inner_mask = self._inner(mask).expand_as(error)
        return (error * inner_mask).sum() / inner_mask.sum() + sum(jigsaws) / math.log(N_ORDERS)

    def shuffled_pieces(self, patches: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """Lay the pieces of (N, S, P, P) down anew: place j gets piece ``SPATIAL_ORDERS[order][j]``.

        Where 3 does not divide P, the rows and columns beyond the last whole piece are left out.
        """
        n, s, side, piece = len(patches), patches.shape[1], SIDE, self.piece
        cut = patches[:, :, : side * piece, : side * piece].reshape(n, s, side, piece, side, piece)
        pieces = cut.permute(0, 2, 4, 1, 3, 5).reshape(n, side**2, s, piece, piece)
        source = SPATIAL_ORDERS.to(order.device)[order]
        moved = pieces[torch.arange(n, device=order.device)[:, None], source].reshape(n, side, side, s, piece, piece)
        return moved.permute(0, 3, 1, 4, 2, 5).reshape(n, s, side * piece, side * piece)

    def shuffled_runs(self, patches: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """Put the runs of bands in another order: run j becomes run ``SPECTRAL_ORDERS[order][j]``.

        All runs have S // 4 bands; those beyond the last whole run stay where they are.
        """
        length = self.n_bands // RUNS
        source = SPECTRAL_ORDERS.to(order.device)[order][:, :, None] * length + torch.arange(
            length, device=order.device
        )
        moved = patches[torch.arange(len(patches), device=order.device)[:, None], source.flatten(1)]
        return torch.cat([moved, patches[:, RUNS * length :]], dim=1)

    def spatial_logits(self, patches: torch.Tensor) -> torch.Tensor:
        """(N, S, P', P') standardised → (N, 24)."""
        places = adaptive_avg_pool2d(self.encoder.spatial.windows(patches), SIDE)
        return self.spatial_head(places.flatten(1))

    def spectral_logits(self, patches: torch.Tensor) -> torch.Tensor:
        """(N, S, P, P) standardised → (N, 24)."""
        return self.spectral_head(self.encoder.spectral.forward_pixelwise(patches).mean(dim=(2, 3)))

    def fill(self, patches: torch.Tensor) -> torch.Tensor:
        """(N, S, P, P) standardised and masked → (N, S, P − 4, P − 4), the spectra that should be there."""
        spectral = self._inner(self.encoder.spectral.forward_pixelwise(patches))
        return self.fill_head(torch.cat([spectral, self.encoder.spatial.windows(patches)], dim=1))

    def run_mask(self, run: torch.Tensor) -> torch.Tensor:
        """(N, S, 1, 1), true in the bands of run ``run`` (N,)."""
        of_band = torch.arange(self.n_bands, device=run.device) // (self.n_bands // RUNS)
        return (of_band == run[:, None])[:, :, None, None]

    def piece_mask(self, piece: torch.Tensor, size: int) -> torch.Tensor:
        """(N, 1, P, P), true in piece ``piece`` (N,), counted row by row."""
        of_pixel = torch.arange(size, device=piece.device) // self.piece
        rows, cols = (of_pixel == number[:, None] for number in (piece // SIDE, piece % SIDE))
        return (rows[:, :, None] & cols[:, None, :])[:, None]

    @staticmethod
    def _inner(x: torch.Tensor) -> torch.Tensor:
        """What the two unpadded convolutions leave of a map; a map of one row or column stays."""
        return x[:, :, 2:-2, 2:-2] if x.shape[-1] > 1 else x

    @torch.inference_mode()
    def measure(self, pixels: torch.Tensor, generator: torch.Generator) -> dict[str, float]:
        """Share of right answers in both jigsaws; chance is 1/24."""
        self.eval()
        patches, spatial_order, spectral_order, _, _ = self.draw_batch(pixels, generator)
        spatial = self.spatial_logits(self.shuffled_pieces(patches, spatial_order)).argmax(dim=1)
        spectral = self.spectral_logits(self.shuffled_runs(patches, spectral_order)).argmax(dim=1)
        return {
            "spatial_jigsaw_accuracy": float((spatial == spatial_order).float().mean()),
            "spectral_jigsaw_accuracy": float((spectral == spectral_order).float().mean()),
        }


def texture(patches: torch.Tensor) -> torch.Tensor:
    """(N,) mean absolute step between neighbouring pixels of (N, S, P, P)."""
    steps = [(patches[:, :, 1:] - patches[:, :, :-1]), (patches[:, :, :, 1:] - patches[:, :, :, :-1])]
    return torch.stack([step.abs().mean(dim=(1, 2, 3)) for step in steps]).mean(dim=0)
