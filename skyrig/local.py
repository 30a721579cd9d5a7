"""The local cloud from outside its clusters: which nodes run on this machine, preempting one, sweeping leftovers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen

from skyrig import places
from skyrig.clouds.cloud import Leftover, TaggedStack
from skyrig.cluster import owner, sites
from skyrig.cluster.description import Node
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, SkyrigError
from skyrig.fleet.local import ailing, capacity, partition, preemption
from skyrig.fleet.local.layout import LocalNodeError, NodeFolder

_STATUS = {"up": "UP", "stopped": "STOPPED", "gone": "DOWN", "ended": "DOWN"}


@frozen
class LocalNode:
    """One node of the local cloud; `rank` is -1 where its cluster does not name it any more. `status` is UP, STOPPED
    (on purpose) or DOWN. `zone` is "" where nobody has said which; `leaves_at` is when it will be preempted, unix time,
    0 where nobody has said so. On purpose: `is_cut` whether it is cut off from the others, `hidden` how many
    accelerators are hidden, `clock_off_s` by how much its clock is off."""

    name: str
    cluster: str
    rank: int
    pid: int
    port: int
    status: str
    zone: str = ""
    spot: bool = False
    leaves_at: float = 0.0
    is_cut: bool = False
    hidden: int = 0
    clock_off_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The object of `local.ls --json`."""
        return {
            "name": self.name,
            "cluster": self.cluster,
            "rank": self.rank,
            "pid": self.pid,
            "port": self.port,
            "status": self.status,
            "zone": self.zone,
            "spot": self.spot,
            "cut": self.is_cut,
            "hidden": self.hidden,
            "clock_off_s": self.clock_off_s,
        }


def nodes() -> list[LocalNode]:
    """All local nodes of all stacks, by cluster and rank."""
    found = []
    for root in sorted(places.local_nodes("any").parent.glob("*")):
        known = _described(root.name)
        folders = [folder for folder in root.glob("*") if NodeFolder(folder).lock.exists()]
        found += [_node(folder, known.get(folder.name)) for folder in folders]
    return sorted(found, key=lambda node: (node.cluster, node.rank < 0, node.rank, node.name))


