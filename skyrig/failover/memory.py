"""What clouds have refused lately: kept for a while in SKYRIG_HOME, for all stacks, so that nobody runs into the same
wall twice in a row. What the local cloud has refused is believed until somebody changes its capacity."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cattrs
from attrs import field, frozen

from skyrig import places
from skyrig.catalog.offers import Offer
from skyrig.catalog.refusals import Refusal
from skyrig.cluster import sites
from skyrig.failover import place as placed
from skyrig.failover.place import Place
from skyrig.fleet.local import capacity

KEPT_S = {"capacity": 600.0, "quota": 3600.0, "permission": 86400.0}
"""For how many seconds a refusal is believed, by its kind: machines come free at any moment, a quota is raised by
somebody who answers a request, and what an account may use at all is changed by hand."""

_CONVERTER = cattrs.Converter()


@frozen
class Refused:
    """A refusal, the place and the account that got it, and when (seconds since the epoch)."""

    refusal: Refusal
    place: Place
    account: str
    at: float

    def holds(self, place: Place, account: str, now: float) -> bool:
        """Whether it is believed at the time `now`, and is about this place too. "" is any account."""
        if now - self.at > KEPT_S.get(self.refusal.kind, 0.0):
            return False
        same = not account or not self.account or account == self.account
        return same and placed.covers(self.refusal, self.place, place)

    def said(self, now: float) -> str:
        """In words, with its age."""
        return f"{str(self.refusal).replace(' (', f' {_ago(now - self.at)} (', 1)}"


@frozen
class Memory:
    """What was refused, the newest last."""

    refused: Sequence[Refused] = field(default=())

    def reason(self, place: Place, account: str = "", now: float | None = None) -> str:
        """Why a place is not worth a try, by the newest refusal that holds there; "" where it is."""
        now = time.time() if now is None else now
        return next((each.said(now) for each in reversed(self.refused) if each.holds(place, account, now)), "")

    def since(self, began: float) -> Memory:
        """The same without capacity that was missing before a time: it may be there again."""
        return Memory(tuple(each for each in self.refused if each.refusal.kind != "capacity" or each.at >= began))


def read() -> Memory:
    """What is remembered; nothing where the file makes no sense (any more)."""
    try:
        said = json.loads(_file().read_bytes())
        found = tuple(_CONVERTER.structure(each, Refused) for each in said["refused"])
        return Memory(tuple(each for each in found if not _is_changed(each)))
    except (OSError, ValueError, KeyError, TypeError, cattrs.BaseValidationError):
        return Memory()


def add(*found: Refused) -> None:
    """Remember refusals, and forget those that nobody believes any more."""
    with _locked():
        now = time.time()
        kept = [each for each in read().refused if now - each.at <= KEPT_S.get(each.refusal.kind, 0.0)]
        document = {"refused": [_CONVERTER.unstructure(each) for each in (*kept, *found)]}
        replace(_file(), document)


def refusing(memory: Memory | None = None) -> Callable[[Offer], str]:
    """Why an offer is not to be had now, for `Ranking.without`; "" where nothing is known against it."""
    known = memory or read()
    return lambda offer: known.reason(placed.of_offer(offer))


def replace(file: Path, document: dict[str, Any]) -> None:
    """Put JSON into `file`, readable by its owner alone, as a whole or not at all, and onto the disk before this
    returns."""
    places.made(file.parent)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(document, out)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_changed(refused: Refused) -> bool:
    """Whether the local cloud's capacity is another one than it was then: also by a limit whose time is over."""
    return refused.place.cloud == sites.CLOUD and refused.at <= capacity.changed(places.local_nodes("any").parent)


def _file() -> Path:
    return places.home() / "refusals.json"


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """One writer at a time; it takes milliseconds."""
    places.made(places.home())
    descriptor = os.open(places.home() / "refusals.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _ago(seconds: float) -> str:
    """An age in words."""
    if seconds < 90:
        return f"{max(seconds, 0.0):.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 5400 else f"{seconds / 3600:.0f} h ago"
