"""Ports of a stack's head that the host reaches at 127.0.0.1, on level `namespaces`, as a dynamic resource."""

from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult

from components.local.program import run
from skyrig import places

_INPUTS = ("stack", "network", "head", "address", "ports")


class LocalPortsArgs(TypedDict):
    """What is opened where. Nothing but the ports themselves depends on it: no node changes with them."""

    stack: str
    """Name of the stack."""
    network: pulumi.Input[str]
    """Incarnation of the network whose process listens: another one must be told anew."""
    head: str
    """Id of the node that serves."""
    address: str
    """Address of that node inside the cluster."""
    ports: list[str]
    """Its ports, as sorted ranges."""


class LocalPortsProvider(ResourceProvider):
    """Opens and closes ports through `python -m skyrig.fleet.local`."""

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """All but the stack changes in place: ports that stay are not closed in between."""
        changed = [key for key in _INPUTS if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(changed), replaces=[key for key in changed if key == "stack"])

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Open the ports."""
        return CreateResult(f"{props['stack']}-ports", {**props, "host_ports": _opened(props, {})})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Open and close what differs; a port keeps its number on the host, also in another network."""
        return UpdateResult({**_news, "host_ports": _opened(_news, _olds.get("host_ports") or {})})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Close them all."""
        run("ports-close", {"folder": str(places.local_nodes(_props["stack"]))})


class LocalPorts(Resource, module="skyrig", name="LocalPorts"):
    """Open ports of a stack's head."""

    host_ports: pulumi.Output[dict[str, str]]
    """Number on the host by port."""

    def __init__(self, name: str, args: LocalPortsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(LocalPortsProvider(), name, {**args, "host_ports": None}, opts)


def _opened(props: dict[str, Any], before: dict[str, str]) -> dict[str, str]:
    request = {
        "folder": str(places.local_nodes(props["stack"])),
        "head": props["head"],
        "address": props["address"],
        "ports": list(props["ports"]),
        "before": before,
    }
    answer: dict[str, str] = run("ports-open", request)["host_ports"]
    return answer