@frozen
class Room:
    """How many nodes a place of the local cloud has, and how many it has room for at most; None: any number. Of spot
    and on demand apart likewise. `until` is when the first of its limits ends, unix time, None where none does."""

    place: str
    nodes: int
    most: int | None = None
    spot: int | None = None
    ondemand: int | None = None
    until: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The object of `local.capacity --json`."""
        limits = {"all": self.most, "spot": self.spot, "on_demand": self.ondemand}
        return {"place": self.place, "nodes": self.nodes, "limits": limits, "until": self.until}


def rooms() -> list[Room]:
    """Every place of the local cloud, the whole of it first."""
    root = places.local_nodes("any").parent
    limits, there = capacity.limits(root), capacity.taken(root)
    found = []
    for place in sites.every():
        own = {limit.market: limit for limit in limits if limit.place == place}
        most = {market: own[market].most if market in own else None for market in capacity.MARKETS}
        ends = [limit.until for limit in own.values() if limit.until is not None]
        count = sum(place in sites.around(each.zone) for each in there)
        found.append(Room(place, count, most["all"], most["spot"], most["on-demand"], min(ends, default=None)))
    return found


def limit(place: str, most: int | None, market: str = "all", for_s: float | None = None) -> None:
    """Have a place of the local cloud make `most` nodes of a market at most (None: any number), for so many seconds or
    for good. BadInput where there is no such place."""
    where = sites.path(*sites.named(place))
    until = time.time() + for_s if for_s is not None else None
    capacity.set_limit(places.local_nodes("any").parent, where, {market: most}, until)


def is_limited() -> bool:
    """Whether anybody has limited the capacity of a place."""
    return bool(capacity.limits(places.local_nodes("any").parent))


def isolation(shape: Shape) -> str:
    """The level that local nodes of this shape get: "namespaces" or "plain", found by trying where it is "auto"."""
    if shape.isolation != "auto":
        return shape.isolation
    asked = json.dumps({"folder": str(places.home())})
    words = [sys.executable, "-I", "-m", "skyrig.fleet.local", "probe"]
    done = subprocess.run(words, input=asked, capture_output=True, text=True, check=False)
    try:
        return str(json.loads(done.stdout)["level"])
    except (ValueError, KeyError) as error:
        raise SkyrigError(f"local nodes cannot be tried here: {(done.stdout or done.stderr).strip()}") from error


def preempt(name: str, cluster: str | None = None, *, notice_s: int = 0) -> LocalNode:
    """Kill a node, as a cloud that takes its machine back: at once, or after it was told so and `notice_s` seconds have
    passed, whoever lives then. `name` is NODE or CLUSTER/NODE; BadInput where it names none or several, or one that is
    dead already."""
    node = _named(name, cluster)
    take(node, notice_s)
    return node


def cut_off(name: str, cluster: str | None = None, *, for_s: float | None = None) -> LocalNode:
    """Cut a node off from the other nodes of its cluster and from the outside, for so many seconds or until it is
    connected; its processes run on. `name` and errors as for `preempt`, and BadInput where it shares this machine's
    network."""
    node = _named(name, cluster)
    folder = places.local_nodes(node.cluster) / node.name
    until = time.time() + for_s if for_s is not None else 0.0
    said = _asked("cut", {"folder": str(folder), "until": until})
    if for_s is not None:
        _leave_behind("mend", {"folder": str(folder), "id": said["id"], "at": until})
    return node


def connect(name: str, cluster: str | None = None) -> LocalNode:
    """End what `cut_off` did. BadInput where the node is not cut off."""
    node = _named(name, cluster)
    if not _asked("mend", {"folder": str(places.local_nodes(node.cluster) / node.name)})["mended"]:
        raise BadInput(f"node {node.cluster}/{node.name} is not cut off")
    return node


def hide(name: str, cluster: str | None = None, *, devices: int = 1) -> LocalNode:
    """Hide the last so many declared accelerators of a node from its nvidia-smi, as a GPU that fell off its bus is
    hidden; 0 shows all of them again. `name` and errors as for `preempt`, and BadInput where it does not declare so
    many."""
    node = _named(name, cluster)
    try:
        ailing.hide(places.local_nodes(node.cluster) / node.name, devices)
    except LocalNodeError as error:
        raise BadInput(error.message) from None
    return node


def set_clock(name: str, cluster: str | None = None, *, off_s: float) -> LocalNode:
    """Have a node say a clock that is off by so many seconds when it is looked at; 0 ends that. `name` and errors as
    for `preempt`."""
    node = _named(name, cluster)
    ailing.set_clock(places.local_nodes(node.cluster) / node.name, off_s)
    return node


def _named(name: str, cluster: str | None) -> LocalNode:
    """The node that is up and called NODE or CLUSTER/NODE; BadInput where there is none, or several."""
    inside, _, plain = name.rpartition("/")
    wanted = inside or cluster
    fitting = [node for node in nodes() if node.name == plain and wanted in (None, "", node.cluster)]
    if not fitting:
        raise BadInput(f"no local node is called {name}", hint="`local.ls` lists them")
    if len(fitting) > 1:
        choice = ", ".join(f"{node.cluster}/{node.name}" for node in fitting)
        raise BadInput(f"several local nodes are called {name}: {choice}", hint="give CLUSTER/NODE")
    node = fitting[0]
    if node.status != "UP":
        how = "stopped" if node.status == "STOPPED" else "dead already"
        raise BadInput(f"node {node.cluster}/{node.name} is {how}", hint=f"`up -c {node.cluster}` brings it back")
    return node


def _asked(verb: str, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of a program of the local cloud; BadInput with what it says is wrong."""
    words = [sys.executable, "-I", "-m", "skyrig.fleet.local", verb]
    done = subprocess.run(words, input=json.dumps(request), capture_output=True, text=True, check=False)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise SkyrigError(f"local {verb} ended with code {done.returncode}: {done.stderr.strip()}") from error
    if "error" in answer:
        raise BadInput(answer["error"])
    return answer


