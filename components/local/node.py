"""A node of the local cloud as a dynamic resource."""

import sys
from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from components.keypair import new_key_pair
from components.local.program import run
from skyrig import places

if sys.version_info >= (3, 11):
    from typing import NotRequired
else:
    from typing_extensions import NotRequired

_INPUTS = (
    "stack", "node_id", "group", "version", "level", "alias", "address", "network", "authorized_key", "accelerator",
    "accelerator_count", "cpus", "zone", "image",
)  # fmt: skip


class LocalNodeArgs(TypedDict):
    """What a local node is made from. Any change of it needs another node, but for `power`, `starts` and `spot`."""

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
    power: str
    """Wanted power: up or stopped. Both are the same node; `node` says which it is in."""
    starts: int
    """How often a start was asked for; another number starts a node that stopped itself."""
    zone: NotRequired[str]
    """Zone whose capacity it takes (skyrig.cluster.sites); not there where nobody has said which."""
    spot: NotRequired[bool]
    """There, and true, where it takes capacity of spot; a mark."""
    image: NotRequired[str]
    """Folder of the version of an image that it begins with; not there where it begins with nothing."""


class LocalNodeProvider(ResourceProvider):
    """Makes, looks at, switches and removes nodes through `python -m skyrig.fleet.local`.

    It holds no fields: the state then refers to this class by name instead of holding its code.
    """

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """A changed input needs another node, made after the old one is gone: they share a folder. But power is
        switched in place, and a node that is off can start in another network.

        That a node stopped itself is no reason to start it; that one runs which shall be stopped is one to stop it.
        """
        changed = [key for key in _INPUTS if _olds.get(key) != _news.get(key)]
        off = _power(_olds) == "stopped"
        replaces = [key for key in changed if key != "network" or not off]
        switches = _asked(_olds, _news) or (_news["power"] == "stopped" and not off)
        return DiffResult(changes=bool(changed) or switches, replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the node; it may not answer yet when this returns."""
        private, public = new_key_pair()
        key = {"private": private, "public": public}
        started = run("start", {"node": _request(props), "host_key": key, "power": props["power"]})
        return CreateResult(f"{props['node_id']}-{started['incarnation']}", {**props, "node": started})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Switch the node off, or on where that was asked for; it stays the same node."""
        verb = "halt" if _news["power"] == "stopped" else "resume" if _asked(_olds, _news) else "check"
        node = _olds["node"]
        return UpdateResult(
            {**_news, "node": run(verb, {"folder": node["folder"], "incarnation": node["incarnation"]})}
        )

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The node as it is, running or stopped; nothing where it was killed, or another one has taken its place."""
        found = run("check", {"folder": props["node"]["folder"]})
        if found.get("incarnation") != props["node"]["incarnation"]:
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


def _power(props: dict[str, Any]) -> str:
    """Power that a node is in, by what was last seen of it."""
    return str(props["node"].get("power", "up"))


def _asked(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Whether another power than before is wanted, or another start; states made before there was power lack both."""
    return bool(olds.get("power", "up") != news["power"] or olds.get("starts", 0) != news["starts"])


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
        "zone": props.get("zone", ""),
        "spot": bool(props.get("spot", False)),
        "image": props.get("image", ""),
    }
