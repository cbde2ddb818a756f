"""A generated scene: known materials, mixed, lit and measured by an imagined sensor.

What is inside, in the order light takes it: class regions (`draw_regions`), pure spectra
(`endmembers`), linear mixing at borders, illumination and within-class variability, sensor noise
(`generate_scene`), and at last the labels an annotator would give (`draw_labels`). It needs no
download, so tests and first steps run on it; what it scores says nothing about a real scene.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hsilib.data.materials import MAX_CLASSES, endmembers
from hsilib.data.scene import Scene
from hsilib.errors import InputError

FULL_SCALE = 10_000  # digital number of a fully lit pixel of reflectance 1
DARK_LEVEL = 100.0  # what a dead band reads without any signal, in digital numbers
DARK_NOISE = 20.0  # its standard deviation: never zero, since a constant band is no band
VALID_RANGE_NM = (350.0, 2500.0)
WATER_VAPOUR_NM = np.array([940.0, 1130.0, 1400.0, 1900.0, 2490.0])


def _within(least: float, most: float, default: Any = MISSING) -> Any:
    """Return a dataclass field with the range that its value is checked against."""
    return field(default=default, metadata={"range": (least, most)})


@dataclass(frozen=True)
class SyntheticOptions:
    """What to generate.

    Attributes
    ----------
    rows, cols, n_bands, n_classes : the size; 2…105 classes.
    seed : 0 or more. Map, light and noise are drawn apart: a change of noise keeps map and light.
    wavelength_range_nm : first and last band centre, within 350…2500.
    region_size_px : about how wide a region is.
    border_blur_px : standard deviation of the sensor's point spread, which mixes neighbours.
    imbalance : pixels of the largest class over those of the smallest; geometric in between.
    min_labelled_per_class : each class keeps at least so many labelled pixels, whatever the rest says.
    unlabelled_fraction : share of each class without a label, 0 up to (not including) 1; borders go first.
    shading, pixel_illumination : standard deviation of the log brightness, smooth and pixel by pixel.
    variability, texture : the same for the bend of the spectrum within a class, smooth and pixel by pixel.
    read_noise : standard deviation of the noise without light, in reflectance; differs between bands.
    shot_noise : the same at reflectance 1; grows with the square root of the signal.
    n_dead_bands : bands of noise only, around water vapour or else at the long end of the range.

    Raises
    ------
    InputError : a value outside its range, or an area too small for its classes.
    """

    rows: int = _within(1, 100_000)
    cols: int = _within(1, 100_000)
    n_bands: int = _within(1, 10_000)
    n_classes: int = _within(2, MAX_CLASSES)
    seed: int = _within(0, 2**64, 0)
    wavelength_range_nm: tuple[float, float] = (430.0, 860.0)
    region_size_px: float = _within(1, 10_000, 34.0)
    border_blur_px: float = _within(0, 100, 1.0)
    imbalance: float = _within(1, 10_000, 20.0)
    min_labelled_per_class: int = _within(5, 10_000, 10)
    unlabelled_fraction: float = _within(0, 0.99, 0.3)
    shading: float = _within(0, 1, 0.12)
    pixel_illumination: float = _within(0, 1, 0.06)
    variability: float = _within(0, 1, 0.05)
    texture: float = _within(0, 1, 0.16)
    read_noise: float = _within(0, 1, 0.005)
    shot_noise: float = _within(0, 1, 0.012)
    n_dead_bands: int = _within(0, 9_999, 0)

    def __post_init__(self) -> None:
        for option in (option for option in fields(self) if option.metadata):
            value, (least, most) = getattr(self, option.name), option.metadata["range"]
            kind, wanted = (Integral, "whole number") if option.type == "int" else (Real, "number")
            if not isinstance(value, kind) or not least <= value <= most:  # NaN fails the comparison
                raise InputError(
                    f"synthetic scene: {option.name} is {value!r}; give a {wanted} from {least} to {most}."
                )
        ends, (low, high) = tuple(self.wavelength_range_nm), VALID_RANGE_NM
        if len(ends) != 2 or not low <= ends[0] < ends[1] <= high:
            raise InputError(
                f"synthetic scene: wavelength_range_nm is {ends}; give the centres of the first and the last band, "
                f"rising, within {low:g}…{high:g} nm."
            )
        if self.n_dead_bands >= self.n_bands:
            raise InputError(
                f"synthetic scene: n_dead_bands is {self.n_dead_bands} of {self.n_bands} bands; leave at least one "
                f"band with a signal: give fewer dead bands or more bands."
            )
        pixels, needed = self.rows * self.cols, 2 * self.n_classes * self.min_labelled_per_class
        if pixels < needed:
            raise InputError(
                f"synthetic scene: rows × cols is {self.rows} × {self.cols} = {pixels} pixels; "
                f"{self.n_classes} classes with at least {self.min_labelled_per_class} labelled pixels need {needed}. "
                f"Make the area larger, or lower n_classes or min_labelled_per_class."
            )

    @property
    def wavelengths_nm(self) -> NDArray[np.float64]:
        """(S,) band centres, equally spaced."""
        return np.linspace(*self.wavelength_range_nm, self.n_bands)

    @property
    def dead_bands(self) -> NDArray[np.int64]:
        """Rising indices of the bands that hold noise only."""
        first, last = self.wavelength_range_nm
        centres = WATER_VAPOUR_NM[(first < WATER_VAPOUR_NM) & (last > WATER_VAPOUR_NM)]
        if centres.size == 0:
            centres = np.array([last])
        distance = np.abs(self.wavelengths_nm[:, None] - centres).min(axis=1)
        return np.sort(np.argsort(distance, kind="stable")[: self.n_dead_bands])


PRESETS: dict[str, SyntheticOptions] = {
    "pavia-like": SyntheticOptions(610, 340, 103, 9, unlabelled_fraction=0.79, n_dead_bands=2),
    "tiny": SyntheticOptions(24, 20, 12, 4, region_size_px=8, border_blur_px=0.6, imbalance=3, n_dead_bands=1),
}


def smooth_field(generator: np.random.Generator, shape: tuple[int, int], sigma_px: float) -> NDArray[np.float32]:
    """(H, W) random field of mean 0 and standard deviation 1 that changes over about ``sigma_px``."""
    values = generator.standard_normal(shape)
    # beyond half the longer side nothing but a constant would be left to scale up
    values = ndimage.gaussian_filter(values, [min(sigma_px, max(shape) / 2)] * 2, mode="reflect")
    spread = values.std()
    scaled: NDArray[np.float32] = ((values - values.mean()) / (spread if spread > 0 else 1.0)).astype(np.float32)
    return scaled


def draw_regions(options: SyntheticOptions, generator: np.random.Generator) -> NDArray[np.int64]:
    """(H, W) class index 0…K-1 of every pixel: where one of K smooth fields is the highest."""
    n_classes, shape = options.n_classes, (options.rows, options.cols)
    shares = options.imbalance ** -(generator.permutation(n_classes) / (n_classes - 1))
    shares /= shares.sum()
    heights = np.stack([smooth_field(generator, shape, options.region_size_px / 2) for _ in range(n_classes)])
    # raise or lower each field until its class covers its share; a sample of the pixels is enough
    sample = heights.reshape(n_classes, -1)[:, :: max(1, heights[0].size // 50_000)]
    offsets = np.zeros((n_classes, 1), dtype=np.float32)
    for step in np.linspace(0.5, 0.05, 60):
        covered = np.bincount((sample + offsets).argmax(axis=0), minlength=n_classes) / sample.shape[1]
        offsets += (step * np.log(shares / np.maximum(covered, 0.2 * shares.min())))[:, None].astype(np.float32)
    regions: NDArray[np.int64] = (heights + offsets[:, :, None]).argmax(axis=0)

    counts = np.bincount(regions.ravel(), minlength=n_classes)
    rows, cols = np.indices(shape)
    for small in np.flatnonzero(counts < options.min_labelled_per_class):
        # a class that found no room grows around its highest point, at the cost of those with pixels to spare
        row, col = np.unravel_index((heights[small] + 10 * (regions == small)).argmax(), shape)
        for pixel in np.argsort(((rows - row) ** 2 + (cols - col) ** 2).ravel(), kind="stable"):
            if counts[small] >= options.min_labelled_per_class:
                break
            previous = regions.flat[pixel]
            if counts[previous] > options.min_labelled_per_class:
                regions.flat[pixel] = small
                counts[previous] -= 1
                counts[small] += 1
    return regions


def draw_labels(
    options: SyntheticOptions, regions: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.uint8]:
    """(H, W) ground truth: the regions, without labels along borders and in blobs (0)."""
    at_border = ndimage.maximum_filter(regions, 3) != ndimage.minimum_filter(regions, 3)
    from_border = ndimage.distance_transform_edt(~at_border)
    certainty = 4 * np.minimum(from_border / (2 * options.border_blur_px + 1), 1)
    certainty += smooth_field(generator, regions.shape, options.region_size_px / 4)
    ground_truth = np.zeros(regions.shape, dtype=np.uint8)
    for label in range(1, options.n_classes + 1):
        pixels = np.flatnonzero(regions == label - 1)
        kept = max(options.min_labelled_per_class, round((1 - options.unlabelled_fraction) * pixels.size))
        best_first = np.argsort(-certainty.flat[pixels], kind="stable")
        ground_truth.flat[pixels[best_first[:kept]]] = label
    return ground_truth


def generate_scene(options: SyntheticOptions, name: str = "synthetic") -> Scene:
    """Generate a scene; the same options give the same bytes.

    Parameters
    ----------
    options : what to generate; `PRESETS` has two to start from.
    name : what the scene is called in records.

    Returns
    -------
    `Scene` with an (H, W, S) uint16 cube of digital numbers (10000 = fully lit reflectance 1), an
    (H, W) uint8 ground truth, and the materials as class names.
    """
    map_generator, light_generator, noise_generator = (
        np.random.default_rng(child) for child in np.random.SeedSequence(options.seed).spawn(3)
    )
    shape = (options.rows, options.cols)
    regions = draw_regions(options, map_generator)
    ground_truth = draw_labels(options, regions, map_generator)
    spectra, class_names = endmembers(options.wavelengths_nm, options.n_classes)

    # sums over classes and modes are loops, not matrix products: their bytes do not depend on a BLAS library
    cube = np.zeros((*shape, options.n_bands), dtype=np.float32)
    for index, spectrum in enumerate(spectra.astype(np.float32)):
        abundance = ndimage.gaussian_filter((regions == index).astype(np.float32), options.border_blur_px)
        cube += abundance[:, :, None] * spectrum

    def varied(smooth: float, grain: float) -> NDArray[np.float32]:
        coarse = smooth_field(light_generator, shape, options.region_size_px)
        return np.float32(smooth) * coarse + np.float32(grain) * light_generator.standard_normal(shape, np.float32)

    log_light = np.repeat(varied(options.shading, options.pixel_illumination)[:, :, None], options.n_bands, axis=2)
    position = np.linspace(0, np.pi, options.n_bands, dtype=np.float32)
    for order in (1, 2, 3, 4):
        bend = varied(options.variability / order, options.texture / order)
        log_light += bend[:, :, None] * np.cos(order * position)
    cube *= np.exp(log_light, out=log_light)

    band_noise = options.read_noise * noise_generator.uniform(0.5, 1.5, options.n_bands).astype(np.float32)
    deviation = np.sqrt(band_noise**2 + np.float32(options.shot_noise**2) * cube)
    noise = noise_generator.standard_normal(cube.shape, np.float32)
    cube += deviation * noise
    cube *= FULL_SCALE
    dead = options.dead_bands
    cube[:, :, dead] = DARK_LEVEL + DARK_NOISE * noise[:, :, dead]
    return Scene(
        name=name,
        cube=np.clip(np.rint(cube), 0, np.iinfo(np.uint16).max).astype(np.uint16),
        ground_truth=ground_truth,
        class_names=class_names,
        wavelengths_nm=options.wavelengths_nm,
        note="generated, not measured: accuracies on it say nothing about a real scene",
    )
