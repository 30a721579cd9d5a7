"""Offers: one type in one region, at a price."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, overload

from skyrig.catalog.instances import InstanceType

if TYPE_CHECKING:
    from skyrig.task.resources import Resources


class Offer(NamedTuple):
    """One type in one region; `hourly` is USD an hour and node, None where it is not known. `zone` is "" where any of
    the region will do. `asked` is the candidate that it is for.

    `as_of` and `source` are those of its price, "" where it is not out of a table. `hours` is how long the task takes
    on it as far as the user says (None: one hour is compared), `egress` what getting the inputs there costs once, in
    USD. `reservation` is the cloud's id of the user's own capacity that it would use, "" for none.
    """

    kind: InstanceType
    region: str
    zone: str
    spot: bool
    hourly: float | None
    asked: Resources
    as_of: str = ""
    source: str = ""
    hours: float | None = None
    egress: float = 0.0
    reservation: str = ""

    @property
    def cloud(self) -> str:
        """The cloud that offers it."""
        return self.kind.cloud

    def total(self, nodes: int) -> float | None:
        """What is compared: USD for so many nodes for `hours`, or for one hour, and the egress; None where the price
        is not known."""
        return None if self.hourly is None else self.hourly * nodes * (self.hours or 1.0) + self.egress

    def __str__(self) -> str:
        spot = " spot" if self.spot else ""
        return f"{self.kind.name}{spot} in {self.cloud}/{self.zone or self.region}"


class Offers(Sequence[Offer]):
    """Offers, best first, each found when it is looked at: of a large table only the first few are."""

    def __init__(self, found: Iterable[Offer]) -> None:
        self._seen: list[Offer] = []
        self._rest = iter(found)
        self._looking = Lock()

    @overload
    def __getitem__(self, place: int) -> Offer: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Offer]: ...

    def __getitem__(self, place: int | slice) -> Offer | Sequence[Offer]:
        last = place.stop if isinstance(place, slice) else place
        self._look(
            None if last is None or last < 0 or (isinstance(place, slice) and (place.start or 0) < 0) else last + 1
        )
        return self._seen[place]

    def __len__(self) -> int:
        self._look(None)
        return len(self._seen)

    def __bool__(self) -> bool:
        self._look(1)
        return bool(self._seen)

    def _look(self, count: int | None) -> None:
        """Find so many, or all."""
        with self._looking:
            more = None if count is None else max(0, count - len(self._seen))
            self._seen.extend(islice(self._rest, more))
