"""``python -m onepercent.cli`` is the same as ``hsilib``."""

import sys

from onepercent.cli import main

if __name__ == "__main__":
    sys.exit(main())
