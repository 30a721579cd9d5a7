"""Capacity of the local cloud: how many nodes each of its places has room for, if anybody has said so, and taking room
for a node that is made or started.

The limits lie in one file, which is replaced as a whole. A node takes room while its processes live, and from before
they are started: what takes it says so in the node's folder under a lock, so that two that come at once do not both get
the last of it. Where nothing is limited none of that is done.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from skyrig.cluster import sites
from skyrig.fleet.local import processes
from skyrig.fleet.local.layout import LocalNodeError, NodeFolder

MARKETS = ("all", "spot", "on-demand")
"""What a limit counts: all nodes of a place, or those of one market."""

CODES = ("LocalZoneFull", "LocalRegionFull", "LocalCloudFull")
"""Codes of a refusal: what is full is the zone, its region, or all of the local cloud (skyrig.catalog.refusals)."""


class NoRoom(LocalNodeError):
    """A place has no room for one node more."""


class Limit(NamedTuple):
    """So many nodes of a market, one of MARKETS, are the most in a place; `until` then, unix time, None: for good."""

    place: str
    market: str
    most: int
    until: float | None = None

    def holds(self, now: float) -> bool:
        """Whether its time is not over."""
        return self.until is None or now < self.until

    def counts(self, node: Taken) -> bool:
        """Whether a node takes of it."""
        return self.place in sites.around(node.zone) and self.market in ("all", node.market)


class Taken(NamedTuple):
    """Room that a node takes."""

    zone: str
    spot: bool

    @property
    def market(self) -> str:
        """The node's, one of MARKETS."""
        return "spot" if self.spot else "on-demand"


def limits(root: Path, now: float | None = None) -> list[Limit]:
    """The limits that hold below the folder of all local nodes."""
    now = time.time() if now is None else now
    return [limit for limit in _read(root)[1] if limit.holds(now)]


def changed(root: Path, now: float | None = None) -> float:
    """When the last change of the limits was, a time that was over included; 0 where there never was one."""
    now = time.time() if now is None else now
    at, known = _read(root)
    return max([at, *(limit.until for limit in known if limit.until is not None and limit.until <= now)])


def set_limit(root: Path, place: str, markets: Mapping[str, int | None], until: float | None = None) -> None:
    """Limit a place, and forget what was said before of it and of the places in it; None lifts a limit. Of a market
    that is not named nothing changes, but all of them where "all" is."""
    with _locked(root):
        now = time.time()
        kept = [limit for limit in limits(root, now) if not _replaced(limit, place, markets)]
        made = [Limit(place, market, most, until) for market, most in markets.items() if most is not None]
        document = {"changed": now, "limits": [limit._asdict() for limit in (*kept, *made)]}
        fresh = _file(root).with_suffix(".new")
        fresh.write_text(json.dumps(document))
        fresh.replace(_file(root))


def taken(root: Path, but: Path | None = None) -> list[Taken]:
    """The room that nodes of all stacks take, less the one in the folder `but`."""
    folders = [folder for stack in root.glob("[!.]*") for folder in stack.glob("*") if folder != but]
    found = [_of_node(NodeFolder(folder)) for folder in folders]
    return [each for each in found if each is not None]


def take(folder: NodeFolder, zone: str, *, spot: bool) -> None:
    """Take room for the node in `folder`, for as long as this process lives and the node after it. NoRoom, with a code
    of CODES, where there is none."""
    root = folder.path.parent.parent
    if not _file(root).exists():
        return
    wanted = Taken(zone or sites.HOME, spot)
    with _locked(root):
        there = taken(root, folder.path)
        for limit in limits(root):
            count = sum(limit.counts(each) for each in there)
            if limit.counts(wanted) and count >= limit.most:
                raise NoRoom(_refusal(limit, count, wanted.zone))
        who = {"zone": zone, "spot": spot, "pid": os.getpid(), "started": processes.start_time(os.getpid())}
        folder.room.write_text(json.dumps(who))


def _refusal(limit: Limit, count: int, zone: str) -> str:
    code = CODES[sites.around(zone).index(limit.place)]
    what = "node" if limit.market == "all" else f"{limit.market} node"
    return f"{code}: {limit.place} has room for {limit.most} {what}{'' if limit.most == 1 else 's'}, {count} are there"


def _of_node(folder: NodeFolder) -> Taken | None:
    """The room that a node takes: while it lives, or is being made or started by a process that does."""
    state = folder.read_state() or {}
    if state and folder.power() == "up":
        request = state["request"]
        return Taken(request.get("zone") or sites.HOME, bool(request.get("spot")))
    try:
        said: dict[str, Any] = json.loads(folder.room.read_text())
    except (OSError, ValueError):  # it has taken none, or was killed while it did
        return None
    if not said["started"] or processes.start_time(said["pid"]) != said["started"]:
        return None
    return Taken(said["zone"] or sites.HOME, bool(said["spot"]))


def _replaced(limit: Limit, place: str, markets: Mapping[str, int | None]) -> bool:
    inside = limit.place == place or limit.place.startswith(f"{place}/")
    return inside and ("all" in markets or limit.market in markets)


def _read(root: Path) -> tuple[float, list[Limit]]:
    try:
        said = json.loads(_file(root).read_text())
    except FileNotFoundError:
        return 0.0, []
    return float(said["changed"]), [Limit(**each) for each in said["limits"]]


def _file(root: Path) -> Path:
    return root / ".capacity.json"


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One at a time counts and takes; it takes milliseconds."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(root / ".capacity.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
