"""MixUp in three variants and CutMix: a batch is mixed with its own samples in another order.

One draw a batch decides: MixUp, CutMix or nothing. MixUp's variants are as likely. λ ~ Beta(α, α) is drawn for
each sample and is the share that the sample keeps of itself:

- plain: λ · own patch + (1 − λ) · partner's (Zhang et al., ICLR 2018).
- manifold: the same with the features that go into the head (Verma et al., ICML 2019).
- spectral: each band is the sample's own with probability λ, else the partner's. The description says
  "band-wise" and no more. One λ a band would be the other reading, but the mean of 200 Beta draws is always
  near 0.5, so every label would be half and half.
- cutmix: a square of side P · sqrt(1 − λ) comes from the partner (Yun et al., ICCV 2019).

The labels are mixed by the shares that were really kept: of bands in the spectral variant, of pixels in CutMix.

What is drawn is apart from how it is applied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hsilib.checks import check_name, check_numbers
from hsilib.errors import InputError

VARIANTS = ("plain", "spectral", "manifold")


@dataclass(frozen=True)
class MixOptions:
    """How often and how strongly batches are mixed; off by default.

    Attributes
    ----------
    mixup, cutmix : probability that a batch is mixed that way (0.3 and 0.2 in the description); 1 together at most.
    mixup_alpha, cutmix_alpha : α of Beta(α, α). Small values leave most samples nearly as they are or nearly
        exchange them, 1 makes all shares as likely.
    variants : of MixUp, from ``VARIANTS``; each is as likely.
    """

    mixup: float = 0.0
    mixup_alpha: float = 0.4
    variants: tuple[str, ...] = VARIANTS
    cutmix: float = 0.0
    cutmix_alpha: float = 1.0

    def __post_init__(self) -> None:
        check_numbers("fit.mix.", least=0, most=1, mixup=self.mixup, cutmix=self.cutmix)
        check_numbers("fit.mix.", above=0, mixup_alpha=self.mixup_alpha, cutmix_alpha=self.cutmix_alpha)
        if self.mixup + self.cutmix > 1:
            raise InputError(
                f"fit.mix.mixup and fit.mix.cutmix are {self.mixup} and {self.cutmix}; expected 1 together at most."
            )
        if not self.variants:
            raise InputError(f"fit.mix.variants is empty; expected some of {', '.join(VARIANTS)}, or fit.mix.mixup=0.")
        for name in self.variants:
            check_name("fit.mix.variants", str(name), VARIANTS)


@dataclass(frozen=True, eq=False)
class Mix:
    """What was drawn for a batch of N samples, on the CPU.

    Attributes
    ----------
    kind : ``plain``, ``spectral``, ``manifold`` or ``cutmix``.
    partner : (N,) a permutation; a sample may be its own partner.
    weight : (N,) each sample's share of its own label, 0…1.
    keep : what a sample keeps of itself, to be multiplied with patches or features: (N, 1, 1, 1) λ for plain
        and manifold; 0 or 1 in (N, S, 1, 1) for spectral and in (N, 1, P, P) for cutmix.
    """

    kind: str
    partner: torch.Tensor
    weight: torch.Tensor
    keep: torch.Tensor


def draw_mix(n: int, n_bands: int, patch_size: int, options: MixOptions, generator: torch.Generator) -> Mix | None:
    """Draw whether and how a batch of ``n`` patches (N, S, P, P) is mixed; None leaves it as it is."""
    u = float(torch.rand((), generator=generator))
    if u >= options.mixup + options.cutmix:
        return None
    kind = "cutmix"
    if u < options.mixup:
        kind = options.variants[int(torch.randint(len(options.variants), (), generator=generator))]
    share = _beta(options.cutmix_alpha if kind == "cutmix" else options.mixup_alpha, n, generator)
    partner = torch.randperm(n, generator=generator)
    if kind == "cutmix":
        keep = outside_box(share, patch_size, generator)
    elif kind == "spectral":
        keep = (torch.rand((n, n_bands), generator=generator) < share[:, None]).float()[:, :, None, None]
    else:
        keep = share[:, None, None, None]
    return Mix(kind, partner, keep.flatten(1).mean(dim=1), keep)


def mix_patches(patches: torch.Tensor, mix: Mix) -> torch.Tensor:
    """Mix (N, S, P, P) patches; the manifold variant leaves them as they are."""
    return patches if mix.kind == "manifold" else _blend(patches, mix.keep, mix.partner)


def mix_features(features: torch.Tensor, mix: Mix) -> torch.Tensor:
    """Mix (N, F, H, W), between `forward_features` and `forward_head`; only the manifold variant does."""
    return _blend(features, mix.keep, mix.partner) if mix.kind == "manifold" else features


def mix_targets(targets: torch.Tensor, mix: Mix) -> torch.Tensor:
    """Mix labels, given as probabilities (N, K), by the share that each sample kept of itself."""
    return _blend(targets, mix.weight[:, None], mix.partner)


def outside_box(share: torch.Tensor, patch_size: int, generator: torch.Generator) -> torch.Tensor:
    """(N, 1, P, P): 0 in a square of side round(P · sqrt(1 − share)) around any pixel, clipped at the border; else 1.

    Parameters
    ----------
    share : (N,) what would be kept if nothing were clipped, 0…1. patch_size : P.
    """
    side = (patch_size * (1 - share).sqrt()).round().long()[:, None]
    start = torch.randint(patch_size, (len(share), 2), generator=generator) - side // 2
    at = torch.arange(patch_size)
    rows, cols = ((at >= start[:, [i]]) & (at < start[:, [i]] + side) for i in (0, 1))
    return 1 - (rows[:, :, None] & cols[:, None, :]).float()[:, None]


def _blend(own: torch.Tensor, keep: torch.Tensor, partner: torch.Tensor) -> torch.Tensor:
    """keep · own + (1 − keep) · partner's; where keep is 0 or 1 the values stay the same to the bit."""
    keep = keep.to(own.device, own.dtype, non_blocking=True)
    return torch.lerp(own[partner.to(own.device, non_blocking=True)], own, keep)


def _beta(alpha: float, n: int, generator: torch.Generator) -> torch.Tensor:
    """(N,) draws of Beta(α, α). PyTorch's takes no generator, so NumPy's is seeded from ours."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, n)).float()
