"""The place where a stack's local nodes live: their folder and, on level `namespaces`, the network between them."""

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider

from components.local.program import run
from skyrig import places


class LocalNetworkProvider(ResourceProvider):
    """Starts and stops a stack's network through `python -m skyrig.fleet.local`."""

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Another level is another network."""
        changed = [key for key in ("stack", "level") if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Start the network."""
        folder = str(places.local_nodes(props["stack"]))
        started = run("network-start", {"folder": folder, "level": props["level"]})
        return CreateResult(f"{props['stack']}-{started['incarnation']}", {**props, "folder": folder, **started})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The network as it is; nothing where its process is gone."""
        found = run("network-check", {"folder": props["folder"]})
        if found.get("incarnation") != props["incarnation"]:
            return ReadResult(None, {})
        return ReadResult(id_, props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Stop the network, with every node that is left in it, and remove the folder."""
        run("network-stop", {"folder": _props["folder"]})


class LocalNetwork(Resource, module="skyrig", name="LocalNetwork"):
    """Folder and network of a stack's local nodes."""

    incarnation: pulumi.Output[str]
    """Changes whenever the network is another one; nodes of the old one cannot reach it."""

    def __init__(self, name: str, stack: str, level: str, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {"stack": stack, "level": level, "folder": None, "incarnation": None}
        super().__init__(LocalNetworkProvider(), name, props, opts)
