"""What clouds have whose offers are no price list: a user's own machines, the nodes of a Kubernetes cluster.

Each such cloud has a module `stock` with `look()`, which keeps what is there as its refreshed price table
(skyrig/catalog/refreshed.py), at no price, where what was kept is old or its configuration has changed. It never
raises for what does not answer: that is not in the table then.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from skyrig.catalog import sources
from skyrig.cluster import clouds

_ROOM = "skyrig.clouds"


def look(names: Iterable[str]) -> None:
    """Have those of the clouds look that have something to look at, all at once."""
    asked = [name for name in names if clouds.has(_ROOM, name, "stock")]
    if not asked:
        return
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        changed = list(pool.map(_look, asked))
    if any(changed):
        sources.forget()


def _look(name: str) -> bool:
    """Whether the table of a cloud is another one now."""
    module: Any = clouds.module(_ROOM, name, "stock")
    changed: bool = module.look()
    return changed
