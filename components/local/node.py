"""A node of the local cloud as a dynamic resource."""

from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider

from components.keypair import new_key_pair
from components.local.program import run
from skyrig import places

_INPUTS = (
    "stack", "node_id", "group", "version", "level", "alias", "address", "network", "authorized_key", "accelerator",
    "accelerator_count", "cpus",
)  # fmt: skip


class LocalNodeArgs(TypedDict):
    """What a local node is made from. Any change of it needs another node."""

    stack: str
    """Name of the stack."""
    node_id: str
    """Stable id of the node."""
    group: str
    """Group of the node in the stack's desired state."""
    version: int
    """Version of that group's definition."""
    level: str
    """Level of isolation: namespaces or plain."""
    alias: str
    """Name of the node inside its cluster."""
    address: str
    """Address inside the cluster (level namespaces)."""
    network: pulumi.Input[str]
    """Incarnation of the network that the node is in."""
    authorized_key: pulumi.Input[str]
    """Public key that may log in from the start."""
    accelerator: str
    """Name of the declared accelerators; empty on a CPU node."""
    accelerator_count: int
    """Number of the declared accelerators."""
    cpus: int
    """Declared cores; 0 is what the machine has."""


class LocalNodeProvider(ResourceProvider):
    """Starts, looks at and stops nodes through `python -m skyrig.fleet.local`.

    It holds no fields: the state then refers to this class by name instead of holding its code.
    """

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Any changed input needs another node, made after the old one is gone: they share a folder."""
        changed = [key for key in _INPUTS if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Start the node; it may not answer yet when this returns."""
        private, public = new_key_pair()
        started = run("start", {"node": _request(props), "host_key": {"private": private, "public": public}})
        return CreateResult(f"{props['node_id']}-{started['incarnation']}", {**props, "node": started})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The node as it is; nothing where it is dead, or another one has taken its place."""
        found = run("check", {"folder": props["node"]["folder"]})
        if not found["alive"] or found["incarnation"] != props["node"]["incarnation"]:
            return ReadResult(None, {})
        return ReadResult(id_, {**props, "node": found})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """End the node and remove its folder; also of a dead one, or one that is gone already."""
        run("stop", {"folder": _props["node"]["folder"], "incarnation": _props["node"]["incarnation"]})


class LocalNode(Resource, module="skyrig", name="LocalNode"):
    """One node: an SSH server in a detached process, with its own home, host key and python environment."""

    node: pulumi.Output[dict[str, Any]]
    """What the started node says of itself: where it listens, its host key, process, incarnation."""

    def __init__(self, name: str, args: LocalNodeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(LocalNodeProvider(), name, {**args, "node": None}, opts)


def _request(props: dict[str, Any]) -> dict[str, Any]:
    """What `start` is asked for; numbers come from the engine as floats."""
    root = places.local_nodes(props["stack"])
    count = int(props["accelerator_count"])
    return {
        "folder": str(root / props["node_id"]),
        "records": str(places.records(props["stack"])),
        "stack": props["stack"],
        "node_id": props["node_id"],
        "level": props["level"],
        "alias": props["alias"],
        "address": props["address"],
        "authorized_key": props["authorized_key"],
        "accelerators": {"name": props["accelerator"], "count": count, "declared": count > 0},
        "cpus": int(props["cpus"]),
    }
