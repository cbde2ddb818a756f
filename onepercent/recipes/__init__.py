"""Recipes of all that the dual-branch model is measured against; importing this registers them and what they need."""

from hsilib.recipes import RECIPES, Recipe, recipe, register_recipes
from onepercent import control_scenes as control_scenes
from onepercent import peers as peers
from onepercent.recipes import classical, convolutional, pretraining, probe, sequence, whole_image

for group in (pretraining, probe, classical, convolutional, sequence, whole_image):
    register_recipes(*group.RECIPES)

__all__ = ["RECIPES", "Recipe", "recipe"]
