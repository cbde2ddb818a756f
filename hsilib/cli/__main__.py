"""``python -m hsilib.cli`` is the same as ``hsilib``."""

import sys

from hsilib.cli import main

if __name__ == "__main__":
    sys.exit(main())
