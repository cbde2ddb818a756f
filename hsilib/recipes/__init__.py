"""Every recipe by its name. A recipe is a plain function without arguments that returns a `Config`.

Its docstring's first line is shown by ``hsilib run --help``, its second says how long it takes.

Contents: `RECIPES`, `recipe`.
"""

from __future__ import annotations

from collections.abc import Callable

from hsilib.config import Config
from hsilib.errors import unknown_name
from hsilib.recipes import classical, convolutional, dual_branch, sequence, whole_image

RECIPES: dict[str, Callable[[], Config]] = {
    function().recipe: function
    for function in (
        dual_branch.paper,
        dual_branch.quick,
        dual_branch.cmtssl,
        dual_branch.probe,
        classical.coordinates_1nn,
        classical.superpixel_vote,
        classical.geodesic_1nn,
        classical.svm,
        classical.svm_emp,
        classical.svm_multiscale,
        classical.random_forest,
        convolutional.cnn_1d,
        convolutional.cnn_2d,
        convolutional.cnn_3d,
        convolutional.hybridsn,
        convolutional.ssrn,
        convolutional.dbda,
        convolutional.a2s2k_resnet,
        sequence.cnn_bilstm,
        sequence.mhssmamba,
        sequence.pyformer,
        sequence.spectralformer,
        sequence.ssftt,
        sequence.wavemamba,
        whole_image.freenet,
        whole_image.cegcn,
        whole_image.ssdgl,
    )
}


def recipe(name: str) -> Config:
    """The config of a named recipe.

    Raises
    ------
    InputError : an unknown name.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]()
