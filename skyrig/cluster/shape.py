"""The shape of a stack: what it shall be, as its config says.

The keys of `KEYS` are the only ones of the project's namespace; `Pulumi.yaml` declares the same ones with the same
defaults (a test compares them), so that plain `pulumi up` and `invoke up` mean the same. Desired nodes are a set of
node ids, never a count: a lost node comes back under its own id, and one node can be taken away while others stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import Attribute, evolve, field, frozen

from skyrig.cluster import buckets as wanted_buckets
from skyrig.cluster import clouds, imagery, keys, machine, policy, sites
from skyrig.cluster import ports as port_ranges
from skyrig.cluster.buckets import Bucket
from skyrig.cluster.clouds import CLOUDS, registered
from skyrig.cluster.description import Accelerators
from skyrig.cluster.imagery import WantedImage
from skyrig.cluster.keys import NAMESPACE, Key
from skyrig.cluster.machine import Capacity, Machine
from skyrig.cluster.policy import Policy
from skyrig.errors import BadInput

ISOLATIONS = ("auto", "namespaces", "plain")
BALANCERS = ("", "cloud")
SCHEDULERS = ("", *clouds.with_part("skyrig.schedulers", "client"))
POWERS = ("up", "stopped", "down")

MOST_LOCAL_PORTS = 4096
"""How many ports a cluster on the local cloud opens at most: each is a listener of one process."""

_NODE_ID = re.compile(r"[a-z][a-z0-9-]{0,30}")
_STACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


KEYS: Mapping[str, Key] = {
    "cloud": Key("local", "where the nodes are: " + ", ".join(CLOUDS)),
    "nodes": Key(["n0", "n1"], "ids of the wanted nodes in rank order, the first is the head; ID or ID=GROUP/VERSION"),
    "accelerators": Key("", "accelerators of each node, NAME:COUNT; empty for CPU nodes"),
    "cpus": Key(0, "cores that each node declares; 0 is what the machine has"),
    "isolation": Key("auto", "local nodes only: " + ", ".join(ISOLATIONS)),
    "ports": Key("", "open ports of the head: 8000,9000-9010"),
    "balancer": Key("", "clouds: cloud puts the cloud's own balancer before the open ports; empty: none"),
    "scheduler": Key(
        "", "who runs the jobs: empty is Skyrig's keeper; " + ", ".join(SCHEDULERS[1:]) + ": the head's own"
    ),
    "power": Key("up", "wanted power state: " + ", ".join(POWERS)),
    "starts": Key(0, "how often a start was asked for; another number starts nodes that stopped themselves"),
    "owner": Key("", "who made the cluster; a tag on everything that is made on a cloud"),
    "task": Key("", "the task that the cluster was made for; a tag likewise"),
    "managed": Key("", "the managed job that owns the cluster, NUMBER-INDEX of its task; a tag likewise"),
    "buckets": Key([], "buckets: {name, store, region, persistent, account}; without nodes the stack is a data stack"),
    "machineImage": Key(
        "", "image stacks: the machine image that the stack is, as a JSON object; it has no nodes then"
    ),
    **policy.KEYS,
    **machine.KEYS,
}


@frozen
class WantedNode:
    """One wanted node: stable `id`, the `group` it belongs to, and the `version` of that group's definition."""

    id: str
    group: str = machine.MAIN
    version: int = 1

    def __str__(self) -> str:
        return self.id if (self.group, self.version) == (machine.MAIN, 1) else f"{self.id}={self.group}/{self.version}"


def _of_one_market(shape: Shape, _: Attribute[Any], nodes: tuple[WantedNode, ...]) -> None:
    paid = shape.machine.capacity
    apart = [node for node in nodes if node.group in (machine.ONDEMAND, machine.SPOT)]
    if apart and paid.kind not in ("on-demand", "spot"):
        raise BadInput(
            f"{NAMESPACE}:nodes: {apart[0].id} is of group {apart[0].group}, beside nodes of capacity {paid}",
            hint="only on-demand and spot nodes are mixed in a cluster",
        )


def _not_too_many(shape: Shape, _: Attribute[Any], ports: tuple[str, ...]) -> None:
    count = len(port_ranges.numbers(ports))
    if shape.cloud == "local" and count > MOST_LOCAL_PORTS:
        raise BadInput(
            f"{NAMESPACE}:ports: {count} ports ({', '.join(ports)}); the local cloud opens {MOST_LOCAL_PORTS} at most",
            hint="name those that are served on",
        )


def _none_that_stays(shape: Shape, _: Attribute[Any], buckets: tuple[Bucket, ...]) -> None:
    kept = [bucket.name for bucket in buckets if bucket.persistent]
    if kept and shape.nodes:
        raise BadInput(
            f"{NAMESPACE}:buckets: {kept[0]} is persistent, and a cluster takes its buckets with it when it goes",
            hint="persistent: false, or a data stack: nodes: []",
        )


