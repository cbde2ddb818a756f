"""``hsilib bench dense``: a whole scene in one pass against patch by patch, with the same weights.

Beside it what 8 and 16 views cost, in units of one view, and how near the dense pass is to the machine's limit.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hsilib.data.patches import PatchSampler
from hsilib.data.standardize import Standardizer
from hsilib.data.synthetic import SyntheticOptions, generate_scene
from hsilib.inference.dense import predict_logits, predict_logits_patchwise
from hsilib.inference.tta import View, predict_proba, predict_view
from hsilib.model.network import Network
from hsilib.registry import create_model
from onepercent.bench.apart import run_apart
from onepercent.bench.comparison import Comparison, Report, compare, timed

N_CLASSES = 9
WARM_UP = 40  # pixels on a side of the corner that both sides predict first
USUAL_BATCH = 256  # a common batch size, though on a CPU not the fastest one
SQUARE = 2048  # rows and columns of the matrices whose product is taken for the machine's limit
SIDES: dict[str, Callable[[Network, NDArray[np.generic]], torch.Tensor]] = {
    "patch by patch": predict_logits_patchwise,
    "dense": predict_logits,
}


def bench_dense(device: torch.device, rows: int = 610, cols: int = 340, bands: int = 103, repeats: int = 3) -> Report:
    """Logits of a generated scene of Pavia University's size, both ways; then its views."""
    model, cube = example(device, rows, cols, bands)
    logits: dict[str, torch.Tensor] = {}

    def predict(side: str) -> None:
        logits[side] = SIDES[side](model, cube)

    for function in SIDES.values():
        function(model, cube[:WARM_UP, :WARM_UP])
    size = f"{rows} × {cols} × {bands}"
    baseline, ours = ((side, partial(predict, side)) for side in SIDES)
    # Both are warm already, and one scene patch by patch takes minutes.
    headline = compare(f"logits of {size}", baseline, ours, repeats, warm_up=False)
    usual = compare(
        f"logits of {size}, larger batches",
        (f"{USUAL_BATCH} patches at once", lambda: predict_logits_patchwise(model, cube, USUAL_BATCH)),
        ours,
        repeats=1,
        warm_up=False,
    )
    views = [_compare_views(n, size, model, cube, repeats) for n in (8, 16)]
    sizes = {"rows": rows, "cols": cols, "bands": bands}
    memory = {side: run_apart(predict_noise, device, {"side": side, **sizes}).added_mb for side in SIDES}
    facts = {
        "largest_logit_difference": float((logits["dense"] - logits["patch by patch"]).abs().max()),
        "standard_deviation_of_logits": float(logits["dense"].std(dim=(0, 1)).mean()),
        "added_memory_mb": memory,
        **_limits(model, cube, headline, device),
    }
    return Report("dense", [headline, usual, *views], facts)


def example(device: torch.device, rows: int, cols: int, bands: int) -> tuple[Network, NDArray[np.generic]]:
    """The dual-branch model with weights, batch norm and scaling as far from their start as after a training.

    Returns
    -------
    The model in evaluation mode and a generated cube (rows, cols, bands).
    """
    scene = generate_scene(SyntheticOptions(rows=rows, cols=cols, n_bands=bands, n_classes=N_CLASSES, seed=0))
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_model("dual-branch", bands, N_CLASSES)
    model.set_standardizer(Standardizer.fit(scene.cube))
    pixels = torch.randint(rows * cols, (8, 32), generator=generator)
    sampler = PatchSampler(scene.cube, model.patch_size, torch.device("cpu"))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 2, generator=generator)
                module.bias.uniform_(-0.5, 0.5, generator=generator)
            elif isinstance(module, nn.Conv2d):
                module.weight.mul_(2)
        for batch in pixels:
            model.train()(sampler(batch))  # moves the batch norm's statistics towards the scene's
    return model.eval().to(device), scene.cube


def predict_noise(device: torch.device, side: str, rows: int, cols: int, bands: int) -> None:
    """One side, for its peak memory; the values are noise, which changes no memory."""
    cube = np.random.default_rng(0).standard_normal((rows, cols, bands), dtype=np.float32)
    SIDES[side](create_model("dual-branch", bands, N_CLASSES).to(device), cube)


def gflop_of(function: Callable[[], object]) -> float:
    """Billions of operations in convolutions and matrix products, 2 a multiply–add, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops() / 1e9


def matrix_product_gflops(device: torch.device, size: int = SQUARE, repeats: int = 7) -> float:
    """Billions of operations a second in a product of two large float32 matrices: the fastest of some."""
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    product = torch.empty_like(a)
    seconds = [timed(lambda: torch.mm(a, b, out=product)) for _ in range(1 + repeats)]
    return 2 * size**3 / min(seconds[1:]) / 1e9


def _compare_views(n: int, size: str, model: Network, cube: NDArray[np.generic], repeats: int) -> Comparison:
    """``n`` views against ``n`` times the scene as it is."""

    def one_by_one() -> None:
        for _ in range(n):
            predict_view(model, cube, View(0, 0.0), torch.Generator())

    def together() -> None:
        predict_proba(model, cube, n, torch.Generator().manual_seed(0))

    return compare(f"{n} views of {size}", (f"{n} × one view", one_by_one), (f"{n} views", together), repeats)


@torch.inference_mode()
def _limits(model: Network, cube: NDArray[np.generic], headline: Comparison, device: torch.device) -> dict[str, Any]:
    """Arithmetic of both sides, and what share of the speed of a large matrix product each reached."""
    corner = PatchSampler(cube[:WARM_UP, :WARM_UP], model.patch_size, device)
    patch = corner(torch.zeros(1, dtype=torch.int64, device=device))
    gflop = {
        "patch by patch": gflop_of(lambda: model(patch)) * cube.shape[0] * cube.shape[1],
        "dense": gflop_of(lambda: SIDES["dense"](model, cube)),
    }
    seconds = {
        "patch by patch": statistics.median(headline.baseline_s),
        "dense": statistics.median(headline.ours_s),
    }
    limit = matrix_product_gflops(device)
    return {
        "gflop": gflop,
        "matrix_product_gflops": limit,
        "least_s_at_that_speed": {side: value / limit for side, value in gflop.items()},
        "share_of_that_speed": {side: value / seconds[side] / limit for side, value in gflop.items()},
    }