def _leave_behind(verb: str, request: dict[str, Any]) -> None:
    """Start a program of the local cloud that waits for its time, and outlives this process."""
    words = [sys.executable, "-I", "-m", "skyrig.fleet.local", verb]
    quiet = subprocess.DEVNULL
    started = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True)
    assert started.stdin
    started.stdin.write(json.dumps(request).encode())
    started.stdin.close()


def take(node: LocalNode, notice_s: int = 0) -> bool:
    """Kill a node that is up, at once or after a notice; false where it is gone already."""
    if notice_s:
        _kill_later(node, notice_s)
        return True
    try:
        os.kill(node.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _kill_later(node: LocalNode, after_s: int) -> None:
    """Warn a node, and leave a process behind that kills it."""
    folder = places.local_nodes(node.cluster) / node.name
    state = NodeFolder(folder).read_state() or {}
    at = preemption.announce(folder, after_s)
    _leave_behind("kill", {"folder": str(folder), "incarnation": state.get("incarnation", ""), "at": at})


def sweep(cluster: str, notify: Callable[[str], None]) -> None:
    """End and remove local nodes that are left although their cluster was destroyed, and say so."""
    from skyrig.fleet.local import node

    root = places.local_nodes(cluster)
    for folder in sorted(root.glob("*")):
        if NodeFolder(folder).lock.exists():
            notify(f"sweeping up node {folder.name}, which the engine had forgotten")
    if root.exists():
        node.stop_all(root)


def tagged() -> list[TaggedStack]:
    """All that runs on this machine for stacks, whether anybody knows them or not: nodes and bucket servers. What these
    servers serve stays when they end."""
    from skyrig.storage.local import server

    nodes = {root.name: [each for each in root.glob("*") if NodeFolder(each).lock.exists()]
             for root in places.local_nodes("any").parent.glob("[!.]*")}  # fmt: skip
    stores = {root.name: root for root in places.storage("any").parent.glob("[!.]*")}
    found = []
    for stack in sorted({*nodes, *stores}):
        left = [_left("node", each.name, NodeFolder(each).lock) for each in sorted(nodes.get(stack, ()))]
        if stack in stores and server.check(stores[stack]):
            left.append(_left("bucket server", stack, stores[stack]))
        kept = (f"the data in {stores[stack]}",) if stack in stores else ()
        if left or kept:
            found.append(TaggedStack(stack, "local", "", owner=owner.here(), left=tuple(left), kept=kept))
    return found


def end(stack: str, notify: Callable[[str], None]) -> None:
    """End all that runs on this machine for a stack: its nodes, their network, its bucket server."""
    from skyrig.storage.local import server

    sweep(stack, notify)
    server.stop(places.storage(stack))


def _left(kind: str, name: str, made: Path) -> Leftover:
    return Leftover(kind, name, since=made.stat().st_mtime)


def _node(folder: Path, known: Node | None) -> LocalNode:
    """A node, with what its cluster's description says of it."""
    node = NodeFolder(folder)
    state = node.read_state() or {}
    request = state.get("request", {})
    return LocalNode(
        name=folder.name,
        cluster=folder.parent.name,
        rank=known.rank if known is not None else -1,
        pid=int(state.get("pid", 0)),
        port=int(state.get("port", 0)),
        status=_STATUS[node.power()],
        zone=request.get("zone", ""),
        spot=known.spot if known is not None else bool(request.get("spot")),
        leaves_at=preemption.told(folder),
        is_cut=partition.is_cut(folder),
        hidden=ailing.hidden(folder),
        clock_off_s=ailing.clock(folder),
    )


def _described(cluster: str) -> dict[str, Node]:
    """Nodes as their cluster's description has them, by id; none where the cluster cannot be asked: its nodes are shown
    all the same."""
    from skyrig.stack import described

    try:
        description = described.describe(cluster)
    except SkyrigError:
        return {}
    return {node.id: node for node in description.nodes} if description else {}
