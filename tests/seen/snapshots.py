"""Snapshots as a steward sends them, for tests."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from skyrig.serve.state import Load, Replica, ReplicaStatus, ServiceStatus, Snapshot, UpdateState, Wanted

NASTY = "<img src=x onerror=\"console.log('INJECTED')\"></td><script>console.log('INJECTED')</script>&amp;'\"`${1}"
"""What a replica's last words may be."""

BUSY = Snapshot(
    name="chat",
    status=ServiceStatus.READY,
    version=2,
    serving=1,
    port=30001,
    since=1000.0,
    replicas=(
        Replica(
            id=1,
            version=1,
            status=ReplicaStatus.READY,
            nodes=("node-0",),
            address="10.0.0.1:8000",
            job=3,
            created_at=1000.0,
            ready_at=1010.0,
            load=Load(qps=12.5, in_flight=3, p50_s=0.12, p99_s=0.48, tokens_per_s=812.0, requests=900),
        ),
        Replica(
            id=2,
            version=2,
            status=ReplicaStatus.FAILED,
            nodes=("node-1",),
            created_at=1500.0,
            ended_at=1590.0,
            reason=f"exit code 1 {NASTY}",
            last_lines=("Traceback", NASTY),
        ),
    ),
    wanted=Wanted(replicas=3, nodes=3, why="3 replicas for 50 requests a second, 20 each"),
    load=Load(qps=12.5, in_flight=3, p50_s=0.12, p99_s=0.48, tokens_per_s=812.0, requests=12345, errors=7),
    update=UpdateState.UNDER_WAY,
    update_reason="replica 2 of version 2 failed",
    at=4700.0,
)


def busy(**changes: Any) -> Snapshot:
    """BUSY with another load."""
    return evolve(BUSY, load=evolve(BUSY.load, **changes))