def _alone(shape: Shape, _: Attribute[Any], imaged: WantedImage | None) -> None:
    if imaged is not None and (shape.nodes or shape.buckets):
        raise BadInput(
            f"{NAMESPACE}:machineImage: an image is alone in its stack, which outlives clusters and buckets",
            hint="nodes: [], and no buckets",
        )


@frozen
class Shape:
    """Desired state of one stack. `cpus` 0 means what the machine has; `ports` are sorted ranges, open on the head;
    `balancer` says what stands before them ("": nothing, "cloud": the cloud's own balancer, whose address stays);
    `scheduler` is who runs its jobs ("": the keeper, "slurm": the Slurm that its head has, the cloud's own name: the
    queue that it has);
    `machine` says what its nodes are on a cloud, and of the local one place and market alone; `policy` what it may cost
    and how long it lives. With `imaged` the stack is an image stack: it makes that machine image, and no cluster."""

    cloud: str = "local"
    nodes: tuple[WantedNode, ...] = field(default=(WantedNode("n0"), WantedNode("n1")), validator=_of_one_market)
    accelerators: Accelerators = field(factory=Accelerators)
    cpus: int = 0
    isolation: str = "auto"
    ports: tuple[str, ...] = field(default=(), validator=_not_too_many)
    balancer: str = ""
    scheduler: str = ""
    power: str = "up"
    starts: int = 0
    owner: str = ""
    task: str = ""
    managed: str = ""
    machine: Machine = field(factory=Machine)
    buckets: tuple[Bucket, ...] = field(default=(), validator=_none_that_stays)
    policy: Policy = field(factory=Policy)
    imaged: WantedImage | None = field(default=None, validator=_alone)

    @property
    def is_rented(self) -> bool:
        """Whether its nodes are machines of a cloud, which are paid for."""
        return registered(self.cloud).is_rented and not self.is_queue and self.imaged is None

    @property
    def is_queue(self) -> bool:
        """Whether it is the queue of a scheduler that was there before, and none of its nodes."""
        return registered(self.cloud).is_queue or self.scheduler == self.cloud

    @property
    def is_offered(self) -> bool:
        """Whether its nodes are had by an offer, which may not be there when it is taken."""
        return registered(self.cloud).is_offered and not self.is_queue and self.imaged is None

    @property
    def is_data(self) -> bool:
        """Whether this is a data stack: buckets, and no cluster."""
        return not self.nodes and self.imaged is None

    @property
    def is_image(self) -> bool:
        """Whether this is an image stack: a machine image, and no cluster."""
        return self.imaged is not None

    @property
    def paid(self) -> tuple[Capacity, ...]:
        """How each node is paid for, in rank order: as all are, or as its group is."""
        return tuple(machine.paid_in(self.machine.capacity, node.group) for node in self.nodes)

    @property
    def balanced(self) -> int:
        """How many ports the cloud's own balancer is before; 0 where there is none."""
        return len(port_ranges.numbers(self.ports)) if self.balancer else 0

    def __str__(self) -> str:
        """Size, kind and place in words."""
        if self.imaged is not None:
            return f"the machine image {self.imaged.name} on {self.cloud}"
        if self.is_data:
            return f"{len(self.buckets)} bucket{'' if len(self.buckets) == 1 else 's'}"
        if self.is_queue:
            part = f", {self.machine.zone}" if self.machine.zone else ""
            return f"the queue of the {clouds.title(self.cloud)} cluster {self.machine.region}{part}"
        count, each = len(self.nodes), self.accelerators
        kind = f"{each.name}:{each.count}" if each.count else "CPU"
        where = f", {self.machine}" if self.machine.instance_type else ""
        others = [node.group for node, paid in zip(self.nodes, self.paid, strict=True) if paid != self.machine.capacity]
        if others and where:
            where += f", of which {len(others)} {'on demand' if others[0] == machine.ONDEMAND else 'spot'}"
        if self.cloud == sites.CLOUD:
            where = self._local_place()
        return f"{count} node{'s' if count > 1 else ''} ({kind}) on the {self.cloud} cloud{where}"

    def _local_place(self) -> str:
        """Place and market of nodes of the local cloud in words; "" where nothing is said of either."""
        spots = sum(paid.kind == "spot" for paid in self.paid)
        spot = f", {'' if spots == len(self.nodes) else f'{spots} of them '}spot" if spots else ""
        place = self.machine.zone or self.machine.region
        return f"{spot}, in {place}" if place else spot

    def to_config(self) -> dict[str, Any]:
        """Config values by key, only those that differ from their default (nodes always)."""
        count = self.accelerators.count
        full = {
            "cloud": self.cloud,
            "nodes": [str(node) for node in self.nodes],
            "accelerators": f"{self.accelerators.name}:{count}" if count else "",
            "cpus": self.cpus,
            "isolation": self.isolation,
            "ports": ",".join(self.ports),
            "balancer": self.balancer,
            "scheduler": self.scheduler,
            "power": self.power,
            "starts": self.starts,
            "owner": self.owner,
            "task": self.task,
            "managed": self.managed,
            "buckets": [bucket.to_config() for bucket in self.buckets],
            "machineImage": self.imaged.to_config() if self.imaged is not None else "",
            **policy.to_config(self.policy),
            **machine.to_config(self.machine),
        }
        return {key: value for key, value in full.items() if key == "nodes" or value != KEYS[key].default}


