"""What clouds have whose offers are no price list: a user's own machines, the nodes of a Kubernetes cluster.

Each such cloud has a module `stock` with `look(config)`, which keeps what is there as its refreshed price table
(skyrig/catalog/refreshed.py), at no price, where what was kept is old or its configuration has changed. It never
raises for what does not answer: that is not in the table then.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from skyrig.catalog import sources
from skyrig.cluster import clouds

if TYPE_CHECKING:
    from skyrig.task.config import Config

_ROOM = "skyrig.clouds"


def look(names: Iterable[str], config: Config | None = None) -> None:
    """Have those of the clouds look that have something to look at, all at once, for a task that says `config`."""
    asked = [name for name in names if are_of(name)]
    if not asked:
        return
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        changed = list(pool.map(partial(_look, config=config), asked))
    if any(changed):
        sources.forget()


def are_of(name: str) -> bool:
    """Whether what a cloud has is looked at."""
    return clouds.has(_ROOM, name, "stock")


def homes() -> dict[str, str]:
    """The region that the credentials for a cloud name, by cloud, where they name one: those clouds have a module
    `home` with `region()`."""
    named = {name: clouds.module(_ROOM, name, "home").region() for name in clouds.with_part(_ROOM, "home")}
    return {name: region for name, region in named.items() if region}


def _look(name: str, config: Config | None) -> bool:
    """Whether the table of a cloud is another one now."""
    module: Any = clouds.module(_ROOM, name, "stock")
    changed: bool = module.look(config)
    return changed
