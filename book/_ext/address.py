"""The repository's address stands in pyproject.toml. This puts it wherever it must be shown.

As a Sphinx extension it fills the theme's options; as a script (`make address`) it rewrites the files that
cannot look it up: notebooks opened in Colab, README.md, CITATION.cff.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATTERN = re.compile(r"https://github\.com/[\w.-]+/one-percent(?=[\"'/\s)\\.@]|$)")


def address() -> str:
    """For example ``https://github.com/owner/repository``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Repository"])


def pages_address() -> str:
    """Where the repository's published book is."""
    owner, repository = address().split("/")[-2:]
    return f"https://{owner}.github.io/{repository}/"


def files_that_show_it() -> list[Path]:
    """Every file that repeats the address."""
    return [ROOT / "README.md", ROOT / "CITATION.cff", *sorted((ROOT / "notebooks").glob("*.ipynb"))]


def main() -> None:
    """Rewrite the address where it is not the one of pyproject.toml."""
    for path in files_that_show_it():
        old = path.read_text(encoding="utf-8")
        new = PATTERN.sub(address(), old)
        if new != old:
            path.write_text(new, encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: address written")


def fill_theme(app: Any, config: Any) -> None:
    """Give the theme the address, so that _config.yml need not repeat it."""
    config.html_theme_options["repository_url"] = address()
    config.html_baseurl = config.ogp_site_url = pages_address()


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry point."""
    app.connect("config-inited", fill_theme, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    main()
