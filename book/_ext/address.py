"""The repository's address stands in pyproject.toml. This puts it wherever it must be shown.

As a Sphinx extension it fills the theme's options; as a script (`make address`) it rewrites the files that
cannot look it up: notebooks opened in Colab, a page, README.md, CITATION.cff.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def address() -> str:
    """For example ``https://github.com/owner/repository``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Repository"])


def pages_address(url: str) -> str:
    """Where the published book of a repository is."""
    owner, repository = url.split("/")[-2:]
    return f"https://{owner}.github.io/{repository}/"


def slug(url: str) -> str:
    """``owner/repository``, the part that every form of the address shares: Colab's links begin otherwise."""
    return "/".join(url.split("/")[-2:])


def written_address() -> str:
    """The address that was written into the files last; CITATION.cff tells."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    return re.search(r'^repository-code: "(.+)"$', text, flags=re.MULTILINE)[1]  # type: ignore[index]


def files_that_show_it() -> list[Path]:
    """Every file that repeats the address."""
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    return [ROOT / "README.md", ROOT / "CITATION.cff", ROOT / "book" / "large_images.md", *notebooks]


def main() -> None:
    """Write the address of pyproject.toml wherever the one written last stands."""
    old, new = written_address(), address()
    for path in files_that_show_it():
        text = path.read_text(encoding="utf-8")
        changed = text.replace(pages_address(old), pages_address(new)).replace(slug(old), slug(new))
        if changed != text:
            path.write_text(changed, encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: {slug(old)} is now {slug(new)}")


def fill_theme(app: Any, config: Any) -> None:
    """Give the theme the address, so that _config.yml need not repeat it."""
    config.html_theme_options["repository_url"] = address()
    config.html_baseurl = config.ogp_site_url = pages_address(address())


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry point."""
    app.connect("config-inited", fill_theme, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    main()
