"""A generated scene: known materials, mixed, lit and measured by an imagined sensor.

It needs no download, so tests and first steps run on it; what it scores says nothing about a real scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hsilib.checks import check_numbers
from hsilib.data.materials import MAX_CLASSES, endmembers
from hsilib.data.scene import Scene
from hsilib.errors import InputError

FULL_SCALE = 10_000  # digital number of a fully lit pixel of reflectance 1
DARK_LEVEL = 100.0  # what a dead band reads without any signal, in digital numbers
DARK_NOISE = 20.0  # its standard deviation: never zero, since a constant band is no band
WATER_VAPOUR_NM = np.array([940.0, 1130.0, 1400.0, 1900.0, 2490.0])


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

    rows: int
    cols: int
    n_bands: int
    n_classes: int
    seed: int = 0
    wavelength_range_nm: tuple[float, float] = (430.0, 860.0)
    region_size_px: float = 34.0
    border_blur_px: float = 1.0
    imbalance: float = 20.0
    min_labelled_per_class: int = 10
    unlabelled_fraction: float = 0.3
    shading: float = 0.12
    pixel_illumination: float = 0.06
    variability: float = 0.05
    texture: float = 0.16
    read_noise: float = 0.005
    shot_noise: float = 0.012
    n_dead_bands: int = 0

    def __post_init__(self) -> None:
        def check(*names: str, **limits: Any) -> None:
            check_numbers("synthetic scene: ", **limits, **{name: getattr(self, name) for name in names})

        check("rows", "cols", "n_bands", least=1, whole=True)
        check("n_classes", least=2, most=MAX_CLASSES, whole=True)
        check("seed", least=0, whole=True)
        check("min_labelled_per_class", least=5, whole=True)
        check("n_dead_bands", least=0, below=self.n_bands, whole=True)
        check("region_size_px", "imbalance", least=1)
        check("border_blur_px", least=0)
        check("unlabelled_fraction", least=0, below=1)
        check("shading", "pixel_illumination", "variability", "texture", "read_noise", "shot_noise", least=0, most=1)
        ends = tuple(self.wavelength_range_nm)
        if len(ends) != 2 or not 350 <= ends[0] < ends[1] <= 2500:
            raise InputError(
                f"synthetic scene: wavelength_range_nm is {ends}; expected two rising values within 350…2500 nm."
            )
        pixels, needed = self.rows * self.cols, 2 * self.n_classes * self.min_labelled_per_class
        if pixels < needed:
            raise InputError(
                f"synthetic scene: rows × cols is {self.rows} × {self.cols} = {pixels} pixels; {self.n_classes} "
                f"classes of {self.min_labelled_per_class} labelled pixels or more need {needed}. Make the area larger."
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
    return ((values - values.mean()) / (values.std() or 1.0)).astype(np.float32)


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
