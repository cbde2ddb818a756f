"""MR-SSL: the spectral encoder learns by filling in masked bands.

The description leaves open, and we read:

- "40 % of the bands at random … a variable ratio of 20–40 %": the share is drawn evenly from 20…40 % for
  each sample; 40 % is its upper end.
- "consecutive blocks": with probability 1/2 the same number of bands is masked as one to three runs of
  consecutive bands. Their lengths are as equal as possible and they do not touch. Few and long, as
  narrow gaps are filled by the neighbouring bands alone.
- a masked band is set to its mean over the scene, 0 after the model's standardisation.
- "reconstruct the spectrum": the loss is over all bands, the visible ones too.
- the spectrum of which pixels: of all in a window around the sample, each from its own masked spectrum
  (all with the sample's mask), as the encoder without its pooling sees them. 5 × 5 pixels: on validation
  pixels a probe was less accurate after 1 × 1, and whole patches of 15 × 15 cost several times the time.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn
from torch.nn.functional import l1_loss, mse_loss

from hsilib.data.patches import PatchSampler
from hsilib.errors import InputError
from hsilib.model.attention import Pointwise
from hsilib.model.dual_branch import SpectralEncoder
from hsilib.model.network import Network
from hsilib.pretraining.pretext import Pretext

MASKED_SHARE = (0.2, 0.4)
BLOCKWISE = 0.5  # share of the samples
MOST_BLOCKS = 3
L1_FACTOR = 0.1
WINDOW = 5  # pixels


def draw_masks(n: int, n_bands: int, generator: torch.Generator) -> torch.Tensor:
    """(N, S) true where a band is masked: round(share · S) bands of each sample, at least one, random or in blocks."""
    low, high = MASKED_SHARE
    shares = low + (high - low) * torch.rand(n, generator=generator)
    blockwise = torch.rand(n, generator=generator) < BLOCKWISE
    return torch.stack(
        [
            (draw_blocks if in_blocks else draw_bands)(max(1, round(share * n_bands)), n_bands, generator)
            for share, in_blocks in zip(shares.tolist(), blockwise.tolist(), strict=True)
        ]
    )


def draw_bands(n_masked: int, n_bands: int, generator: torch.Generator) -> torch.Tensor:
    """(S,) with ``n_masked`` bands true, each set of bands as likely."""
    mask = torch.zeros(n_bands, dtype=torch.bool)
    mask[torch.randperm(n_bands, generator=generator)[:n_masked]] = True
    return mask


def draw_blocks(n_masked: int, n_bands: int, generator: torch.Generator) -> torch.Tensor:
    """(S,) with ``n_masked`` bands true, in one to three runs that do not touch, each placement as likely."""
    n_visible = n_bands - n_masked
    n_blocks = int(torch.randint(1, MOST_BLOCKS + 1, (), generator=generator))
    n_blocks = min(n_blocks, n_masked, n_visible + 1)
    # Each block goes into a gap of its own: before, between or after the visible bands.
    gaps = torch.randperm(n_visible + 1, generator=generator)[:n_blocks].sort().values.tolist()
    mask = torch.zeros(n_bands, dtype=torch.bool)
    done = 0
    for i, gap in enumerate(gaps):
        length = (n_masked - done) // (n_blocks - i)
        mask[gap + done : gap + done + length] = True
        done += length
    return mask


def reconstruction_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """MSE + 0.1 · L1, each a mean over everything."""
    return mse_loss(predicted, target) + L1_FACTOR * l1_loss(predicted, target)


class MaskedPretext(Pretext):
    """The spectral encoder with a head that gives spectra back: 1 × 1 convolution, sigmoid.

    Parameters
    ----------
    model : standardises; its spectral encoder is shared, not copied.
    sampler : gives patches of the scene, on the model's device.
    window : side of the window around a sample whose pixels are all reconstructed, odd, at most P.

    Raises
    ------
    InputError : a network without a spectral encoder, or one on principal components.
    """

    stage: ClassVar[str] = "mr-ssl"
    encoder: SpectralEncoder

    def __init__(self, model: Network, sampler: PatchSampler, window: int = WINDOW) -> None:
        super().__init__(model, sampler)
        self.standardize = model.standardize
        self.head = nn.Sequential(Pointwise(self.encoder.width, model.n_bands), nn.Sigmoid()).to(sampler.device)
        self.window = window
        self.n_bands, self.band_mean = model.n_bands, model.band_mean

    @staticmethod
    def encoder_of(model: Network) -> SpectralEncoder:
        """The part of ``model`` that this stage trains."""
        encoder = getattr(model, "spectral", None)
        if not isinstance(encoder, SpectralEncoder):
            raise InputError(f"network {model.name!r} has no spectral encoder to pre-train: set pretrain.mr_ssl=False.")
        if model.n_components:
            raise InputError(
                "MR-SSL masks bands, and a network on principal components sees none: set pretrain.mr_ssl=False."
            )
        return encoder

    def forward(self, spectra: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Raw spectra (N, S, H, W) and masks (N, S), true where masked → reconstruction in units of `scaled`."""
        visible = self.standardize(spectra).masked_fill(masks[:, :, None, None], 0.0)
        return self.head(self.encoder.forward_pixelwise(visible))

    def scaled(self, spectra: torch.Tensor) -> torch.Tensor:
        """Raw spectra (N, S, H, W) → 0…1 in each band's range over the scene; no band of a scene is constant."""
        return (spectra - self.sampler.band_low[:, None, None]) / self.sampler.band_range[:, None, None]

    def windows(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, S, w, w) raw spectra around ``pixels`` (N,)."""
        return self.sampler(pixels, self.window)

    def draw_batch(self, pixels: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Raw windows (N, S, w, w) around ``pixels`` (N,) and their masks (N, S)."""
        spectra = self.windows(pixels)
        return spectra, draw_masks(len(pixels), self.n_bands, generator).to(spectra.device)

    def batch_loss(self, spectra: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """`reconstruction_loss`, over all bands, of what `draw_batch` gave."""
        return reconstruction_loss(self(spectra, masks), self.scaled(spectra))

    @torch.inference_mode()
    def reconstruct(self, pixels: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, S) reconstruction and truth of single spectra, 0…1 in each band's range, under ``masks`` (N, S)."""
        self.eval()
        spectra = self.sampler(pixels, 1)
        return self(spectra, masks).flatten(1), self.scaled(spectra).flatten(1)

    def measure(self, pixels: torch.Tensor, generator: torch.Generator) -> dict[str, float]:
        """Root mean square error in the masked bands, and that of answering with each band's mean over the scene.

        Both in units of the bands' ranges. The masks are drawn as in training.
        """
        masks = draw_masks(len(pixels), self.n_bands, generator).to(pixels.device)
        predicted, truth = self.reconstruct(pixels, masks)
        mean = self.scaled(self.band_mean[None, :, None, None]).flatten(1)
        return {
            "masked_rmse": float((predicted - truth)[masks].square().mean().sqrt()),
            "band_mean_rmse": float((mean - truth)[masks].square().mean().sqrt()),
        }
