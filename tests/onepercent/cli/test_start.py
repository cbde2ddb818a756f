"""How the command line starts, each time in a fresh process: what it loads, and what torch's threads are told."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def printed(code: str, **environment: str) -> str:
    """What a fresh Python prints, without the variable that is set here."""
    kept = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=kept | environment).stdout


@pytest.mark.parametrize(
    "command", [[], ["run"], ["recipes"], ["scenes"], ["predict"], ["sweep"], ["bench"], ["claims"]]
)
def test_help_loads_neither_torch_nor_numpy(command: list[str]) -> None:
    code = f"""
import sys
from onepercent.cli import main
try:
    main({[*command, "--help"]})
except SystemExit:
    print(sorted({{"torch", "numpy", "hsilib", "sklearn"}} & set(sys.modules)))
"""
    assert printed(code).splitlines()[-1] == "[]"


SPINNING = """
import os
import sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"))

sys.meta_path.insert(0, Watch())
from onepercent.cli import main
main(["recipes"])
"""


def test_threads_spin_briefly_and_know_so_before_torch_is_loaded() -> None:
    assert printed(SPINNING).splitlines()[0] == "30000"
    assert printed(SPINNING, GOMP_SPINCOUNT="7").splitlines()[0] == "7"
