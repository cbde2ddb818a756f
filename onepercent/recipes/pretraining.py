"""Recipes of the dual-branch model with a peer's pre-training."""

from __future__ import annotations

from dataclasses import replace

from hsilib.pretraining.pretrain import PretrainOptions
from hsilib.recipes import PAPER, POOLING, Recipe

RECIPES = (
    Recipe(
        "cmtssl",
        replace(PAPER, pretrain=PretrainOptions(cmtssl=True), fit=replace(PAPER.fit, choose="last")),
        "the recipe `paper` with CMTSSL in place of both pre-training stages",
        "8 min for 1 % of Indian Pines",
        dagger=POOLING,
    ),
)
