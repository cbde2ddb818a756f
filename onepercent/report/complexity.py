"""Parameters, size and arithmetic of a network, counted, and what the description states of the model.

FLOPs are counted by PyTorch's own counter: 2 per multiply–add of every convolution and matrix product.
It leaves out biases, batch norm, activations, box means and whatever else is pointwise.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from hsilib.data.patches import PatchSampler
from hsilib.model.network import Network
from hsilib.pretraining.mr_ssl import MaskedPretext
from hsilib.pretraining.rm_ssl import RotationPretext
from hsilib.registry import create_model

# As printed in the description.
STATED_PARAMETERS = {
    "spectral encoder": 260_000,
    "spatial encoder": 180_000,
    "attention": 40_000,
    "fusion": 120_000,
    "classifier": 100_000,
    "SSL heads": 90_000,
}
STATED_TOTAL = 1_200_000
STATED_SIZE_MB = 4.8

# A tile of a scene: outputs on a side. Its margin of one patch radius is computed too, and paid for.
TILE = 64

# The description's parts in terms of ours; the first prefix of a parameter's name that fits decides.
COMPONENTS = {
    "dual-branch": {
        "spectral.attention": "attention",
        "spatial.attention": "attention",
        "spectral": "spectral encoder",
        "spatial": "spatial encoder",
        "fusion": "fusion",
        "hidden": "classifier",
        "head": "classifier",
    }
}


@dataclass(frozen=True)
class Complexity:
    """What a network costs.

    Attributes
    ----------
    parameters : learned numbers of each component.
    size_mb : weights and buffers at 4 bytes a floating-point number, in units of 10⁶ bytes.
    flops_per_patch : for one patch and its one output.
    flops_per_pixel_dense : per output of a dense pass over a tile of ``TILE`` × ``TILE`` outputs and its margin.
    flops_per_pixel_limit : the same for a scene so large that its margin no longer counts.
    """

    parameters: dict[str, int]
    size_mb: float
    flops_per_patch: int
    flops_per_pixel_dense: float
    flops_per_pixel_limit: float

    @property
    def n_parameters(self) -> int:
        """All components together."""
        return sum(self.parameters.values())


def audit(n_bands: int, n_classes: int, network: str = "dual-branch", **options: Any) -> Complexity:
    """Count a network. It is built without memory for its weights, so nothing is computed or drawn at random.

    Parameters
    ----------
    n_bands, n_classes : S and K.
    network : a name of ``hsilib.registry.NETWORKS``. Its components are its top-level parts; those
        of the dual-branch model are the description's, so both attentions count as one.
    options : the network's own arguments.

    Raises
    ------
    InputError : an unknown network, an option that it refuses.
    """
    with torch.device("meta"):
        model = create_model(network, n_bands, n_classes, **options).eval()
    parameters: Counter[str] = Counter()
    for path, parameter in model.named_parameters():
        parameters[component_of(path, COMPONENTS.get(network, {}))] += parameter.numel()
    # A pass over t × t outputs costs a·t² + b·t + c, and its second difference is 2a.
    one, two, three = (flops(model, side) for side in (1, 2, 3))
    return Complexity(
        parameters=dict(parameters),
        size_mb=sum(value.nbytes for value in model.state_dict().values()) / 1e6,
        flops_per_patch=one,
        flops_per_pixel_dense=flops(model, TILE) / TILE**2,
        flops_per_pixel_limit=(three - 2 * two + one) / 2,
    )


def component_of(path: str, components: dict[str, str]) -> str:
    """The component of the parameter ``path``: by the first fitting prefix, else its top-level part."""
    return next((name for prefix, name in components.items() if path.startswith(prefix)), path.partition(".")[0])


@torch.no_grad()
def flops(model: Network, side: int) -> int:
    """FLOPs of one dense pass that gives ``side`` × ``side`` outputs; ``side = 1`` is a patch."""
    window = side + model.patch_size - 1
    with FlopCounterMode(display=False) as counter:
        model.forward_map(torch.zeros(1, model.n_bands, window, window, device=model.band_mean.device))
    return counter.get_total_flops()


def ssl_head_parameters(n_bands: int) -> int:
    """The heads of RM-SSL and MR-SSL together, as the pretext tasks build them for S = ``n_bands``."""
    with torch.device("meta"):
        model = create_model("dual-branch", n_bands, n_classes=2)
        sampler = PatchSampler(np.zeros((1, 1, n_bands)), model.patch_size, torch.device("meta"))
        heads = [pretext(model, sampler).head for pretext in (RotationPretext, MaskedPretext)]
    return sum(parameter.numel() for head in heads for parameter in head.parameters())


def conv1d_kernel(n_parameters: int, n_bands: int, width: int = 160) -> float:
    """The kernel k at which Conv1d(S → width) and Conv1d(width → width), each with BatchNorm, have so many parameters.

    k · width · (S + width) + 4 · width = ``n_parameters``, solved for k; a real layer needs a whole number.
    """
    return (n_parameters - 4 * width) / (width * (n_bands + width))


def conv2d_kernel(n_parameters: int, n_bands: int, width: int = 96) -> float:
    """The side k at which Conv2d(S → width / 2) and Conv2d(width / 2 → width), each with BatchNorm, have as many.

    k² · (width / 2) · (S + width) + 3 · width = ``n_parameters``, solved for k.
    """
    return math.sqrt((n_parameters - 3 * width) / (width / 2 * (n_bands + width)))


def attention_reduction(n_parameters: int, widths: tuple[int, ...] = (160, 96)) -> float:
    """The reduction r at which the bottlenecks C → C / r → C of all ``widths`` together have so many parameters.

    The sum over C of (2 · C² + C) / r + C is ``n_parameters``, solved for r.
    """
    return sum(2 * c**2 + c for c in widths) / (n_parameters - sum(widths))
