"""Looking at machines: all of some pools at once, each with the way to it, what it said, or why it said nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from skyrig.clouds.ssh import door, kinds, ways
from skyrig.clouds.ssh.inventory import Machine, Pool
from skyrig.clouds.ssh.kinds import Kind
from skyrig.clouds.ssh.ways import Way
from skyrig.errors import SkyrigError

QUICK_S = 3.0
"""How long a machine is tried that is only looked at, in seconds."""


@frozen
class Seen:
    """A machine as it was seen: `way` None where the inventory does not say how it is reached, `said` None where it did
    not answer; `why` says why."""

    machine: Machine
    way: Way | None = None
    said: Mapping[str, Any] | None = None
    why: SkyrigError | None = field(default=None, eq=False)

    @property
    def kind(self) -> Kind | None:
        """What it has; None where it did not answer."""
        return kinds.of(self.machine, self.said) if self.said is not None else None

    @property
    def lease(self) -> Mapping[str, Any] | None:
        """Whose it is; None where it is nobody's, or nobody knows."""
        return self.said["lease"] if self.said is not None else None


def at(pools: Iterable[Pool], *, gates: bool = False, reach_s: float = QUICK_S) -> list[Seen]:
    """The machines of some pools, and with `gates` these too, in the order of the inventory."""
    listed = [(pool, each) for pool in pools for each in (*pool.machines, *(pool.gates if gates else ()))]
    found: dict[int, Seen] = {}
    for number, (pool, machine) in enumerate(listed):
        try:
            found[number] = Seen(machine, ways.to(pool, machine))
        except SkyrigError as error:
            found[number] = Seen(machine, why=error)
    asked = [(number, seen.way) for number, seen in found.items() if seen.way is not None]
    answers = door.asked([(way, {"verb": "look"}) for _, way in asked], reach_s)
    for (number, way), answer in zip(asked, answers, strict=True):
        machine = found[number].machine
        if isinstance(answer, SkyrigError):
            found[number] = Seen(machine, way, why=answer)
        else:
            found[number] = Seen(machine, way, answer)
    return [found[number] for number in sorted(found)]
