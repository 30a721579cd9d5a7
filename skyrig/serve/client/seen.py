"""What a client sees of a service: its steward's snapshot, or what is known where that does not answer, with the
endpoint as it is reached from here and whether the controller is there to scale it."""

from __future__ import annotations

import time
from typing import Any

from attrs import field, frozen

from skyrig.serve.state import Load, Replica, ReplicaStatus, ServiceStatus, Snapshot, UpdateState


@frozen
class Controller:
    """Whether the controller is at work, and the moment since when it is not (None: it is, or never was)."""

    alive: bool = True
    away_since: float | None = None

    @property
    def remark(self) -> str:
        """What follows from its being away, in one line; "" where it is there, or never was."""
        if self.away_since is None:
            return ""
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.away_since))
        return f"not scaling: controller away since {since}"


@frozen
class Seen:
    """A service. `snapshot` is None where its steward does not answer; `status` and `reason` say what is known then.
    `endpoint` is HOST:PORT, "" where there is none yet; `scheme` http or https, `domain` what its certificate is for
    ("": not known), `path` one that answers; `keys` are the names of its API keys."""

    name: str
    stack: str
    status: ServiceStatus
    snapshot: Snapshot | None = None
    endpoint: str = ""
    scheme: str = "http"
    domain: str = ""
    path: str = "/"
    keys: tuple[str, ...] = ()
    alone: bool = True
    reason: str = ""
    created_at: float = 0.0
    controller: Controller = field(factory=Controller)

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """Its replicas, those that ended for good left out unless nothing else is there."""
        known = self.snapshot.replicas if self.snapshot is not None else ()
        return tuple(each for each in known if not each.ended_at) or known[-1:]

    @property
    def ready(self) -> tuple[int, int]:
        """How many replicas are ready, and how many are wanted."""
        here = self.snapshot.replicas if self.snapshot is not None else ()
        wanted = self.snapshot.wanted.replicas if self.snapshot is not None else 0
        return sum(each.status is ReplicaStatus.READY for each in here), wanted

    @property
    def load(self) -> Load:
        """What it is asked for."""
        return self.snapshot.load if self.snapshot is not None else Load()

    @property
    def up_since(self) -> float:
        """Since when it is up, in seconds since the epoch; 0.0 while it is not."""
        ready = [each.ready_at for each in self.replicas if each.ready_at and not each.ended_at]
        since = self.snapshot.since if self.snapshot is not None else 0.0
        return since or min(ready, default=0.0) if self.status is ServiceStatus.READY else 0.0

    def remarks(self) -> list[str]:
        """What its owner should know, one line each."""
        found = [self.reason] if self.reason else []
        now = self.snapshot
        if now is not None:
            found += [now.reason] if now.reason and now.reason not in found else []
            if now.update in (UpdateState.UNDER_WAY, UpdateState.ROLLED_BACK):
                is_coming = now.update is UpdateState.UNDER_WAY
                what = f"version {now.version} is coming" if is_coming else "the last update was rolled back"
                found.append(f"{what}{': ' if now.update_reason else ''}{now.update_reason}")
        return found

    def to_json(self, now: float) -> dict[str, Any]:
        """The object of `serve.status --json`; moments and times in seconds."""
        load, snapshot = self.load, self.snapshot
        return {
            "name": self.name,
            "status": str(self.status),
            "endpoint": self.endpoint,
            "replicas": [self._replica(each, now) for each in self.replicas],
            "cluster": self.stack,
            "version": snapshot.version if snapshot is not None else None,
            "serving": snapshot.serving if snapshot is not None else None,
            "update": str(snapshot.update) if snapshot is not None else None,
            "uptime": round(now - self.up_since, 1) if self.up_since else None,
            "wanted": self.ready[1],
            "ready": self.ready[0],
            "balancer": snapshot.balancer if snapshot is not None else None,
            "qps": load.qps,
            "in_flight": load.in_flight,
            "p50_s": load.p50_s,
            "p99_s": load.p99_s,
            "tokens_per_s": load.tokens_per_s,
            "requests": load.requests,
            "errors": load.errors,
            "reason": "; ".join(self.remarks()),
            "controller": {"alive": self.controller.alive, "since": self.controller.away_since},
        }

    def _replica(self, each: Replica, now: float) -> dict[str, Any]:
        return {
            "id": each.id,
            "status": str(each.status),
            "endpoint": each.address,
            "version": each.version,
            "nodes": list(each.nodes),
            "job": each.job or None,
            "age": round(now - each.created_at, 1) if each.created_at else None,
            "qps": each.load.qps,
            "in_flight": each.load.in_flight,
            "p50_s": each.load.p50_s,
            "p99_s": each.load.p99_s,
            "tokens_per_s": each.load.tokens_per_s,
            "reason": each.reason,
        }
