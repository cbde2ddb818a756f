"""hsilib: classifying hyperspectral scenes from very few labels, measured honestly.

The library behind the book "One percent". The main path::

    from dataclasses import replace
    import hsilib

    config = replace(hsilib.recipe("quick"), scene="indian-pines", split="percent:0.01", seed=0)
    record, class_map = hsilib.run(config)
"""

from hsilib.config import Config, with_overrides
from hsilib.data.load import fetch, load_scene, scene_names
from hsilib.data.readers import read_array
from hsilib.data.scene import Scene, renumber_labels
from hsilib.data.splits import Split, make_split
from hsilib.errors import InputError
from hsilib.experiment import run
from hsilib.inference.dense import predict_logits
from hsilib.model_file import load_model, save_model
from hsilib.recipes import RECIPES, recipe
from hsilib.records import Record, read_record, read_records
from hsilib.registry import create_model

__all__ = [
    "RECIPES",
    "Config",
    "InputError",
    "Record",
    "Scene",
    "Split",
    "create_model",
    "fetch",
    "load_model",
    "load_scene",
    "make_split",
    "predict_logits",
    "read_array",
    "read_record",
    "read_records",
    "recipe",
    "renumber_labels",
    "run",
    "save_model",
    "scene_names",
    "with_overrides",
]
