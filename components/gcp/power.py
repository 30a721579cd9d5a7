"""The power of a cluster's machines, as a resource of its stack.

The provider's own `desired_status` does not serve: a machine that stopped itself is drift to it, so that any refreshed
`up` would start it; where the state still says RUNNING it starts nothing; and it cannot stop a machine with local
disks (data/gcp/power.json names the sources). So no instance has one, and this resource switches them all together,
when `power` or `starts` changed and only then.
"""

from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from skyrig.clouds.gcp.machines import OFF

MADE = {"status": "RUNNING", "started": ""}
"""What is known of a machine that was just made, without asking: it runs, and was never started again."""


class GcpPowerArgs(TypedDict):
    """Which machines are switched, and how."""

    project: str
    """Project of the machines."""
    zone: str
    """Zone of the machines."""
    machines: dict[str, str]
    """Name of the machine behind each node id."""
    ids: pulumi.Input[dict[str, str]]
    """Google's own id of each: another one under the same name is another machine."""
    power: str
    """Wanted power: up or stopped."""
    starts: int
    """How often a start was asked for; another number starts machines that stopped themselves."""


class GcpPowerProvider(ResourceProvider):
    """Looks at machines and switches them through the Compute Engine API.

    It holds no fields: the state then refers to this class by name instead of holding its code.
    """

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Other machines are looked at; they are switched where another power, or another start, is wanted. That a
        machine stopped itself is no reason to start it; that one runs which shall be stopped is one to stop it."""
        changed = [key for key in ("project", "zone", "machines", "ids") if _olds.get(key) != _news.get(key)]
        running = _news["power"] == "stopped" and any(
            said["status"] not in (*OFF, "GONE") for said in _olds.get("nodes", {}).values()
        )
        return DiffResult(changes=bool(changed) or running or _asked(_olds, _news))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Stop machines that shall not run yet. Where they shall, nobody is asked: they were just made."""
        nodes = _switched(props, False) if props["power"] == "stopped" else dict.fromkeys(props["machines"], MADE)
        return CreateResult(f"{props['project']}/{props['zone']}", {**props, "nodes": nodes})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Switch the machines, where that is asked for. Else those that were just made run, and nobody is asked."""
        asked = _asked(_olds, _news)
        nodes = _switched(_news, asked) if asked or _news["power"] == "stopped" else _grown(_olds, _news)
        return UpdateResult({**_news, "nodes": nodes})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The machines as they are."""
        return ReadResult(id_, {**props, "nodes": _looked(props)})


class GcpPower(Resource, module="skyrig", name="GcpPower"):
    """Power of the machines of a cluster."""

    nodes: pulumi.Output[dict[str, Any]]
    """By node id: `status` of its machine as the API calls it, and when it last `started` ("": when made)."""

    def __init__(self, name: str, args: GcpPowerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(GcpPowerProvider(), name, {**args, "nodes": None}, opts)


def _asked(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Whether another power than before is wanted, or another start."""
    return bool(olds["power"] != news["power"] or olds["starts"] != news["starts"])


def _grown(olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    """What is known of the machines after some were made or removed: those that are there as before are as before."""
    same = {node for node, id_ in news["ids"].items() if olds.get("ids", {}).get(node) == id_}
    return {node: olds["nodes"][node] if node in same else MADE for node in news["machines"]}


def _switched(props: dict[str, Any], asked: bool) -> dict[str, Any]:
    """Do what is wanted, and say how the machines are afterwards: all that run are stopped with power `stopped`; with
    `up` those that are off are started, if that was `asked` for."""
    from skyrig.clouds.gcp.switching import Zone  # where it is used: it imports google-auth and requests

    zone, names = Zone(props["project"], props["zone"]), props["machines"]
    found = zone.look(list(names.values()))
    stopped = props["power"] == "stopped"
    if stopped:
        wrong = [name for name, said in found.items() if said["status"] not in (*OFF, "GONE")]
    else:
        wrong = [name for name, said in found.items() if asked and said["status"] in OFF]
    if wrong:
        zone.switch(wrong, "stop" if stopped else "start")
        found.update(zone.look(wrong))
    return {node: found[name] for node, name in names.items()}


def _looked(props: dict[str, Any]) -> dict[str, Any]:
    from skyrig.clouds.gcp.switching import Zone  # where it is used: it imports google-auth and requests

    found = Zone(props["project"], props["zone"]).look(list(props["machines"].values()))
    return {node: found[name] for node, name in props["machines"].items()}
