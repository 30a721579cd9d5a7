"""The cluster description: all that the launcher knows of a cloud.

Every Cluster component exports one as the stack output `cluster`: a JSON object of exactly the fields below, in which
only `ssh.private_key` is secret. Unknown fields are kept out on reading (a newer minor version may have added them);
an unknown major version is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import cattrs
from attrs import evolve, field, frozen
from cattrs.errors import BaseValidationError

from skyrig.errors import SkyrigError

VERSION = 1
"""Major version of the document; readers refuse any other."""


@frozen
class Accelerators:
    """Accelerators of one node: `name` as in the catalog ("H100"; "" on a CPU node), `count` per node (0: none).

    `declared` is true where they are only rehearsed (local cloud) and no such device is present.
    """

    name: str = ""
    count: int = 0
    declared: bool = False


@frozen
class Node:
    """One node. `rank` is its order in the cluster (0 is the head); `id` is stable and never changes its role.

    `host`:`port` is where the client reaches it (through `jump` when it is not empty: the id of another node, or of a
    gate); where `proxy` is not empty, it is a command instead, words for no shell, whose input and output lead there.
    `address` is its address inside the cluster and `alias` the name that resolves to it there. `host_key` is the
    pinned public host key, one OpenSSH line ("ssh-ed25519 AAAA..."). `cpus` in cores, `memory_gb` in GiB.
    `incarnation` changes whenever the machine behind the id is another one, `boot` also whenever that machine was
    started anew (its disk is the same then). `power` is up or stopped, as it was when the stack was last changed: a
    node may have stopped itself since. `spot`: the cloud may take it back.
    """

    id: str
    rank: int
    host: str
    port: int
    address: str
    user: str
    host_key: str
    incarnation: str
    alias: str = ""
    jump: str = ""
    internal_port: int = 22
    accelerators: Accelerators = field(factory=Accelerators)
    cpus: float = 1.0
    memory_gb: float = 1.0
    boot: str = ""
    power: str = "up"
    spot: bool = False
    proxy: tuple[str, ...] = ()

    @property
    def life(self) -> str:
        """What tells this run of this machine from any other: what was set up in memory is good for it alone."""
        return f"{self.incarnation}.{self.boot}" if self.boot else self.incarnation


@frozen
class SshAccess:
    """How the client gets in: its own key pair as OpenSSH text. `private_key` is the one secret of the document. Where
    the way in is the user's own, `identity` is the file on their machine that holds their key, and there is no other
    one."""

    public_key: str
    private_key: str = field(default="", repr=False)
    identity: str = ""


@frozen
class Fabric:
    """The network between nodes: `kind` ("none", "efa", "tcpx", "infiniband", ...) and the environment it wants."""

    kind: str = "none"
    env: dict[str, str] = field(factory=dict)


@frozen
class Bucket:
    """A bucket that jobs can reach: `url` (file:///..., s3://...), S3 `endpoint` if any, and a credential reference."""

    name: str
    url: str
    endpoint: str = ""
    credentials: str = ""


@frozen
class Power:
    """How nodes stop, end themselves and start again: `stop`, `end`, `start` each say how, or are "" where `refused`
    says why not; `billed_when_stopped` lists what is still paid for then. `stop_itself` and `end_itself` are shell
    commands with which a node stops, or ends itself for good, with no more rights than it has ("": it cannot)."""

    stop: str = ""
    end: str = ""
    start: str = ""
    refused: str = ""
    billed_when_stopped: tuple[str, ...] = ()
    stop_itself: str = ""
    end_itself: str = ""


@frozen
class Partition:
    """A partition of a cluster that has a scheduler of its own, with what the largest of its `nodes` nodes have: `cpus`
    in cores, `memory_gb` in GiB, accelerators under the scheduler's name for them. `is_default` is the one that jobs go
    to which name none; `time_limit` is the scheduler's text."""

    name: str
    nodes: int
    cpus: float = 1.0
    memory_gb: float = 1.0
    accelerators: Accelerators = field(factory=Accelerators)
    is_default: bool = False
    time_limit: str = ""


@frozen
class ClusterDescription:
    """A cluster as its component exports it. `hourly_cost` in USD of all nodes; `records` is the url of the folder or
    bucket where job records and finished logs outlive the cluster; `isolation` is "machine" on clouds, "namespaces" or
    "plain" on the local cloud; `nodes` are in rank order. `entrance` is the address of the cloud's own balancer,
    at which its open ports are reached; "" where that is the head's. `scheduler` is who decides when and where jobs
    run: "" is Skyrig's keeper on the head, "slurm" a Slurm whose commands the head has, "kubernetes" an API server;
    then `nodes` are the ways in (one without a host key is no SSH server), and what runs jobs are the scheduler's
    `partitions`. `gates` are machines that are no nodes, through which some are reached; the same key opens them."""

    name: str
    cloud: str
    nodes: tuple[Node, ...]
    ssh: SshAccess
    records: str
    version: int = VERSION
    region: str = ""
    zone: str = ""
    isolation: str = "machine"
    fabric: Fabric = field(factory=Fabric)
    buckets: tuple[Bucket, ...] = ()
    ports: tuple[str, ...] = ()
    entrance: str = ""
    hourly_cost: float = 0.0
    egress: str = "public-outbound"
    power: Power = field(factory=Power)
    tags: dict[str, str] = field(factory=dict)
    scheduler: str = ""
    partitions: tuple[Partition, ...] = ()
    gates: tuple[Node, ...] = ()

    @property
    def is_queue(self) -> bool:
        """Whether all that is here is the queue of a scheduler that was there before: its nodes are not ours."""
        return bool(self.scheduler) and self.scheduler == self.cloud

    @property
    def head(self) -> Node:
        """The node of rank 0, where the keeper runs."""
        return self.nodes[0]

    def node(self, node_id: str) -> Node:
        """The node called `node_id`; KeyError if there is none."""
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise KeyError(node_id)

    def way(self, machine_id: str) -> Node:
        """The node or the gate called `machine_id`; KeyError if there is none."""
        for machine in (*self.nodes, *self.gates):
            if machine.id == machine_id:
                return machine
        raise KeyError(machine_id)

    def public(self) -> ClusterDescription:
        """The same description without key material: what may be shown, and what the keeper is told."""
        return evolve(self, ssh=evolve(self.ssh, private_key=""))

    def to_json(self) -> dict[str, Any]:
        """The document as plain data, secret included."""
        data: dict[str, Any] = json.loads(json.dumps(_CONVERTER.unstructure(self)))
        return data


class BadDescription(SkyrigError):
    """A stack output that is no cluster description of this version."""


_CONVERTER = cattrs.Converter()


def from_json(data: Mapping[str, Any]) -> ClusterDescription:
    """Read the stack output `cluster`. BadDescription names what is wrong with it."""
    version = data.get("version")
    if version != VERSION:
        raise BadDescription(
            f"cluster description of version {version!r}, this Skyrig reads {VERSION}",
            hint="run `up` with the Skyrig that shall use the cluster",
        )
    try:
        described = _CONVERTER.structure(dict(data), ClusterDescription)
    except BaseValidationError as error:
        first = cattrs.transform_error(error)[0]
        raise BadDescription(f"cluster description: {first}", hint="run `up` again") from error
    ranks = [node.rank for node in described.nodes]
    if not ranks or ranks != list(range(len(ranks))):
        raise BadDescription(f"cluster description: ranks {ranks} are not 0..n-1", hint="run `up` again")
    return described
