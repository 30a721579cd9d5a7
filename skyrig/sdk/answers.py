"""What requests answer: clusters, their jobs, and handles. Each can also be read as a mapping, `record["status"]`."""

from __future__ import annotations

from enum import Enum
from typing import Any

import attrs
from attrs import frozen

from skyrig.jobs.state import ManagedStatus
from skyrig.launch.job import JobStatus
from skyrig.serve.state import ReplicaStatus, ServiceStatus


class ClusterStatus(str, Enum):
    """INIT (coming up), UP, STOPPED (every node is), or DEGRADED (a node is not up)."""

    __str__ = str.__str__

    INIT = "INIT"
    UP = "UP"
    STOPPED = "STOPPED"
    DEGRADED = "DEGRADED"


class StatusRefreshMode(str, Enum):
    """What `status` does first. Nodes are always asked themselves; FORCE asks the cloud too, which takes longer."""

    __str__ = str.__str__

    NONE = "NONE"
    AUTO = "AUTO"
    FORCE = "FORCE"


class OptimizeTarget(str, Enum):
    """What the choice of machines minds most."""

    __str__ = str.__str__

    COST = "COST"
    TIME = "TIME"


@frozen
class _Record:
    """Fields that can also be read by their names as texts."""

    def __getitem__(self, name: str) -> Any:
        if name in self.keys():
            return getattr(self, name)
        raise KeyError(name)

    def keys(self) -> list[str]:
        """Names of the fields: with them `dict(record)` works."""
        return list(attrs.fields_dict(type(self)))

    def get(self, name: str, otherwise: Any = None) -> Any:
        """A field, or `otherwise` where there is none of that name."""
        return self[name] if name in self.keys() else otherwise


@frozen
class ResourceHandle(_Record):
    """Where a cluster is: how its head is reached, and the addresses of its nodes in rank order."""

    cluster_name: str
    head_ip: str
    head_ssh_port: int
    ssh_user: str
    cloud: str
    region: str
    ips: tuple[str, ...]
    internal_ips: tuple[str, ...]

    @property
    def launched_nodes(self) -> int:
        """How many nodes it has."""
        return len(self.ips)

    def get_cluster_name(self) -> str:
        """Its name."""
        return self.cluster_name


@frozen
class ClusterRecord(_Record):
    """A cluster. `hourly_cost` in USD of all nodes; `handle` is None while it comes up."""

    name: str
    status: ClusterStatus
    cloud: str
    region: str
    num_nodes: int
    hourly_cost: float
    handle: ResourceHandle | None = None


@frozen
class InstanceTypeInfo(_Record):
    """A type with accelerators in a region, under the names that SkyPilot has. Prices in USD an hour, None where it is
    not sold so or the price is not known; `memory` in GiB, `device_memory` that of one accelerator."""

    cloud: str
    instance_type: str
    accelerator_name: str
    accelerator_count: float
    cpu_count: float | None
    device_memory: float | None
    memory: float | None
    price: float | None
    spot_price: float | None
    region: str


@frozen
class JobRecord(_Record):
    """A job of a cluster. Times in seconds since the epoch, None where not yet; `exit_code` is the job's, `exit_codes`
    one a rank (-1: none known); `reason` says why it failed."""

    job_id: int
    job_name: str
    username: str
    status: JobStatus
    submitted_at: float
    start_at: float | None
    end_at: float | None
    num_nodes: int
    exit_code: int | None
    exit_codes: tuple[int, ...]
    reason: str


@frozen
class ManagedJobRecord(_Record):
    """A task of a managed job, under the names that SkyPilot has: `task_id` is its number in the job, from 0. Times in
    seconds since the epoch, None where not yet; `job_duration` is for how many seconds it has run, over all its
    attempts; `failure_reason` says why it stands as it does."""

    job_id: int
    task_id: int
    job_name: str
    task_name: str
    status: ManagedStatus
    submitted_at: float
    start_at: float | None
    end_at: float | None
    job_duration: float
    recovery_count: int
    resources: str
    cluster_name: str
    failure_reason: str
    exit_code: int | None
    user_name: str


@frozen
class ReplicaRecord(_Record):
    """A replica of a service. `endpoint` is HOST:PORT inside its cluster; moments in seconds since the epoch."""

    replica_id: int
    status: ReplicaStatus
    version: int
    endpoint: str | None = None
    launched_at: int | None = None
    nodes: tuple[str, ...] = ()
    reason: str = ""


@frozen
class ServiceRecord(_Record):
    """A service under the names that SkyPilot has. `endpoint` is HOST:PORT as reached from here, `uptime` in seconds
    since it is READY."""

    name: str
    status: ServiceStatus
    endpoint: str | None = None
    version: int | None = None
    active_versions: tuple[int, ...] = ()
    uptime: int | None = None
    cluster_name: str = ""
    tls_encrypted: bool = False
    replica_info: tuple[ReplicaRecord, ...] = ()
