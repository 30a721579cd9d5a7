"""What is known of a service: what the steward on its head tells, and `serve.status` shows."""

from __future__ import annotations

from enum import Enum

from attrs import field, frozen


class ReplicaStatus(str, Enum):
    """Life of a replica, in SkyPilot's words: PENDING (no node yet), PROVISIONING (its nodes are being made), STARTING
    (setup and run, until the first good probe), READY, NOT_READY (probes fail, for a while), SHUTTING_DOWN (draining),
    and the ends."""

    __str__ = str.__str__

    PENDING = "PENDING"
    PROVISIONING = "PROVISIONING"
    STARTING = "STARTING"
    READY = "READY"
    NOT_READY = "NOT_READY"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    FAILED = "FAILED"
    FAILED_INITIAL_DELAY = "FAILED_INITIAL_DELAY"
    FAILED_PROBING = "FAILED_PROBING"
    FAILED_PROVISION = "FAILED_PROVISION"
    PREEMPTED = "PREEMPTED"

    @property
    def ended(self) -> bool:
        """Whether the replica will not come back under this number."""
        return self.name.startswith("FAILED") or self is ReplicaStatus.PREEMPTED


class ServiceStatus(str, Enum):
    """State of a service, in SkyPilot's words. READY: a replica is; NO_REPLICA: none is wanted, or none is left;
    FAILED: it never became ready, and is not tried any more."""

    __str__ = str.__str__

    CONTROLLER_INIT = "CONTROLLER_INIT"
    REPLICA_INIT = "REPLICA_INIT"
    READY = "READY"
    NO_REPLICA = "NO_REPLICA"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    FAILED = "FAILED"


class UpdateState(str, Enum):
    """Where an update is."""

    __str__ = str.__str__

    NONE = "NONE"
    UNDER_WAY = "UNDER_WAY"
    DONE = "DONE"
    ROLLED_BACK = "ROLLED_BACK"


@frozen
class Load:
    """What one replica, or the service, is asked for: requests a second over the scaling window, requests in flight,
    seconds until half and 99 of 100 answers were complete (None: nothing was asked), tokens a second (None: not told by
    the engine), and the sums since the balancer started."""

    qps: float = 0.0
    in_flight: int = 0
    p50_s: float | None = None
    p99_s: float | None = None
    tokens_per_s: float | None = None
    requests: int = 0
    errors: int = 0


@frozen
class Replica:
    """One replica. `id` is never used again; `nodes` are its nodes' ids, `address` HOST:PORT inside the cluster, `job`
    the keeper's job (0: none yet). Moments in seconds since the epoch, 0.0 where not yet. `reason` says in one line why
    it is not ready, or ended; `last_lines` what it printed last, where it failed."""

    id: int
    version: int
    status: ReplicaStatus
    nodes: tuple[str, ...] = ()
    address: str = ""
    job: int = 0
    created_at: float = 0.0
    ready_at: float = 0.0
    ended_at: float = 0.0
    reason: str = ""
    last_lines: tuple[str, ...] = ()
    load: Load = field(factory=Load)


@frozen
class Wanted:
    """What the steward wants of the capacity plane: `replicas` of them on `nodes` nodes in all (the head is one), of
    which `ondemand` at least are not spot; `why` in one line. The nodes in `going` hold nothing any more and may be
    taken away; those in `lost` answer no more and are to be made anew. With `nothing` the service has failed for good,
    and all its nodes may go."""

    replicas: int = 0
    nodes: int = 0
    ondemand: int = 0
    why: str = ""
    going: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    nothing: bool = False


@frozen
class Snapshot:
    """A service as its steward knows it. `version` is the one that shall be, `serving` the newest that is; `balancer`
    is "haproxy", or "direct" where there is none. `since` is when a replica was ready first (0.0: none was
    yet). With `forgot` what replicas are made of is gone: it had secrets, which were in the memory of the head before
    it was started anew; it is to be applied again."""

    name: str
    status: ServiceStatus
    version: int = 1
    serving: int = 0
    port: int = 0
    balancer: str = "haproxy"
    since: float = 0.0
    reason: str = ""
    replicas: tuple[Replica, ...] = ()
    wanted: Wanted = field(factory=Wanted)
    load: Load = field(factory=Load)
    update: UpdateState = UpdateState.NONE
    update_reason: str = ""
    at: float = 0.0
    forgot: bool = False
