"""One round of attempts: each place in turn, all nodes or none, and what a place has refused is removed before the next
one is tried."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

from attrs import define, evolve, field, frozen

from skyrig import renting
from skyrig.catalog import costs, refusals
from skyrig.catalog.refusals import Refusal
from skyrig.clouds import cloud as clouds
from skyrig.clouds.cloud import NotUsable
from skyrig.cluster import sites
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, EngineError, NoCapacity, SkyrigError
from skyrig.failover import attempts as table
from skyrig.failover import journal as journals
from skyrig.failover import memory, order, place
from skyrig.failover.attempts import FAILED, REFUSED, REMOVED, UP, Attempt, NoneLeft
from skyrig.failover.journal import Journal
from skyrig.failover.memory import Memory, Refused
from skyrig.failover.order import Turn
from skyrig.failover.place import Place
from skyrig.progress import tell_table
from skyrig.stack.progress import Changes

Notify = Callable[[str], None]
"""Takes one line for the reader."""


_SEARCH_S = 3600.0
"""For how long attempts of a run that was cut off are shown beside those of the next one."""


_PATIENCE = 2
"""Regions of a cloud that are asked for their zones before it is given up: one may be closed to the account alone."""


@frozen
class Doing:
    """What is done with a shape: `allow` raises BadInput where it must not be made, `make` brings it up, `remove` takes
    away all that the stack has."""

    allow: Callable[[Shape], None]
    make: Callable[[Shape], Changes]
    remove: Callable[[], object]


def try_all(
    stack: str, shapes: Sequence[Shape], before: Shape, doing: Doing, notify: Notify, *, began: float | None = None
) -> Changes:
    """Try shapes in their order until one is up, each in all zones of its region unless it names one. `before` is what
    the stack's config said until now. What was refused lately is passed over, unless that is everything; with `began`,
    the time when this round of several began, capacity that was missing before counts for nothing. NoneLeft where all
    refused: then nothing is left. Any error that is no refusal ends it, and what was made stays to be looked at."""
    known = memory.read()
    left = journals.read(stack)
    journal = Journal(before, attempts=() if left is None else _lately(left))
    round_ = _Round(stack, shapes, doing, notify, journal, known if began is None else known.since(began))
    try:
        changes = round_.run()
        if changes is None and not round_.attempts and round_.remembered:
            notify(f"{stack}: all of that was refused lately: trying it all the same")
            round_ = _Round(stack, shapes, doing, notify, journal, Memory())
            changes = round_.run()
    finally:
        round_.show()
    if changes is None:
        raise round_.error()
    return changes


def _lately(left: Journal) -> tuple[Attempt, ...]:
    """Attempts of a run before this one that belong to the same search."""
    return tuple(each for each in left.refused if time.time() - each.began < _SEARCH_S)


@define
class _Round:
    """One way through all places."""

    stack: str
    shapes: Sequence[Shape]
    doing: Doing
    notify: Notify
    journal: Journal
    known: Memory
    attempts: list[Attempt] = field(factory=list)
    passed: list[Turn] = field(factory=list)
    remembered: bool = False
    _untold: list[Turn] = field(factory=list)
    _wrong: list[SkyrigError] = field(factory=list)
    _accounts: dict[str, str] = field(factory=dict)
    _silent: dict[str, tuple[str, ...]] = field(factory=dict)
    _ssh_from: tuple[str, ...] = ()
    _last: tuple[Shape, Refusal] | None = None

    def run(self) -> Changes | None:
        """The changes of the attempt that came up; None where none did."""
        last: Turn | None = None
        full: list[bool] = []
        for turn in order.turns([place.of_shape(each) for each in self.shapes], self._zones, self._reason):
            if last is not None and turn.number != last.number:
                self._note_region(last, full)
                full = []
            last = turn
            changes = self._take(turn)
            if changes is not None:
                return changes
            full.append(bool(turn.place.zone) and self._is_full(turn.place))
        if last is not None:
            self._note_region(last, full)
        self._tell_passed()
        return None

    def show(self) -> None:
        """The table, where there was more than one attempt, or none came up; also of a run before that was cut off."""
        all_ = self.journal.attempts
        if len(all_) > 1 or (all_ and all_[-1].refusal is not None):
            tell_table(self.notify, table.HEADS, table.rows(all_))

    def error(self) -> SkyrigError:
        """Why none came up."""
        if self._last is not None and len(self.attempts) == 1 and not self.passed:
            shape, refusal = self._last
            said = renting.no_room(shape, refusal)
            return NoneLeft(said.message, hint=said.hint, may_pass=refusal.kind != "permission")
        if self.attempts:
            return table.none_left(self.attempts, self.passed)
        if self._wrong:
            return self._wrong[0]
        return NoCapacity(f"no cloud has that: {table.told((each.place, each.passed) for each in self.passed)}")

    def _take(self, turn: Turn) -> Changes | None:
        """Try a place, unless something is against that; the changes where it came up."""
        shape = turn.passed or self._settled(turn)
        if isinstance(shape, str):
            self.passed.append(evolve(turn, passed=shape))
            self._untold.append(self.passed[-1])
            return None
        self._tell_passed()
        if self.attempts and not journals.is_mine(self.stack):
            raise BadInput(f"{self.stack} was taken down meanwhile: no more offers are tried")
        return self._attempt(shape)

    def _settled(self, turn: Turn) -> Shape | str:
        """The shape of a place, with all that must be known; or why it must not be made."""
        shape = self.shapes[turn.number]
        ssh_from = shape.machine.ssh_from or self._ssh_from
        machine = evolve(shape.machine, zone=turn.place.zone, ssh_from=ssh_from)
        try:
            found = renting.settled(evolve(shape, machine=machine))
            self.doing.allow(found)
        except (BadInput, NotUsable) as error:
            self._wrong.append(error)
            return error.message
        self._ssh_from = found.machine.ssh_from
        self._accounts[found.cloud] = found.machine.account
        return found

    def _attempt(self, shape: Shape) -> Changes | None:
        """Make a shape as a whole, or remove what was made of it."""
        hourly, where = costs.of_shape(shape), place.of_shape(shape)
        attempt = Attempt(where, len(shape.nodes), hourly, time.time())
        self.journal = self.journal.began(attempt)
        journals.write(self.stack, self.journal)
        again = f" (attempt {len(self.attempts) + 1})" if self.attempts else ""
        self.notify(f"cluster {self.stack}: {shape}, {costs.said(hourly)}{again}")
        try:
            changes = self.doing.make(shape)
        except SkyrigError as error:
            said = (error.message, *error.said) if isinstance(error, EngineError) else ()
            refusal = refusals.find(shape.cloud, *said)
            if refusal is None or refusal.kind == "throttling":
                self._ended(evolve(attempt, outcome=FAILED))
                journals.clear(self.stack)
                raise
            self._last = shape, refusal
            self._remove(attempt, refusal, shape.machine.account)
            return None
        self._ended(evolve(attempt, outcome=UP))
        journals.clear(self.stack)
        return changes

    def _remove(self, attempt: Attempt, refusal: Refusal, account: str) -> None:
        """Remember a refusal, and remove what was made all the same."""
        attempt = evolve(attempt, outcome=REFUSED, refusal=refusal)
        self._became(attempt)
        self._learn(Refused(refusal, attempt.place, account, time.time()))
        self.notify(f"{attempt.place}: {refusal}: removing what was made")
        self.doing.remove()
        self._ended(evolve(attempt, outcome=REMOVED))

    def _became(self, attempt: Attempt) -> None:
        self.journal = self.journal.became(attempt)
        if journals.is_mine(self.stack):
            journals.write(self.stack, self.journal)

    def _ended(self, attempt: Attempt) -> None:
        attempt = evolve(attempt, took=time.time() - attempt.began)
        self._became(attempt)
        self.attempts.append(attempt)

    def _zones(self, wanted: Place) -> Sequence[str] | str:
        """Zones that a cloud has a type in; or why it cannot be asked, which is remembered where it is a refusal. A
        cloud of which nothing is had but errors is not asked again for each of its regions."""
        if wanted.cloud == sites.CLOUD:
            return sites.ZONES[wanted.region]
        told = self._silent.get(wanted.cloud, ())
        if len(told) >= _PATIENCE and all(told):
            return told[-1]
        try:
            if wanted.cloud not in self._accounts:
                self._accounts[wanted.cloud] = self._account(wanted)
            asked = clouds.of(wanted.cloud, self._accounts[wanted.cloud])
            found = tuple(asked.zones(wanted.region, wanted.instance_type))
        except (BadInput, NotUsable) as error:
            self._wrong.append(error)
            self._silent[wanted.cloud] = (*told, error.message)
            refusal = refusals.find(wanted.cloud, error.message)
            if refusal is not None and refusal.kind == "permission":
                self._learn(Refused(refusal, wanted, self._accounts.get(wanted.cloud, ""), time.time()))
            return error.message
        self._silent[wanted.cloud] = (*told, "")
        return found

    def _learn(self, found: Refused) -> None:
        memory.add(found)
        self.known = Memory((*self.known.refused, found))

    def _account(self, wanted: Place) -> str:
        if wanted.cloud == sites.CLOUD:
            return ""
        given = next((each.machine.account for each in self.shapes if each.cloud == wanted.cloud), "")
        return given or renting.payer(wanted.cloud, wanted.region)

    def _reason(self, wanted: Place) -> str:
        """Why a place is not worth a try. Who pays is asked only where something is remembered of somebody."""
        reason = self.known.reason(wanted, self._accounts.get(wanted.cloud, ""))
        if reason and wanted.cloud not in self._accounts:
            with contextlib.suppress(BadInput, NotUsable):  # what is wrong is told when its turn to be made comes
                self._accounts[wanted.cloud] = self._account(wanted)
                reason = self.known.reason(wanted, self._accounts[wanted.cloud])
        self.remembered = self.remembered or bool(reason)
        return reason

    def _is_full(self, wanted: Place) -> bool:
        """Whether a zone has no capacity, by what is known."""
        account, now = self._accounts.get(wanted.cloud, ""), time.time()
        newest = (each for each in reversed(self.known.refused) if each.holds(wanted, account, now))
        found = next(newest, None)
        return found is not None and found.refusal.kind == "capacity"

    def _note_region(self, last: Turn, full: Sequence[bool]) -> None:
        """A region whose zones are all full is full: whoever ranks offers knows regions only."""
        if not full or not all(full) or self.shapes[last.number].machine.zone:
            return
        now, region = time.time(), place.whole(last.place)
        zones = [each for each in self.known.refused if each.refusal.kind == "capacity"]
        own = [each for each in zones if place.whole(each.place) == region and each.refusal.where == "zone"]
        if own:
            oldest = min(own, key=lambda each: each.at)
            refusal = evolve(oldest.refusal, where="region")
            memory.add(Refused(refusal, region, oldest.account, min(oldest.at, now)))

    def _tell_passed(self) -> None:
        """Say which places were passed over since the last attempt, and why."""
        if self._untold:
            self.notify(f"passed over: {table.told((each.place, each.passed) for each in self._untold)}")
        self._untold = []
