"""Which training pixels the loss of one step over a whole image counts.

==============  ==========================================================================================
``all``         every training pixel at every step
``stratified``  each class in random order, cut into portions; a step takes one portion of every class, until
                all portions had their turn (FPGA's global stochastic stratified sampling). A class with fewer
                portions has them again; FPGA's public code leaves it out then, so that with few labels
                every second step may see the largest class alone
``balanced``    so many pixels of every class drawn anew at every step, all of a class that has fewer (the
                hierarchically balanced sampling of SSDGL as its public code has it)
==============  ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def choose_pixels(name: str, labels: torch.Tensor, per_class: int, step: int, seed: int) -> torch.Tensor:
    """Positions in ``labels``, rising, of the pixels that count at a step. A function of its arguments alone.

    Parameters
    ----------
    name : a key of ``SAMPLINGS``. labels : (N,) classes of the training pixels, on the CPU.
    per_class : pixels of a class in a step. step : from 0. seed : of the training.
    """
    members = [(labels == k).nonzero().flatten() for k in labels.unique()]
    return torch.cat(SAMPLINGS[name](members, per_class, step, seed)).sort().values


def _all(members: list[torch.Tensor], per_class: int, step: int, seed: int) -> list[torch.Tensor]:
    del per_class, step, seed
    return members


def _stratified(members: list[torch.Tensor], per_class: int, step: int, seed: int) -> list[torch.Tensor]:
    portions = max(-(-len(m) // per_class) for m in members)
    round_, turn = divmod(step, portions)
    generator = torch.Generator().manual_seed(seed + round_)
    portion = int(torch.randperm(portions, generator=generator)[turn])
    shuffled = [m[torch.randperm(len(m), generator=generator)] for m in members]
    return [m.split(per_class)[portion % -(-len(m) // per_class)] for m in shuffled]


def _balanced(members: list[torch.Tensor], per_class: int, step: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed + step)
    return [m[torch.randperm(len(m), generator=generator)[:per_class]] for m in members]


# positions of each class, pixels per class, step, seed → positions that count, class by class
SAMPLINGS: dict[str, Callable[[list[torch.Tensor], int, int, int], list[torch.Tensor]]] = {
    "all": _all,
    "stratified": _stratified,
    "balanced": _balanced,
}
