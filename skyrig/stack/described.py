"""The cluster description of a stack, read once per deployment.

An engine call costs half a second, so what it said is kept in the stack's folder (0600, it holds the client's key)
and stays good while the stack's state file is the very one it was read from. Other backends have no such file: there
every process asks the engine once.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

from attrs import evolve

from skyrig import places
from skyrig.cluster import description
from skyrig.cluster.description import ClusterDescription
from skyrig.stack import autostopped, backend, engine, ssh_files

_KEPT, _LOST = "cluster.json", "cluster.lost.json"
"""Where a description is kept in the stack's folder: of the last deployment, and of one whose state is lost."""

Notify = Callable[[str], None]
"""Takes one line for the reader."""


def _silent(line: str) -> None:
    """For whoever only looks: that plain ssh learns of the cluster by the way is no news to them."""


def describe(stack: str, *, fresh: bool = False, notify: Notify = _silent) -> ClusterDescription | None:
    """The description of what `stack` has now, with the client's private key; None where there is no cluster (any
    more: it may have ended itself). `fresh` re-reads it whatever the cache says. What is read anew plain `ssh` knows
    from then on."""
    cluster = last(stack, fresh=fresh, notify=notify)
    return None if cluster is None or autostopped.is_gone(cluster) else cluster


def last(stack: str, *, fresh: bool = False, notify: Notify = _silent) -> ClusterDescription | None:
    """The description that the last deployment exported, also of a cluster that has ended itself since."""
    now = mark(stack)
    if now is None and backend.folder() is not None:
        lose(stack)
        return None
    if not fresh and now is not None:
        kept = known(stack)
        if kept is not None:
            return kept
    if _is_empty(stack):
        forget(stack)
        return None
    outputs = json.loads(engine.query(["stack", "output", "--json", "--show-secrets"], stack=stack))
    if not outputs.get("cluster"):
        forget(stack)
        return None
    described = _with_key(description.from_json(outputs["cluster"]), outputs)
    _keep(stack, now, described, notify)
    return described


def known(stack: str) -> ClusterDescription | None:
    """The description that was read last, without asking the engine; None where the deployment is another by now, or
    one is under way."""
    now = mark(stack)
    return _kept(stack, now) if now is not None else None


def forget(stack: str, notify: Notify = _silent) -> None:
    """Drop what was kept of the stack's cluster, key material included."""
    for name in (_KEPT, _LOST):
        (places.stack(stack) / name).unlink(missing_ok=True)
    ssh_files.remove(stack, notify)


def lose(stack: str) -> None:
    """What was known of a cluster whose state is not there any more goes where only `adopt` looks: its nodes may well
    be there, and this has the only key to them."""
    with contextlib.suppress(FileNotFoundError):
        (places.stack(stack) / _KEPT).replace(places.stack(stack) / _LOST)
    ssh_files.remove(stack, _silent)


def lost(stack: str) -> ClusterDescription | None:
    """What was known of a cluster whose state is lost, with its key; None where nothing was kept."""
    for name in (_KEPT, _LOST):
        try:
            return description.from_json(json.loads((places.stack(stack) / name).read_bytes())["cluster"])
        except (OSError, ValueError, KeyError, TypeError, description.BadDescription):
            continue
    return None


def _is_empty(stack: str) -> bool:
    """Whether a file backend's state holds no resource: then the engine need not be asked."""
    state = backend.state(stack)
    return state is not None and not state.get("resources")


def _with_key(described: ClusterDescription, outputs: dict[str, Any]) -> ClusterDescription:
    if described.ssh.private_key:
        return described
    return evolve(described, ssh=evolve(described.ssh, private_key=str(outputs.get("client_key", ""))))


def mark(stack: str) -> list[int] | None:
    """What tells this deployment of a stack from the next one, by its state file. None where there is no such stack,
    and on a backend that is no folder."""
    file = backend.state_file(stack)
    try:
        stat = file.stat() if file else None
    except FileNotFoundError:
        return None
    return [stat.st_mtime_ns, stat.st_size, stat.st_ino] if stat else None


def _kept(stack: str, now: list[int]) -> ClusterDescription | None:
    try:
        document = json.loads((places.stack(stack) / _KEPT).read_bytes())
        if document["mark"] != [os.fspath(backend.state_file(stack) or ""), *now]:
            return None
        return description.from_json(document["cluster"])
    except (OSError, ValueError, KeyError, TypeError, description.BadDescription):
        return None


def _keep(stack: str, now: list[int] | None, described: ClusterDescription, notify: Notify) -> None:
    ssh_files.publish(stack, described, notify)
    if now is not None:
        where = os.fspath(backend.state_file(stack) or "")
        document = {"mark": [where, *now], "cluster": described.to_json()}
        ssh_files.replace(places.stack(stack) / _KEPT, json.dumps(document))
        (places.stack(stack) / _LOST).unlink(missing_ok=True)
