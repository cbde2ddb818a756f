"""Changes of patches during training; pre-training uses other strengths. Source: the method page, "Augmentation".

The description gives strengths without a unit ("spectral noise σ = 0.03"). Our reading: they are meant for
values scaled to 0…1, so each is in units of its band's range, largest minus smallest value over the scene.
Patches stay raw values: brightness b and band gain g turn a value x into low + b·g·(x − low), where low
is the band's smallest value, and noise adds σ · range · n with n ~ N(0, 1). Other readings:

- "with probability 0.8" is one draw a patch for the whole chain; smoothing has its own probability within.
- rotations by 90° and flips together are the eight ways to lay a square down, each as likely.
- 10 % of the bands are exactly round(0.1 · S) bands a patch, each with a gain of its own.
- noise is independent from value to value; brightness is one factor a patch.

What is drawn is apart from how it is applied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from hsilib.checks import check_numbers
from hsilib.data.orientation import N_ORIENTATIONS, turned
from hsilib.data.patches import reflected_indices
from hsilib.errors import InputError

CPU = torch.device("cpu")
SMOOTHING_RADIUS = 2  # pixels; at the largest σ, 0.7, what lies beyond weighs 0.04 %


@dataclass(frozen=True)
class AugmentOptions:
    """Strengths of the changes; the defaults are the description's, but ``probability`` turns all off.

    Attributes
    ----------
    probability : share of the patches that are changed at all (0.8 in the description).
    orientation : lay a patch down in one of its eight orientations.
    noise : standard deviation of Gaussian noise, in units of each band's range.
    dropped_bands : share of the bands that are scaled down.
    dropped_gain : smallest and largest factor of such a band.
    brightness : smallest and largest factor of a patch.
    smoothing_probability : share of the changed patches that are smoothed.
    smoothing_sigma : smallest and largest standard deviation of the Gaussian, in pixels.
    """

    probability: float = 0.0
    orientation: bool = True
    noise: float = 0.03
    dropped_bands: float = 0.1
    dropped_gain: tuple[float, float] = (0.5, 0.9)
    brightness: tuple[float, float] = (0.85, 1.15)
    smoothing_probability: float = 0.15
    smoothing_sigma: tuple[float, float] = (0.3, 0.7)

    def __post_init__(self) -> None:
        check_numbers("fit.augment.", least=0, most=1, probability=self.probability, dropped_bands=self.dropped_bands)
        check_numbers("fit.augment.", least=0, most=1, smoothing_probability=self.smoothing_probability)
        check_numbers("fit.augment.", least=0, noise=self.noise)
        for name in ("dropped_gain", "brightness", "smoothing_sigma"):
            value = getattr(self, name)
            numbers = len(value) == 2 and all(isinstance(edge, int | float) for edge in value)
            if not numbers or not 0 < value[0] <= value[1] < math.inf:
                raise InputError(f"fit.augment.{name} is {value}; expected two numbers above 0, the smaller one first.")


@dataclass(frozen=True, eq=False)
class Augmentation:
    """What was drawn for N patches, on the CPU but for the noise. The identity is 0, 1, 0 and 0.

    Attributes
    ----------
    orientations : (N,) 0…7, see `orient`.
    gain : (N, S) brightness · band gain.
    noise : (N, S, P, P) in units of each band's range, on the patches' device, or None where there is none.
    smoothing : (N,) standard deviation of the Gaussian in pixels; 0 leaves a patch as it is.
    """

    orientations: torch.Tensor
    gain: torch.Tensor
    noise: torch.Tensor | None
    smoothing: torch.Tensor


def draw_augmentation(
    n: int,
    n_bands: int,
    patch_size: int,
    options: AugmentOptions,
    generator: torch.Generator,
    device: torch.device = CPU,
) -> Augmentation:
    """Draw the changes of ``n`` patches (N, S, P, P); a patch that is not chosen gets the identity of everything.

    How many numbers are drawn depends on the options, the shape and the device, never on what was drawn before.
    The noise, which is as large as the patches, is drawn on ``device``, theirs: on a GPU by a generator that is
    seeded from ``generator``.
    """
    chosen = torch.rand(n, generator=generator) < options.probability
    orientations = torch.zeros(n, dtype=torch.int64)
    if options.orientation:
        orientations = draw_orientations(n, generator) * chosen
    gain = _uniform((n, 1), options.brightness, generator) * _band_gains(n, n_bands, options, generator)
    gain = torch.where(chosen[:, None], gain, 1.0)
    smoothed = chosen & (torch.rand(n, generator=generator) < options.smoothing_probability)
    smoothing = _uniform((n,), options.smoothing_sigma, generator) * smoothed
    noise = None
    if options.noise > 0:
        # In the memory layout of the patches, (N, P, P, S), as `augment` then adds without strides.
        shape, own = (n, patch_size, patch_size, n_bands), _generator_on(device, generator)
        noise = torch.randn(shape, generator=own, device=device).permute(0, 3, 1, 2)
        noise *= (options.noise * chosen)[:, None, None, None].to(device, non_blocking=True)
    return Augmentation(orientations, gain, noise, smoothing)


def augment(
    patches: torch.Tensor, augmentation: Augmentation, band_low: torch.Tensor, band_range: torch.Tensor
) -> torch.Tensor:
    """Turn, scale, smooth, then add noise. Zero strength gives back the same values to the bit.

    Parameters
    ----------
    patches : (N, S, P, P) raw values; they are not changed.
    augmentation : drawn for this shape; it is moved to the patches' device.
    band_low, band_range : (S,) of the scene, see `PatchSampler`.

    Returns
    -------
    (N, S, P, P) raw values of the same type.
    """

    def here(values: torch.Tensor) -> torch.Tensor:
        return values.to(patches.device, patches.dtype, non_blocking=True)

    if augmentation.orientations.any():
        patches = orient(patches, augmentation.orientations)
    # low + g · (x − low) in one pass, written so that g = 1 gives exactly 0 + x.
    gain = here(augmentation.gain)
    patches = torch.addcmul((band_low * (1 - gain))[:, :, None, None], patches, gain[:, :, None, None])
    smoothed = augmentation.smoothing.nonzero().flatten()
    if len(smoothed):
        blur = here(smoothing_matrices(augmentation.smoothing[smoothed], patches.shape[-1]))
        smoothed = smoothed.to(patches.device, non_blocking=True)
        # Rows, then columns, each a product with whole spectra, which lie together.
        spectra = patches.permute(0, 2, 3, 1)
        spectra[smoothed] = blur[:, None] @ (blur @ spectra[smoothed].flatten(2)).view(-1, *spectra.shape[1:])
    if augmentation.noise is not None:
        patches.addcmul_(here(augmentation.noise), band_range[:, None, None])
    return patches


def draw_orientations(n: int, generator: torch.Generator) -> torch.Tensor:
    """(N,) numbers 0…7, one of the eight ways to lay a square down: quarter turns, then a mirror."""
    return torch.randint(N_ORIENTATIONS, (n,), generator=generator)


def orient(patches: torch.Tensor, orientations: torch.Tensor) -> torch.Tensor:
    """Lay each patch (N, C, P, P) down as `turned` does.

    Orientation 0 is the identity. Seen from above, a field has no preferred direction, so a turned
    patch is as good a sample as the original.
    """
    n, n_channels, size, _ = patches.shape
    places = torch.arange(size**2).view(size, size)
    source = torch.stack([turned(places, k) for k in range(N_ORIENTATIONS)]).flatten(1)[orientations.cpu()]
    source = (source + size**2 * torch.arange(n)[:, None]).flatten().to(patches.device, non_blocking=True)
    # One gather of whole spectra, which lie together in the patches that `PatchSampler` cuts.
    gathered = patches.permute(0, 2, 3, 1).reshape(n * size**2, n_channels).index_select(0, source)
    return gathered.view(n, size, size, n_channels).permute(0, 3, 1, 2)


def smoothing_matrices(sigma: torch.Tensor, size: int) -> torch.Tensor:
    """(N, P, P) matrices that smooth an axis of P = ``size`` pixels by Gaussians of ``sigma`` (N,) > 0 pixels.

    The kernel ends at two pixels, its weights sum to 1, and the axis is mirrored at its ends without
    repeating them. So G · x · Gᵀ smooths a patch x in both directions and keeps a constant one.
    """
    offsets = torch.arange(-SMOOTHING_RADIUS, SMOOTHING_RADIUS + 1)
    weights = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    weights /= weights.sum(dim=1, keepdim=True)
    mirrored = torch.from_numpy(reflected_indices(size, SMOOTHING_RADIUS))
    matrices = torch.zeros(len(sigma), size, size)
    for k in range(len(offsets)):
        matrices[:, torch.arange(size), mirrored[k : k + size]] += weights[:, k, None]
    return matrices


def _band_gains(n: int, n_bands: int, options: AugmentOptions, generator: torch.Generator) -> torch.Tensor:
    """(N, S) gains: round(share · S) bands of each patch are scaled down, the others keep 1."""
    count = round(options.dropped_bands * n_bands)
    bands = torch.rand((n, n_bands), generator=generator).argsort(dim=1)[:, :count]
    return torch.ones(n, n_bands).scatter(1, bands, _uniform((n, count), options.dropped_gain, generator))


def _generator_on(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """``generator`` itself, or one on the GPU that is seeded from it: one seed still gives one result."""
    if device.type == "cpu":
        return generator
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=generator)))


def _uniform(shape: tuple[int, ...], interval: tuple[float, float], generator: torch.Generator) -> torch.Tensor:
    low, high = interval
    return low + (high - low) * torch.rand(shape, generator=generator)