def of_image(wanted: WantedImage, owner: str = "") -> Shape:
    """The shape of the stack of an image."""
    place = Machine(region=wanted.region, account=wanted.account, labels=wanted.labels)
    return Shape(cloud=wanted.cloud, nodes=(), owner=owner, machine=place, imaged=wanted)


def stack_name(text: str) -> str:
    """`text` if it can name a stack, else BadInput."""
    if not _STACK_NAME.fullmatch(text):
        raise BadInput(f"{text!r} is no cluster name", hint="letters, digits, '.', '_' and '-', 63 at most")
    return text


def node_count(text: str) -> int:
    """A number of nodes given as text: 1 or more, else BadInput."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) < 1:
        raise BadInput(f"--nodes {text!r}: a whole number of at least 1 is wanted")
    return int(text)


def resized(shape: Shape, count: int) -> Shape:
    """`shape` with `count` nodes: new ones take the lowest free ids at the end, surplus ones go from the last rank."""
    kept = list(shape.nodes[:count])
    taken = {node.id for node in kept}
    number = 0
    while len(kept) < count:
        if f"n{number}" not in taken:
            kept.append(WantedNode(f"n{number}"))
        number += 1
    return evolve(shape, nodes=tuple(kept))


def from_config(values: Mapping[str, Any]) -> Shape:
    """Read a shape from config values by key, without namespace. Arrays may come as JSON text, as the engine hands
    them over. Unknown keys and bad values are BadInput, with the nearest right key."""
    keys.refuse_unknown(values, KEYS)
    given = {key: values.get(key, known.default) for key, known in KEYS.items()}
    buckets, cloud = wanted_buckets.read(given["buckets"]), keys.one_of("cloud", given["cloud"], CLOUDS)
    place = machine.from_config(given)
    imaged = imagery.from_config(
        given["machineImage"], cloud=cloud, region=place.region, account=place.account, labels=place.labels
    )
    return Shape(
        cloud=cloud,
        nodes=_nodes(given["nodes"], none=bool(buckets) or imaged is not None or given["power"] == "down"),
        accelerators=accelerators(str(given["accelerators"])),
        cpus=keys.whole("cpus", given["cpus"], "cores"),
        isolation=keys.one_of("isolation", given["isolation"], ISOLATIONS),
        ports=_ports(given["ports"]),
        balancer=keys.one_of("balancer", given["balancer"], BALANCERS),
        scheduler=keys.one_of("scheduler", given["scheduler"], SCHEDULERS),
        power=keys.one_of("power", given["power"], POWERS),
        starts=keys.whole("starts", given["starts"], "starts"),
        owner=keys.word("owner", given["owner"], r"[ -~]{1,128}", "a name"),
        task=keys.word("task", given["task"], r"[ -~]{1,128}", "a name"),
        managed=keys.word("managed", given["managed"], r"[0-9]{1,12}-[0-9]{1,6}", "NUMBER-INDEX of a managed job"),
        policy=policy.from_config(given),
        machine=place,
        buckets=buckets,
        imaged=imaged,
    )


def accelerators(text: str) -> Accelerators:
    """Accelerators of a node from `NAME:COUNT`, `NAME` (one) or an empty text (none)."""
    if not text.strip():
        return Accelerators()
    match = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?::([0-9]{1,3}))?", text.strip())
    if not match or int(match[2] or 1) < 1:
        raise BadInput(f"accelerators {text!r}: NAME or NAME:COUNT is wanted, for instance H100:8")
    return Accelerators(name=match[1], count=int(match[2] or 1))


def _ports(value: Any) -> tuple[str, ...]:
    try:
        return port_ranges.read(str(value))
    except ValueError as error:
        raise BadInput(f"{NAMESPACE}:ports: {error}") from error


def _nodes(value: Any, *, none: bool) -> tuple[WantedNode, ...]:
    """The wanted nodes; with `none` there need not be one."""
    what = "a list of at least one node id, for instance [n0, n1],"
    entries = keys.texts("nodes", value, what)
    if not entries and not none:
        raise BadInput(f"{NAMESPACE}:nodes: {what} is wanted")
    nodes = tuple(_node(entry) for entry in entries)
    ids = [node.id for node in nodes]
    for node_id in ids:
        if ids.count(node_id) > 1:
            raise BadInput(f"{NAMESPACE}:nodes: {node_id!r} stands there twice")
    return nodes


def _node(entry: str) -> WantedNode:
    node_id, _, rest = entry.partition("=")
    group, _, version = rest.partition("/")
    if not _NODE_ID.fullmatch(node_id) or (rest and not (group and re.fullmatch(r"[0-9]{1,9}", version))):
        raise BadInput(f"{NAMESPACE}:nodes: {entry!r} is no node", hint="ID or ID=GROUP/VERSION, for instance n0")
    return WantedNode(node_id, group, int(version)) if rest else WantedNode(node_id)
