"""``hsilib bench dense``: a whole scene in one pass against patch by patch, with the same weights.

Contents: `bench_dense`.
"""

from __future__ import annotations

import torch

from hsilib.bench.comparison import Report, compare
from hsilib.data.standardize import Standardizer
from hsilib.data.synthetic import SyntheticOptions, generate_scene
from hsilib.inference.scene import predict_logits, predict_logits_patchwise
from hsilib.models.registry import create_model


def bench_dense(device: torch.device, rows: int = 610, cols: int = 340, bands: int = 103, repeats: int = 3) -> Report:
    """Logits of a generated scene of Pavia University's size, both ways."""
    scene = generate_scene(SyntheticOptions(rows=rows, cols=cols, n_bands=bands, n_classes=9, seed=0))
    torch.manual_seed(0)
    model = create_model("dual-branch", bands, scene.n_classes).to(device)
    model.set_standardizer(Standardizer.fit(scene.cube))
    comparison = compare(
        f"logits of {rows} × {cols} × {bands}",
        ("patch by patch", lambda: predict_logits_patchwise(model, scene.cube)),
        ("dense", lambda: predict_logits(model, scene.cube)),
        repeats,
    )
    return Report("dense", [comparison])
