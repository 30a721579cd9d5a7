"""The contract of a cloud whose clusters can be adopted: what is asked of it when a stack's state is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import field, frozen

from skyrig.clouds.cloud import TaggedStack
from skyrig.cluster import clouds
from skyrig.cluster.shape import Shape
from skyrig.errors import NotYet

_ROOM = "skyrig.clouds"


@frozen
class HostKey:
    """The key pair by which a node proves that it is the one: OpenSSH text."""

    public: str
    private: str = field(repr=False)


@frozen
class Survey:
    """A cluster as its machines tell it: what was wanted of it, the host keys by node id as the cloud keeps them (those
    that could be read), the public keys that may log in, and what is to be told about all that. `secrets` are
    properties of the engine's resource of a node that no preview shows, by node id."""

    shape: Shape
    host_keys: Mapping[str, HostKey] = field(factory=dict)
    secrets: Mapping[str, Mapping[str, str]] = field(factory=dict, repr=False)
    client_keys: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Adopter(Protocol):
    """One cloud. Every call may raise NotUsable."""

    def survey(self, seen: TaggedStack) -> Survey:
        """What a cluster is, by its machines alone. BadInput where there is none."""

    def identify(self, kind: str, inputs: Mapping[str, Any], seen: TaggedStack) -> str | None:
        """The engine's id of the thing of type token `kind` that was made from `inputs`, also of what only ties things
        together; None where there is none, or where it is made again without any harm."""

    def admit(self, seen: TaggedStack, node_ids: Sequence[str], user: str, public_key: str) -> None:
        """Let a public key log in on nodes for long enough to put it where it stays. SkyrigError where the cloud has no
        way to do that."""


def of(name: str) -> Adopter:
    """The cloud called `name`; NotYet where its clusters cannot be adopted."""
    if not clouds.has(_ROOM, name, "adopter"):
        told = f"clusters on {name} cannot be adopted yet: without their state they can only be found and taken away"
        raise NotYet(told, hint="`down --by-tag -c NAME` does that")
    adopter: Adopter = getattr(clouds.module(_ROOM, name, "adopter"), f"{clouds.title(name)}Adopter")()
    return adopter
