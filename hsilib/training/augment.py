"""Changes of patches during training. What is drawn is apart from how it is applied.

Contents: `draw_orientations`, `orient`.
"""

from __future__ import annotations

import torch

N_ORIENTATIONS = 8


def draw_orientations(n: int, generator: torch.Generator) -> torch.Tensor:
    """(N,) numbers 0…7, one of the eight ways to lay a square down: quarter turns, then a mirror."""
    return torch.randint(N_ORIENTATIONS, (n,), generator=generator)


def orient(patches: torch.Tensor, orientations: torch.Tensor) -> torch.Tensor:
    """Turn each patch (N, C, P, P) by 90° · (orientation mod 4), then mirror left and right from 4 on.

    Orientation 0 is the identity. Seen from above, a field has no preferred direction, so a turned
    patch is as good a sample as the original.
    """
    turned = torch.empty_like(patches)
    for orientation in orientations.unique().tolist():
        chosen = (orientations == orientation).to(patches.device)
        some = torch.rot90(patches[chosen], orientation % 4, dims=(2, 3))
        turned[chosen] = some.flip(3) if orientation >= 4 else some
    return turned
