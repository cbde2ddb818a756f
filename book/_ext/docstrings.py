"""Our docstrings put a parameter's description on its own line, ``name : what it is``; types stand in the signature.

Napoleon reads what follows the colon as a type. This puts the description where napoleon expects it.
"""

from __future__ import annotations

import re
from typing import Any

SECTIONS = ("Parameters", "Attributes", "Raises")


def rewrite(lines: list[str]) -> list[str]:
    """``name : text`` under one of `SECTIONS` becomes ``name`` and an indented ``text``; what is returned, a field."""
    rewritten: list[str] = []
    returned: list[str] = []
    section = ""
    for i, line in enumerate(lines):
        if i + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[i + 1]):
            section = line
        match = re.fullmatch(r"([\w*][\w*, ]*?) : (.*)", line)
        if section == "Returns":
            if line != "Returns" and not re.fullmatch(r"-{3,}", line):
                returned.append(f"    {line}" if line else "")
        elif match and section in SECTIONS:
            rewritten += [match[1], f"    {match[2]}"]
        else:
            rewritten.append(line)
    # At the end, where no section that napoleon reads would swallow it.
    return [*rewritten, "", ":returns:", *returned, ""] if returned else rewritten


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Autodoc's hook: change the docstring in place."""
    lines[:] = rewrite(lines)


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry point; runs before napoleon."""
    app.connect("autodoc-process-docstring", process, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
