"""The contract of a cloud: what is asked of it beside the engine, and by what name it is had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import evolve, frozen

from skyrig.cluster import clouds
from skyrig.errors import SkyrigError

ROOM = "skyrig.clouds"
"""Where a cloud's modules are found by its name. Where tags hold another word than the stack's name, `names` there has
`tagged_as(stack)`, which makes it."""


class NotUsable(SkyrigError):
    """A cloud cannot be used from here: no SDK, no credentials, no permission."""


@frozen
class SeenMachine:
    """A machine that a cloud has under a stack's tag: the `node_id` that it was made for, its own id, whether it is up
    or stopped, and its addresses ("": none)."""

    node_id: str
    machine: str
    power: str
    public: str = ""
    private: str = ""


@frozen
class Leftover:
    """Something that a cloud still has under a stack's tag. `hourly` is USD an hour that it costs as it is; None where
    that is not known. `owner` is whose it is by its tags ("": they do not say), `since` when it was made, in seconds
    since 1970."""

    kind: str
    id: str
    hourly: float | None = 0.0
    owner: str = ""
    since: float | None = None

    def __str__(self) -> str:
        """In words, with its price."""
        price = "" if self.hourly == 0 else " (price not known)" if self.hourly is None else f" (${self.hourly:.4f}/h)"
        return f"{self.kind} {self.id}{price}"


MACHINES = ("instance", "machine", "TPU slice", "node")
"""Kinds of leftovers that are machines, whatever their cloud calls them."""


@frozen
class TaggedStack:
    """What a cloud has under one stack's tag in one region of one account, of one owner ("": nothing says whose it is).
    `kept` are its buckets, which are never removed."""

    stack: str
    cloud: str
    region: str
    account: str = ""
    owner: str = ""
    left: tuple[Leftover, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Cloud and region in words."""
        return f"{self.cloud}/{self.region}" if self.region else self.cloud

    @property
    def what(self) -> str:
        """How much there is, in words."""
        parts = [_many(self.machines, "machine"), _many(len(self.left) - self.machines, "other thing")]
        return ", ".join(part for part in parts if part) or "nothing"

    @property
    def machines(self) -> int:
        """How many machines there are."""
        return sum(each.kind in MACHINES for each in self.left)

    @property
    def hourly(self) -> float:
        """USD an hour of all of it, as far as prices are known."""
        return sum(each.hourly or 0.0 for each in self.left)

    @property
    def is_priced(self) -> bool:
        """Whether all prices are known."""
        return all(each.hourly is not None for each in self.left)

    @property
    def since(self) -> float | None:
        """When the oldest of it was made, in seconds since 1970; None where nothing says so."""
        return min((each.since for each in self.left if each.since is not None), default=None)


@frozen
class Tagged:
    """All that a cloud has of Skyrig in one account, and what could not be looked at, each with its reason."""

    stacks: tuple[TaggedStack, ...] = ()
    unseen: tuple[str, ...] = ()
    account: str = ""


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}" if count else ""


def by_owner(seen: TaggedStack) -> list[TaggedStack]:
    """What is under one stack's tag, owner by owner: two people may have stacks of one name in one account. What does
    not say whose it is goes with the only owner, else it is nobody's."""
    owners = sorted({each.owner for each in seen.left if each.owner})
    if len(owners) < 2:
        return [evolve(seen, owner=owners[0] if owners else "")]
    apart = [evolve(seen, owner=one, left=tuple(each for each in seen.left if each.owner == one)) for one in owners]
    nobodys = tuple(each for each in seen.left if not each.owner)
    return [*(evolve(each, kept=()) for each in apart), evolve(seen, left=nobodys)] if nobodys or seen.kept else apart


@frozen
class Wanted:
    """What is to be rented: so many nodes of a type, perhaps as spot."""

    instance_type: str
    nodes: int = 1
    spot: bool = False


@frozen
class Finding:
    """One thing that was looked at before anything is made: whether it is well (None: that cannot be known here), and
    what was seen or what to do."""

    what: str
    ok: bool | None
    said: str = ""


class Cloud(Protocol):
    """One cloud. Every call may raise NotUsable, with what to do about it."""

    def missing(self) -> str:
        """What is missing here for using it, in a clause with its mending; "" where nothing is. Looks at files and
        variables only."""

    def check(self, region: str, wanted: Wanted | None) -> Sequence[Finding]:
        """Credentials, rights, quota: all that would stop a cluster, found without making anything. Never raises
        NotUsable: that is a finding."""

    def account(self, region: str) -> str:
        """The account, project or subscription that the credentials here belong to, or that is named beside them; ""
        where they may use several and none is named."""

    def zones(self, region: str, instance_type: str) -> Sequence[str]:
        """Zones of a region that have a type, the one to take first; "" among them is the region without a zone."""

    def machines(self, stack: str, region: str) -> Sequence[SeenMachine]:
        """The machines under a stack's tag that are there, up or stopped."""

    def leftovers(self, stack: str, region: str) -> Sequence[Leftover]:
        """All that is there under a stack's tag, but for what is meant to stay (buckets)."""

    def tagged(self, region: str | None) -> Tagged:
        """All that Skyrig has made in the account, whatever the stack, in one region or in all (None). What does not
        answer is told where all are asked, and is an error where one is."""

    def remove(self, stack: str, region: str, left: Sequence[Leftover]) -> None:
        """Remove what is left, as far as that goes; what stays is found by `leftovers` again."""

    def find(self, kind: str, inputs: Mapping[str, Any], region: str) -> str | None:
        """The engine's id of the thing of type token `kind` that was to be made from `inputs`; None: not there."""


def of(name: str, owner: str = "") -> Cloud:
    """The cloud called `name`; NotUsable where there is nothing to ask it by. `owner` is the account that is asked
    about, for instance a stack's: credentials may reach several. "" is the one that is named beside them."""
    if name not in known():
        raise NotUsable(f"cloud {name} cannot be asked yet")
    cloud: Cloud = getattr(clouds.module(ROOM, name, "cloud"), clouds.title(name))(owner)
    return cloud


def known() -> tuple[str, ...]:
    """Names of the clouds that can be asked."""
    return clouds.with_part(ROOM, "cloud")
