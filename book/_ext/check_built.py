"""What Sphinx builds without a warning and no reader should see. `make build` runs this on the built pages at its end.

`python book/_ext/check_built.py _build/html` names each fault and exits with 1 if there is one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ADDRESS = r'"((?:https?:)?//[^"]+)"'
# What a browser fetches by itself. A link to follow, or the canonical address of a page, it does not.
LOADED = re.compile(
    rf"<(?:img|image|source|script|iframe|embed|video|audio)\b[^>]*?\s(?:src|srcset|poster|(?:xlink:)?href)={ADDRESS}"
    rf'|<link\b(?=[^>]*\srel="(?:stylesheet|preload|[^"]*icon)")[^>]*?\shref={ADDRESS}'
)


def faults(html: str) -> list[str]:
    """What is wrong with a page, a sentence each."""
    found = [f"loads {first or second} from outside" for first, second in LOADED.findall(html)]
    found += [f"shows a table as text: {row.strip()}" for row in re.findall(r"<p\b[^>]*>\s*(\|[^\n<]*)", html)]
    found += [f"shows markup as text: {text}" for text in re.findall(r"&lt;(?:inline|paragraph|literal) [^&]*", html)]
    if "Project name not set" in html:
        found.append("says that the project has no name: set `project` in _config.yml")
    return found


def main() -> None:
    """Check every page of the folder that is the argument."""
    folder = Path(sys.argv[1])
    pages = sorted(folder.rglob("*.html"))
    if not pages:
        sys.exit(f"{folder}: no built page.")
    found = [f"{page}: {fault}" for page in pages for fault in faults(page.read_text(encoding="utf-8"))]
    sys.exit("\n".join(found) or 0)


if __name__ == "__main__":
    main()
