"""hsilib: classifying hyperspectral scenes from very few labels, measured honestly.

The library behind the book "One percent". The main path::

    from dataclasses import replace
    import hsilib

    config = replace(hsilib.recipe("quick"), scene="indian-pines", split="percent:0.01", seed=0)
    record, class_map = hsilib.run(config)
"""

import os

# Set before torch starts its threads, which spin while they wait for each other. As long as they spin by default, two
# trainings on four cores starve each other: 1.9 s a step of `quick` instead of 0.036 s. With this, 0.37 s, and on an
# idle machine as fast as before.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")
# Less fragmentation on small GPUs. The newer name PYTORCH_ALLOC_CONF is ignored by torch 2.9; this one works in all.
os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")

from hsilib.config import Config, with_overrides
from hsilib.data.load import fetch, load_scene, scene_names
from hsilib.data.readers import read_array
from hsilib.data.scene import Scene, renumber_labels
from hsilib.data.splits import Split, make_split
from hsilib.errors import InputError
from hsilib.experiment import run
from hsilib.inference.scene import predict_logits
from hsilib.models.checkpoint import load_model, save_model
from hsilib.models.registry import create_model
from hsilib.recipes import RECIPES, recipe
from hsilib.reporting.records import Record, read_record, read_records

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
