"""A Kaggle entry in the launch menu of notebooks, and no launch menu on pages that are none."""

from __future__ import annotations

from typing import Any


def adjust_launch_buttons(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Runs after the theme has made its buttons."""
    if doctree is None:
        return
    is_launch_menu = [group.get("label") == "launch-buttons" for group in context.get("header_buttons", [])]
    if not str(app.env.doc2path(pagename)).endswith(".ipynb"):
        context["header_buttons"] = [
            group for group, launch in zip(context.get("header_buttons", []), is_launch_menu, strict=True) if not launch
        ]
        return
    options = app.config.html_theme_options
    source = f"{options['repository_url']}/blob/{options['repository_branch']}/{pagename}.ipynb"
    for group, launch in zip(context["header_buttons"], is_launch_menu, strict=True):
        if launch:
            group["buttons"].append(
                {
                    "type": "link",
                    "text": "Kaggle",
                    "tooltip": "Launch on Kaggle",
                    "icon": "fa-brands fa-kaggle",
                    "url": f"https://kaggle.com/kernels/welcome?src={source}",
                }
            )


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry point."""
    app.connect("html-page-context", adjust_launch_buttons, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
