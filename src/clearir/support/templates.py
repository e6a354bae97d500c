"""HTML templates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template


def html_template(package: str, name: str, **filters: Callable[..., Any]) -> Template:
    """A template in which all text is escaped, and a name that is not given is an error.

    Args:
        package: that has it in its folder ``templates``: ``"clearir.report"``.
        name: of the file there.
        filters: by name, beside Jinja's own.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)
