"""What is rented: an order, the machine that came of it, and who has both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import field, frozen

from skyrig.cluster import clouds

STACK, OWNER, NODE, HOST = "skyrig-stack", "skyrig-owner", "skyrig-node", "skyrig-host"
"""Tags of a machine: its stack, whose it is, its node, and the mark of its host key."""

THERE = ("starting", "up", "stopping", "stopped", "failed")
"""States of a machine that is there; else it is going, or gone."""


@frozen
class Order:
    """What a machine is made from. `kind` is its type; `told` what it is told at its first boot, with its host key in
    it; `key` the name under which the cloud knows the client's key. "" leaves it to the cloud."""

    name: str
    kind: str
    region: str
    zone: str = ""
    image: str = ""
    disk_gb: int = 0
    key: str = ""
    told: str = field(default="", repr=False)
    tags: Mapping[str, str] = field(factory=dict)


@frozen
class Rental:
    """A machine as its cloud has it: `state` is one of THERE, or gone. The client reaches it at `public`:`port`, other
    nodes at `private` ("": none yet). `boot` changes whenever it was started anew ("": nothing tells), `hourly` is USD
    where the cloud says so; `since` is when it was made, in seconds since 1970; `why` what is wrong with it."""

    id: str
    name: str
    state: str
    kind: str = ""
    region: str = ""
    public: str = ""
    private: str = ""
    port: int = 22
    boot: str = ""
    tags: Mapping[str, str] = field(factory=dict)
    hourly: float | None = None
    since: float | None = None
    why: str = ""

    @property
    def is_there(self) -> bool:
        """Whether it is there, and not about to go."""
        return self.state in THERE

    @property
    def is_reached(self) -> bool:
        """Whether it is up, with addresses."""
        return self.state == "up" and bool(self.public and self.private)


@frozen
class KnownKey:
    """A public key that a cloud keeps: its id there, its name, and itself, one OpenSSH line."""

    id: str
    name: str
    public_key: str = ""


class Rents(Protocol):
    """One account of a cloud that rents machines. Every call may raise NotUsable or ApiError."""

    def machines(self) -> Sequence[Rental]:
        """All machines of the account."""

    def machine(self, id_: str) -> Rental | None:
        """One of them; None where there is none of that id."""

    def rent(self, order: Order) -> str:
        """Make one; its id. Unclear where it may have been made or not."""

    def end(self, id_: str) -> None:
        """Have one go for good; nothing where it is gone."""

    def stop(self, id_: str) -> None:
        """Have one stop."""

    def start(self, id_: str) -> None:
        """Have one that is stopped start."""

    def known_keys(self) -> Sequence[KnownKey]:
        """The public keys that the account keeps."""

    def keep_key(self, name: str, public_key: str) -> str:
        """Have a public key kept; its id."""

    def forget_key(self, id_: str) -> None:
        """Have a key gone; nothing where it is."""


def connect(cloud: str, account: str = "") -> Rents:
    """The account of a cloud that the credentials here open; `account` names one of several. NotUsable where there are
    none."""
    module: Any = clouds.module("skyrig.clouds", cloud, "api")
    found: Rents = module.connect(account)
    return found
