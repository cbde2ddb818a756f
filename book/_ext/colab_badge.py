"""Built pages show our own Colab badge. Notebooks keep Google's, since Colab has no file beside a notebook."""

from __future__ import annotations

from typing import Any

GOOGLES = "https://colab.research.google.com/assets/colab-badge.svg"
OURS = "/book/_static/colab-badge.svg"  # from the root of the sources


def use_ours(app: Any, docname: str, source: list[str]) -> None:
    """Sphinx's hook for the text of a source file, here the JSON of a notebook."""
    source[0] = source[0].replace(GOOGLES, OURS)


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry point."""
    app.connect("source-read", use_ours)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
