"""Take out of executed notebooks what is no result: papermill's paths and times, progress bars, warnings of packages.

Run by `make notebooks` after papermill.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat


def clean(notebook: Any) -> None:
    """Change ``notebook`` in place."""
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        cell.metadata["tags"] = [tag for tag in cell.metadata.get("tags", []) if not tag.startswith("papermill")]
        if not cell.metadata["tags"]:
            del cell.metadata["tags"]
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(clean_output, cell.outputs) if output is not None]


def clean_output(output: Any) -> Any:
    """The output without progress bars and package warnings; None where nothing is left."""
    if output.output_type != "stream" or output.name != "stderr":
        return output
    kept, package_warning = [], False
    for ended_line in output.text.splitlines(keepends=True):
        line = ended_line.strip("\r\n").rpartition("\r")[2]
        if package_warning and line.startswith("  "):  # the source line that belongs to the warning
            continue
        package_warning = "site-packages" in line
        if not package_warning and "%|" not in line and line.strip():
            kept.append(f"{line}\n")
    output.text = "".join(kept)
    return output if kept else None


def main() -> None:
    """Clean the notebooks that are the arguments."""
    for name in sys.argv[1:]:
        notebook = nbformat.read(name, as_version=4)
        clean(notebook)
        Path(name).write_text(nbformat.writes(notebook, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
