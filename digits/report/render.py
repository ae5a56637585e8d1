"""The page, from its templates."""

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

# The templates, the style sheet and the scripts.
PAGE = Path(__file__).with_name("page")


def render(content: dict[str, Any], template: str = "index.html.jinja") -> str:
    """Return a page as HTML; the same content gives the same text.

    Args:
        content: The variables of the template.
        template: Its name in page/.
    """
    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["source"] = _source
    environment.filters["log10"] = math.log10
    environment.filters["sentence"] = lambda text: text[:1].upper() + text[1:]
    environment.filters["extract"] = lambda key, values: values[key]
    return environment.get_template(template).render(content)


def _source(name: str) -> str:
    """Return the text of a script or the style sheet, which is not a template."""
    return (PAGE / name).read_text("utf-8")
