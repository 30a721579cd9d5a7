"""A machine of Atlantis as a dynamic resource."""

from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider

from components.asked import answer
from components.keypair import new_key_pair
from skyrig import places
from skyrig.errors import SkyrigError

_MODULE = "skyrig.fleet.local"
_LIMIT_S = 60.0


class AtlantisMachineArgs(TypedDict):
    """What a machine is made from; any change of it needs another one."""

    stack: str
    """Name of the stack."""
    node_id: str
    """Id of its node."""
    version: int
    """Version of the node's definition."""
    instance_type: str
    """Its type."""
    authorized_key: pulumi.Input[str]
    """Public key that may log in from the start."""


class AtlantisMachineProvider(ResourceProvider):
    """Makes, looks at and removes machines."""

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Anything else is another machine."""
        changed = [key for key in AtlantisMachineArgs.__annotations__ if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the machine; one that is there under its name is taken over."""
        private, public = new_key_pair()
        node = {
            "folder": str(places.home() / "atlantis" / props["stack"] / props["node_id"]),
            "records": str(places.records(props["stack"])),
            "stack": props["stack"],
            "node_id": props["node_id"],
            "level": "plain",
            "alias": f"{props['stack']}-{props['node_id']}",
            "authorized_key": props["authorized_key"],
            "accelerators": {"name": "", "count": 0, "declared": False},
        }
        made = _ask("start", {"node": node, "host_key": {"private": private, "public": public}, "power": "up"})
        return CreateResult(made["incarnation"], {**props, "machine": made})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The machine as it is; nothing where it is gone."""
        found = _ask("check", {"folder": props["machine"]["folder"]})
        return ReadResult(id_, props) if found.get("incarnation") == id_ else ReadResult(None, {})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Remove the machine; also one that is gone already."""
        _ask("stop", {"folder": _props["machine"]["folder"], "incarnation": _id})


class AtlantisMachine(Resource, module="skyrig", name="AtlantisMachine"):
    """One machine."""

    machine: pulumi.Output[dict[str, Any]]
    """What it says of itself."""

    def __init__(self, name: str, args: AtlantisMachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(AtlantisMachineProvider(), name, {**args, "machine": None}, opts)


def _ask(verb: str, request: dict[str, Any]) -> dict[str, Any]:
    return answer(_MODULE, verb, request, limit_s=_LIMIT_S, what="atlantis", error=SkyrigError)
