"""The power of a cluster's machines, as a resource of its stack.

The provider's own `stopped` does not serve: a machine that stopped itself is not stopped by its specification, so that
nothing would start it again. So no machine has that property, and this resource switches them all together through the
API, when `power` or `starts` changed and only then. It tells their addresses too.
"""

import time
from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from skyrig.clouds.nebius import switching

GONE: dict[str, str] = {"status": "GONE", "started": "", "public": "", "private": ""}
"""What is known of a machine that is not there."""


class NebiusPowerArgs(TypedDict):
    """Which machines are switched, and how."""

    project: str
    """Project of the machines."""
    machines: pulumi.Input[dict[str, str]]
    """Nebius' id of the machine behind each node id."""
    power: str
    """Wanted power: up or stopped."""
    starts: int
    """How often a start was asked for; another number starts machines that stopped themselves."""


class NebiusPowerProvider(ResourceProvider):
    """Looks at machines and switches them. It holds no fields: the state then refers to this class by name."""

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Other machines are looked at; they are switched where another power, or another start, is wanted. That a
        machine stopped itself is no reason to start it; that one runs which shall be stopped is one to stop it."""
        changed = [key for key in ("project", "machines") if _olds.get(key) != _news.get(key)]
        running = _news["power"] == "stopped" and any(
            said["status"] not in (*switching.OFF, "GONE") for said in _olds.get("nodes", {}).values()
        )
        return DiffResult(changes=bool(changed) or running or _asked(_olds, _news))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Look at the machines, and stop those that shall not run yet."""
        return CreateResult(props["project"], {**props, "nodes": _switched({}, props, False)})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Switch the machines, where that is asked for."""
        return UpdateResult({**_news, "nodes": _switched(_olds, _news, _asked(_olds, _news))})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The machines as they are."""
        return ReadResult(id_, {**props, "nodes": _known(props, props)})


class NebiusPower(Resource, module="skyrig", name="NebiusPower"):
    """Power of the machines of a cluster."""

    nodes: pulumi.Output[dict[str, Any]]
    """By node id: `status` of its machine as the API calls it, when it was last `started` from here ("": when made),
    and its `public` and `private` address."""

    def __init__(self, name: str, args: NebiusPowerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(NebiusPowerProvider(), name, {**args, "nodes": None}, opts)


def _asked(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Whether another power than before is wanted, or another start."""
    return bool(olds["power"] != news["power"] or olds["starts"] != news["starts"])


def _switched(olds: dict[str, Any], news: dict[str, Any], asked: bool) -> dict[str, Any]:
    """Do what is wanted, and say how the machines are afterwards: all that run are stopped with power `stopped`; with
    `up` those that are off are started, if that was `asked` for."""
    found = _known(olds, news)
    stopped = news["power"] == "stopped"
    if stopped:
        wrong = [node for node, said in found.items() if said["status"] not in (*switching.OFF, "GONE")]
    else:
        wrong = [node for node, said in found.items() if asked and said["status"] in switching.OFF]
    if not wrong:
        return found
    switching.switch(news["project"], [news["machines"][node] for node in wrong], "stop" if stopped else "start")
    found = _known(olds, news)
    started = {} if stopped else dict.fromkeys(wrong, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    return {node: {**said, "started": started.get(node, said["started"])} for node, said in found.items()}


def _known(olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    """How the machines are now; when one was started last is in the state alone."""
    before = {olds["machines"][node]: said for node, said in (olds.get("nodes") or {}).items()}
    found = switching.look(news["project"], list(news["machines"].values()))
    return {
        node: {**GONE, **found.get(machine, {}), "started": before.get(machine, GONE)["started"]}
        for node, machine in news["machines"].items()
    }
