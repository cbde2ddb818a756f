"""``hsilib predict``: classify a large image with a saved model."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from onepercent.cli.common import device_option

if TYPE_CHECKING:
    from onepercent.cli.common import Commands


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    predicting = commands.add_parser(
        "predict",
        help="classify an image that need not fit in memory; the map's path is the last line on standard output",
        description="Classify every pixel of an image on disk, tile by tile. After an interruption the same command "
        "goes on from the finished tiles.",
    )
    predicting.add_argument("checkpoint", metavar="CHECKPOINT", help="a file of `hsilib run … --save`")
    predicting.add_argument(
        "input", metavar="INPUT", help="GeoTIFF, ENVI, FILE.nc or FOLDER.zarr; FILE.nc:VARIABLE names one of several"
    )
    predicting.add_argument("output", metavar="OUTPUT", help="the map to write, ….tif; the folder OUTPUT.tiles is used")
    predicting.add_argument(
        "--tile",
        type=int,
        default=512,
        metavar="PIXELS",
        help="side of a tile, rounded up to a multiple of 256; smaller needs less memory (%(default)s)",
    )
    predicting.add_argument(
        "--scheduler", metavar="ADDRESS", help="a dask scheduler such as tcp://host:8786, or local: two processes here"
    )
    device_option(predicting)
    predicting.set_defaults(command=predict_image)


def predict_image(options: argparse.Namespace) -> None:
    """Write the map; its path is the last line on standard output."""
    import onepercent.peers  # noqa: F401  # the model may be of a network of the literature
    from hsilib.rasters.classify import classify_raster

    print(
        classify_raster(
            options.checkpoint, options.input, options.output, options.tile, options.scheduler, options.device
        )
    )
