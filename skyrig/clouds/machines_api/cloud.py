"""What every cloud that rents machines by a small API answers in the same way (skyrig.clouds.cloud)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from attrs import frozen

from skyrig.catalog import sources
from skyrig.clouds.cloud import Leftover, SeenMachine, Tagged, TaggedStack, by_owner
from skyrig.clouds.machines_api import making, names
from skyrig.clouds.machines_api.machine import NODE, OWNER, STACK, Rental, Rents, connect
from skyrig.errors import SkyrigError

MACHINE, KEY = "machine", "SSH key"


@frozen
class RentingCloud:
    """A cloud, by its `name`. `owner` is the account that a stack belongs to, "" the one that the key here opens."""

    name: ClassVar[str] = ""

    owner: str = ""

    def machines(self, stack: str, region: str) -> Sequence[SeenMachine]:
        """The machines under a stack's tag that are there, up or stopped."""
        return [_seen(each) for each in _of_stack(self._rents(), stack)]

    def leftovers(self, stack: str, region: str) -> Sequence[Leftover]:
        """All that is there of a stack: machines, and keys by the beginning of their names."""
        rents = self._rents()
        machines = [self._left(each) for each in _of_stack(rents, stack)]
        keys = [each for each in rents.known_keys() if each.name.startswith(names.stem(stack))]
        return [*machines, *(Leftover(KEY, each.id) for each in keys)]

    def tagged(self, region: str | None) -> Tagged:
        """All that Skyrig has made in the account. Keys go with the stack whose names begin like theirs; one whose
        machines are all gone is seen by `leftovers` of its stack alone."""
        rents, account = self._rents(), self.account(region or "")
        keys = [each for each in rents.known_keys() if each.name.startswith("skyrig-")]
        there = [each for each in rents.machines() if each.tags.get(STACK) and each.is_there]
        places = sorted({(each.tags[STACK], each.region) for each in there if region in (None, each.region)})
        found = []
        for stack, where in places:
            here = [self._left(each) for each in there if (each.tags[STACK], each.region) == (stack, where)]
            own = [Leftover(KEY, each.id) for each in keys if each.name.startswith(names.stem(stack))]
            found += by_owner(TaggedStack(stack, self.name, where, account, left=(*here, *own)))
        return Tagged(tuple(found), account=account)

    def remove(self, stack: str, region: str, left: Sequence[Leftover]) -> None:
        """Remove what is left, machines first: all are told to go before any is waited for."""
        rents = self._rents()
        wanted = [each.id for each in left if each.kind == MACHINE]
        for step in (rents.end, lambda id_: making.ended(rents, id_)):
            for id_ in wanted:
                _tried(step, id_)
        for each in left:
            if each.kind == KEY:
                _tried(rents.forget_key, each.id)

    def find(self, kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
        """The id of the machine or key that was to be made from `inputs`, by its name; what else a stack has of this
        cloud is in its state alone."""
        title, wanted = kind.rpartition(":")[2], str(inputs.get("name", ""))
        if title.endswith("Key"):
            return next((each.id for each in self._rents().known_keys() if each.name == wanted), None)
        if not wanted:
            return None
        there = (each for each in self._rents().machines() if each.name == wanted and each.is_there)
        return next((each.id for each in there), None)

    def account(self, region: str) -> str:
        """The account; each cloud has its own way."""
        raise NotImplementedError

    def _rents(self) -> Rents:
        return connect(self.name, self.owner)

    def _left(self, each: Rental) -> Leftover:
        price = (
            each.hourly if each.hourly is not None else sources.hourly(self.name, each.region, each.kind, spot=False)
        )
        cost = 0.0 if each.state == "stopped" else price
        return Leftover(MACHINE, each.id, cost, each.tags.get(OWNER, ""), each.since)


def _of_stack(rents: Rents, stack: str) -> Iterator[Rental]:
    return (each for each in rents.machines() if each.tags.get(STACK) == stack and each.is_there)


def _seen(each: Rental) -> SeenMachine:
    off = each.state in ("stopped", "stopping")
    return SeenMachine(each.tags.get(NODE, ""), each.id, "stopped" if off else "up", each.public, each.private)


def _tried(step: Any, id_: str) -> None:
    try:
        step(id_)
    except SkyrigError:
        return  # what stays is found again, and named
