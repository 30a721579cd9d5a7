"""Images of a lab: the name that a pod asks for, and what its containers have beyond this machine's own files."""

from __future__ import annotations

import sys
from typing import Any

from skyrig.catalog import facts

TORCH = str(facts.of("kubernetes", "images")["accelerated"])
"""The image that nodes with NVIDIA's accelerators have where nobody names another one: Python with torch."""


def torch() -> dict[str, Any]:
    """What TORCH has here: the environment that runs the tests, which is seen and cannot be changed, first on PATH. It
    lies where it lies on this machine, as its programs name it by its path, and so does the Python that it is of."""
    places = {sys.prefix, sys.base_prefix}
    path = f"{sys.prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"folders": {place: place for place in places if place not in ("/usr", "/usr/local")}, "env": {"PATH": path}}
