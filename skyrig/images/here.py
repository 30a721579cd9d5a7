"""Images of the local cloud, by the names that stand in a stack's config: skyrig:NAME/MARK is one version of one."""

from __future__ import annotations

import re
from pathlib import Path

from skyrig import places
from skyrig.errors import BadInput

_VERSION = re.compile(r"skyrig:([a-z0-9-]{1,64})/([0-9a-f]{4,64})")


def name_of(image: str, mark: str) -> str:
    """What a version is called."""
    return f"skyrig:{image}/{mark}"


def folder(version: str) -> Path:
    """Where a version lies; BadInput for what is none of the local cloud's."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise BadInput(f"{version} is no image of the local cloud", hint="image_id: skyrig:NAME; `image.ls` shows them")
    return places.images() / match[1] / match[2]
