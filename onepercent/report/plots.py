"""Figures: what a scene, a class map, a training and a confusion look like.

Needs matplotlib (the extra ``[book]``). Every function draws into given axes or makes its own figure
and returns it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsilib.data.scene import Scene
from hsilib.palette import class_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Near infrared, red, green shown as red, green, blue: vegetation is red, as on any colour-infrared film.
FALSE_COLOUR_NM = (860.0, 650.0, 550.0)


def false_colour(scene: Scene) -> NDArray[np.float64]:
    """(H, W, 3) in 0…1: near infrared, red and green, each stretched between its 2nd and 98th percentile.

    Where the wavelengths are unknown: bands at 60, 30 and 15 % of the range.
    """
    if scene.wavelengths_nm is None:
        bands = [int(share * (scene.n_bands - 1)) for share in (0.6, 0.3, 0.15)]
    else:
        bands = [int(np.abs(scene.wavelengths_nm - nm).argmin()) for nm in FALSE_COLOUR_NM]
    image = scene.cube[:, :, bands].astype(np.float64)
    low, high = np.percentile(image, (2, 98), axis=(0, 1))
    return np.clip((image - low) / np.where(high > low, high - low, 1), 0, 1)


def show_labels(axes: Axes, labels: NDArray[np.integer], n_classes: int, title: str) -> None:
    """Draw a map of labels 0…K in the class colours."""
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(class_colours(n_classes))
    axes.imshow(labels, cmap=colours, vmin=-0.5, vmax=n_classes + 0.5, interpolation="nearest")
    axes.set_title(title)
    axes.set_axis_off()


def plot_maps(scene: Scene, class_map: NDArray[np.integer], title: str = "class map") -> Figure:
    """Three panels, false colour, ground truth and class map, and the legend of the classes."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    figure, panels = plt.subplots(1, 3, figsize=(9, 4.5), layout="constrained")
    panels[0].imshow(false_colour(scene), interpolation="nearest")
    panels[0].set_title("near infrared, red, green")
    panels[0].set_axis_off()
    show_labels(panels[1], scene.ground_truth, scene.n_classes, "ground truth")
    show_labels(panels[2], class_map, scene.n_classes, title)
    names = ("unlabelled", *scene.class_names)
    patches = [
        Patch(color=colour, label=name) for colour, name in zip(class_colours(scene.n_classes), names, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    return figure


def plot_spectra(scene: Scene) -> Figure:
    """The mean spectrum of every class, with the band from the 10th to the 90th percentile."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    x = np.arange(scene.n_bands) if scene.wavelengths_nm is None else scene.wavelengths_nm
    colours = class_colours(scene.n_classes)
    # Removed bands leave gaps; a line across one would show values that were never measured.
    breaks = np.flatnonzero(np.diff(x) > 3 * np.median(np.diff(x))) + 1
    for label, name in enumerate(scene.class_names, start=1):
        spectra = scene.cube[scene.ground_truth == label].astype(np.float64)
        low, mean, high = np.percentile(spectra, 10, axis=0), spectra.mean(axis=0), np.percentile(spectra, 90, axis=0)
        for i, part in enumerate(np.split(np.arange(scene.n_bands), breaks)):
            axes.fill_between(x[part], low[part], high[part], color=colours[label], alpha=0.08, linewidth=0)
            axes.plot(x[part], mean[part], color=colours[label], label=name if i == 0 else None, linewidth=1.2)
    axes.set_xlabel("band" if scene.wavelengths_nm is None else "wavelength (nm, nominal)")
    axes.set_ylabel("raw value (DN)")
    axes.legend(fontsize="x-small", ncols=2, frameon=False, loc="upper right")
    return figure


def plot_history(history: dict[str, Any]) -> Figure:
    """Training loss and validation accuracy by epoch, and the epoch whose weights were kept."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    epochs = np.arange(1, len(history["train_loss"]) + 1)
    axes.plot(epochs, history["train_loss"], color="#4477AA", label="training loss")
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss", color="#4477AA")
    right = axes.twinx()
    right.plot(epochs[: len(history["val_accuracy"])], history["val_accuracy"], color="#EE6677")
    right.set_ylabel("validation accuracy", color="#EE6677")
    right.set_ylim(0, 1)
    axes.axvline(history["best_epoch"], color="#777777", linestyle=":", label="weights kept")
    axes.legend(frameon=False, loc="center right")
    return figure


def plot_confusion(confusion: list[list[int]], class_names: tuple[str, ...]) -> Figure:
    """The confusion matrix in shares of the true class; rows are the truth."""
    import matplotlib.pyplot as plt
    import seaborn

    counts = np.asarray(confusion, dtype=np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    size = 2.5 + 0.42 * len(class_names)
    figure, axes = plt.subplots(figsize=(size + 1, size), layout="constrained")
    seaborn.heatmap(
        shares,
        annot=np.where(shares >= 0.005, (100 * shares).round().astype(int).astype(str), ""),
        fmt="",
        cmap="cividis",
        vmin=0,
        vmax=1,
        xticklabels=class_names,
        yticklabels=class_names,
        square=True,
        annot_kws={"size": 7},
        cbar_kws={"label": "share of the true class", "shrink": 0.6},
        ax=axes,
    )
    axes.set_xlabel("predicted")
    axes.set_ylabel("true (numbers in %)")
    axes.tick_params(labelsize=7)
    return figure
