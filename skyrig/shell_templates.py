"""Templates of shell scripts: values of the user enter them through one filter, `quote`."""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path

import jinja2


def rendered(folder: Path, template: str, **values: object) -> str:
    """The file `template` of `folder` with these values; one that is missing is an error."""
    return _environment(folder).get_template(template).render(**values)


@cache
def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # shell, not HTML: `quote` is the one way in
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["quote"] = shlex.quote
    return environment
