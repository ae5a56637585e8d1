"""The page, from its templates."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(folder: Path, content: dict[str, Any]) -> str:
    """Return the page as HTML; the same content gives the same text.

    folder: `digits/report/page`, with the template, the style and the scripts
    """
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("index.html.jinja").render(content)
