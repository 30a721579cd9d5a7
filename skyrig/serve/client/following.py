"""Waiting for what a service was asked to become, and telling what goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import JobFailed, NodeLost, SkyrigError
from skyrig.launch.job import CONVERTER, JobRecord
from skyrig.launch.protocol import KeeperGone
from skyrig.progress import Kind, Step, activity
from skyrig.serve.client.link import StewardLink, steward
from skyrig.serve.state import Replica, ReplicaStatus, ServiceStatus, Snapshot, UpdateState

Notify = Callable[[str], None]
"""Takes one line for the reader."""

Current = Callable[[], ClusterDescription | None]
"""Tells what the service's cluster is now: its nodes may be replaced while they are waited for. None where the service
is wanted no more."""

_PATIENCE_S = 60.0
"""How long a head that is being replaced is waited for at a time."""


_TELLING = tuple(
    each for each in ReplicaStatus if each.ended or each in (ReplicaStatus.PENDING, ReplicaStatus.NOT_READY)
)
"""States whose reasons are news. One that starts fails its probes until it has started."""


class Outcome(str, Enum):
    """Where a version has come to."""

    COMING = "coming"
    READY = "ready"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"


def outcome(now: Snapshot, version: int) -> Outcome:
    """What has become of `version`: it is READY once a replica of it is, where it is the first one, or once all that
    are wanted are; also where none is wanted."""
    if now.status is ServiceStatus.FAILED:
        return Outcome.FAILED
    if now.update is UpdateState.ROLLED_BACK and now.serving < version:
        return Outcome.ROLLED_BACK
    if now.version < version or now.update is UpdateState.UNDER_WAY:
        return Outcome.COMING
    if now.status is ServiceStatus.READY and now.serving >= version:
        return Outcome.READY
    return Outcome.READY if now.status is ServiceStatus.NO_REPLICA and not now.wanted.replicas else Outcome.COMING


def news(before: Snapshot | None, now: Snapshot) -> list[str]:
    """What of replicas and of the service itself has changed, in lines."""
    known = {each.id: each for each in before.replicas} if before is not None else {}
    lines = [_said(each) for each in now.replicas if _differs(known.get(each.id), each)]
    if now.reason and (before is None or before.reason != now.reason):
        lines.append(now.reason)
    if now.update is UpdateState.UNDER_WAY and (before is None or before.update is not now.update):
        lines.append(f"version {now.version} is coming, version {now.serving} serves meanwhile")
    return lines


async def until_ready(current: Current, notify: Notify, name: str) -> Snapshot:
    """Wait until the version of the service called `name` that its steward was just handed serves; what is known of it
    then. JobFailed with the last lines of a replica where it never will; SkyrigError where it was rolled back."""
    before: Snapshot | None = None
    version = 0
    desc = current()
    while desc is not None:
        try:
            with activity(notify, Step(Kind.WAIT, name, "is coming up")):
                async with steward(desc, patience_s=_PATIENCE_S, notify=notify) as link:
                    async for now in link.watch():
                        if now is None:  # a steward that has only just begun, or one that was told to stop
                            if await asyncio.to_thread(current) is None:
                                break
                            continue
                        for line in news(before, now):
                            notify(f"{name}: {line}")
                        version = version or now.version
                        before, found = now, outcome(now, version)
                        if found is Outcome.READY:
                            return now
                        if found is not Outcome.COMING:
                            raise await _failure(link, now, found, version, notify)
        except (NodeLost, KeeperGone) as error:
            notify(f"{name}: {error.message}: waiting until it is back")
        after = await asyncio.to_thread(current)
        if after == desc:
            await asyncio.sleep(1.0)  # the next try waits for the head itself; this is for one that lets in and drops
        desc = after
    raise SkyrigError(f"service {name} was taken down meanwhile")


async def _failure(link: StewardLink, now: Snapshot, found: Outcome, version: int, notify: Notify) -> SkyrigError:
    """Why a version does not serve, after its replica's last lines were told."""
    failed = [each for each in now.replicas if each.status.ended and each.version == version]
    last = next((each for each in reversed(failed) if each.last_lines), failed[-1] if failed else None)
    for line in last.last_lines if last is not None else ():
        notify(f"    {line}")
    if found is Outcome.ROLLED_BACK:
        why = now.update_reason or (last.reason if last is not None else "it never became ready")
        return SkyrigError(f"version {version} was rolled back: {why}", hint=f"version {now.serving} serves on")
    reason = now.reason or (last.reason if last is not None else "no replica ever became ready")
    code = await _code(link, last) if last is not None else None
    return JobFailed(f"service {now.name} FAILED: {reason}", code=code or SkyrigError.exit_code)


async def _code(link: StewardLink, replica: Replica) -> int | None:
    """Exit code of a replica that ended by itself."""
    if replica.status is not ReplicaStatus.FAILED:
        return None
    try:
        records = CONVERTER.structure((await link.keeper.ask({"op": "queue"}))["records"], list[JobRecord])
    except (KeeperGone, NodeLost):
        return None
    return next((each.exit_code for each in records if each.id == replica.job), None)


def _differs(before: Replica | None, now: Replica) -> bool:
    if before is None:
        return not now.status.ended
    return before.status is not now.status or (now.status in _TELLING and before.reason != now.reason)


def _said(replica: Replica) -> str:
    where = f" on {', '.join(replica.nodes)}" if replica.nodes and not replica.status.ended else ""
    why = f": {replica.reason}" if replica.reason and replica.status in _TELLING else ""
    return f"replica {replica.id} (version {replica.version}) {replica.status}{where}{why}"
