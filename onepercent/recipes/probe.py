"""The recipe of the probe: what pre-training alone has learned."""

from __future__ import annotations

from hsilib.recipes import Recipe
from onepercent.peers.probe import ProbeOptions

RECIPES = (
    Recipe(
        "probe",
        ProbeOptions(),
        "what pre-training alone has learned: a linear classifier on frozen features of one encoder",
        "2 min for the spatial encoder of Indian Pines, 1 min for the spectral one",
    ),
)
