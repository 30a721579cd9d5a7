"""The power of a cluster's instances, as a resource of its stack.

The provider's own `state` of an instance does not serve: an instance that stopped itself is drift to it, so that any
refreshed `up` would start it, and where the state still says RUNNING it starts nothing. So no instance has one, and
this resource switches them all together, when `power` or `starts` changed and only then.
"""

from typing import Any, TypedDict

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from skyrig.clouds.oci.machines import OFF

MADE = {"status": "RUNNING", "started": ""}
"""What is known of an instance that was just made, without asking: it runs, and was never started again."""


class OciPowerArgs(TypedDict):
    """Which instances are switched, and how."""

    account: str
    """Compartment of the instances."""
    region: str
    """Region of the instances."""
    ids: pulumi.Input[dict[str, str]]
    """OCID of the instance behind each node id."""
    power: str
    """Wanted power: up or stopped."""
    starts: int
    """How often a start was asked for; another number starts instances that stopped themselves."""


class OciPowerProvider(ResourceProvider):
    """Looks at instances and switches them through the Compute API.

    It holds no fields: the state then refers to this class by name instead of holding its code.
    """

    serialize_as_secret_always = False

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Other instances are looked at; they are switched where another power, or another start, is wanted. That one
        stopped itself is no reason to start it; that one runs which shall be stopped is one to stop it."""
        changed = [key for key in ("account", "region", "ids") if _olds.get(key) != _news.get(key)]
        running = _news["power"] == "stopped" and any(
            said["status"] not in (*OFF, "GONE") for said in _olds.get("nodes", {}).values()
        )
        return DiffResult(changes=bool(changed) or running or _asked(_olds, _news))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Stop instances that shall not run yet. Where they shall, nobody is asked: they were just made."""
        made = dict.fromkeys(props["ids"], MADE)
        nodes = _switched(props, made, False) if props["power"] == "stopped" else made
        return CreateResult(f"{props['account']}/{props['region']}", {**props, "nodes": nodes})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Switch the instances, where that is asked for. Else those that were just made run, and nobody is asked."""
        asked, known = _asked(_olds, _news), _grown(_olds, _news)
        switching = asked or _news["power"] == "stopped"
        return UpdateResult({**_news, "nodes": _switched(_news, known, asked) if switching else known})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The instances as they are."""
        return ReadResult(id_, {**props, "nodes": _looked(props, props["nodes"])})


class OciPower(Resource, module="skyrig", name="OciPower"):
    """Power of the instances of a cluster."""

    nodes: pulumi.Output[dict[str, Any]]
    """By node id: `status` of its instance as the API calls it, and at which start of ours it last `started` ("": when
    it was made)."""

    def __init__(self, name: str, args: OciPowerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(OciPowerProvider(), name, {**args, "nodes": None}, opts)


def _asked(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Whether another power than before is wanted, or another start."""
    return bool(olds["power"] != news["power"] or olds["starts"] != news["starts"])


def _grown(olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    """What is known of the instances after some were made or removed: those that are there as before are as before."""
    same = {node for node, id_ in news["ids"].items() if olds.get("ids", {}).get(node) == id_}
    return {node: olds["nodes"][node] if node in same else MADE for node in news["ids"]}


def _switched(props: dict[str, Any], known: dict[str, Any], asked: bool) -> dict[str, Any]:
    """Do what is wanted, and say how the instances are afterwards: all that run are stopped with power `stopped`; with
    `up` those that are off are started, if that was `asked` for. Oracle Cloud does not tell when one was started, so
    that is written down here."""
    from skyrig.clouds.oci.switching import Instances  # where it is used: it imports what signs and calls

    door, ids = Instances(props["account"], props["region"]), props["ids"]
    found, stopped = door.look(list(ids.values())), props["power"] == "stopped"
    if stopped:
        wrong = [node for node, id_ in ids.items() if found[id_] not in (*OFF, "GONE")]
    else:
        wrong = [node for node, id_ in ids.items() if asked and found[id_] in OFF]
    if wrong:
        door.switch([ids[node] for node in wrong], "stop" if stopped else "start")
        found.update(door.look([ids[node] for node in wrong]))
    begun = {} if stopped else dict.fromkeys(wrong, f"start {int(props['starts'])}")
    started = {node: begun.get(node, known[node]["started"]) for node in ids}
    return {node: {"status": found[id_], "started": started[node]} for node, id_ in ids.items()}


def _looked(props: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    from skyrig.clouds.oci.switching import Instances  # where it is used: it imports what signs and calls

    found = Instances(props["account"], props["region"]).look(list(props["ids"].values()))
    return {node: {**known.get(node, MADE), "status": found[id_]} for node, id_ in props["ids"].items()}
