"""Tables: drawn on a terminal, plain columns in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skyrig.cli.live.tables import draw
from skyrig.cluster.policy import said_left
from skyrig.progress import columns

if TYPE_CHECKING:
    from skyrig.catalog.accelerators import Listed, Summary
    from skyrig.checking import Checked
    from skyrig.images.containers import Container
    from skyrig.launch.job import JobRecord
    from skyrig.listing import Listed as Image
    from skyrig.local import LocalNode, Room
    from skyrig.recovery.tagged import Found
    from skyrig.stack.status import ClusterStatus
    from skyrig.storage.owned import OwnedBucket


def clusters(found: Sequence[ClusterStatus], *, detailed: bool) -> None:
    """Clusters, one a row; with `detailed` their nodes below."""
    rows = [
        [
            cluster.name,
            cluster.status,
            f"{cluster.cloud}/{cluster.isolation}" if cluster.isolation else cluster.cloud or "-",
            f"{sum(node.status == 'UP' for node in cluster.nodes)}/{len(cluster.nodes)}",
            f"${cluster.hourly_cost:.2f}/h",
            _autostop(cluster),
        ]
        for cluster in found
    ]
    table(["CLUSTER", "STATUS", "CLOUD", "NODES UP", "COST", "AUTOSTOP"], rows, "no clusters")
    for cluster in found:
        if cluster.reason:
            left = "; nothing is left that costs; job records and logs are kept" if cluster.status == "DOWN" else ""
            print(f"{cluster.name}: {cluster.reason}{left}")
        elif cluster.ttl is not None:
            how = "ends" if cluster.ttl["action"] == "down" else "stops"
            print(f"{cluster.name}: {how} in {said_left(cluster.ttl['ends_at'] - time.time())}, whatever runs")
    for cluster in found:
        if cluster.owner:
            how = "carries" if cluster.owner.startswith("service") else "belongs to"
            print(f"{cluster.name}: {how} {cluster.owner}")
        for node in cluster.nodes:
            if node.cordoned:
                print(f"{cluster.name}: {node.name} gets no jobs: {node.cordoned}; `up -c {cluster.name}` replaces it")
    if detailed:
        nodes = [
            [n.rank, n.name, f"{n.host}:{n.port}", f"{n.status}, cordoned" if n.cordoned else n.status, _market(n.spot)]
            for each in found
            for n in each.nodes
        ]
        if nodes:
            print()
            table(["RANK", "NODE", "ADDRESS", "STATUS", "PAID"], nodes, "")
        for cluster in found:
            if cluster.endpoints:
                print()
                table(["PORT", "ENDPOINT"], list(cluster.endpoints.items()), "")


def buckets(found: Sequence[OwnedBucket]) -> None:
    """Buckets, one a row."""
    rows = [[each.name, each.store, each.url, each.stack, "yes" if each.persistent else "no"] for each in found]
    table(["BUCKET", "STORE", "URL", "STACK", "OUTLIVES ITS CLUSTER"], rows, "no buckets")


def images(found: Sequence[Image], held: Sequence[Container]) -> None:
    """Machine images, then containers, one a row."""
    rows = []
    for each in found:
        made, setup = each.made, each.saves
        rows.append(
            [
                each.name,
                made.cloud if made else "",
                made.where if made else "",
                time.strftime("%Y-%m-%d %H:%M", time.localtime(made.made_at)) if made else "",
                f"{setup.seconds:.0f} s" if setup else "",
                ", ".join(each.used_by),
                "cut off: build it again, or delete it" if each.unfinished else "",
            ]
        )
    for one in held:
        built = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.made_at))
        rows.append([one.name, "container", one.pushed or str(one.folder), built, f"{one.seconds:.0f} s", "", ""])
    table(["IMAGE", "CLOUD", "WHERE", "BUILT", "SAVES SETUP OF", "USED BY", ""], rows, "no images")


def checked(found: Sequence[Checked]) -> None:
    """Clouds and what was looked at, one finding a row."""
    marks = {True: "ok", False: "NO", None: "?"}
    rows = [
        [one.cloud if number == 0 else "", marks[each.ok], each.what, each.said]
        for one in found
        for number, each in enumerate(one.findings)
    ]
    table(["CLOUD", "", "WHAT", "SEEN, OR WHAT TO DO"], rows, "no clouds")


def accelerators(found: Sequence[Summary]) -> None:
    """Accelerators, one row a cloud that has them."""
    from skyrig.catalog import ages

    rows, before = [], ""
    for one in found:
        kind, cheap = one.each.kind, one.on_demand
        name, before = "" if one.accelerator == before else one.accelerator, one.accelerator
        rows.append(
            [
                name,
                f"{', '.join(f'{each:g}' for each in one.memory_gib)} GiB" if one.memory_gib else "-",
                one.cloud,
                ", ".join(f"{count:g}" if count else "?" for count in one.counts),
                kind.name,
                f"{kind.cpus:g}" if kind.cpus else "-",
                _gib(kind.memory_gib),
                kind.fabric,
                _hourly(cheap.on_demand if cheap else None, cheap.region if cheap else ""),
                _hourly(one.spot.spot if one.spot else None, one.spot.region if one.spot else ""),
                ages.said(one.each.as_of) if one.each.as_of else "-",
            ]
        )
    heads = ["ACCELERATOR", "EACH", "CLOUD", "COUNTS", "CHEAPEST TYPE", "CPUS", "MEMORY", "FABRIC", "ON DEMAND"]
    table([*heads, "SPOT", "PRICE"], rows, "no accelerators there")
    if found:
        print(f"\n{_PRICES}")


def accelerator_offers(found: Sequence[Listed]) -> None:
    """Types with accelerators, one a row and region."""
    from skyrig.catalog import ages

    rows = [
        [
            f"{one.kind.accelerator}:{one.kind.accelerator_count:g}"
            if one.kind.accelerator_count
            else one.kind.accelerator,
            one.kind.cloud,
            one.kind.name,
            one.region or "-",
            _gib(one.kind.accelerator_memory_gib),
            f"{one.kind.cpus:g}" if one.kind.cpus else "-",
            _gib(one.kind.memory_gib),
            one.kind.fabric,
            _hourly(one.on_demand),
            _hourly(one.spot),
            ages.said(one.as_of) if one.as_of else "-",
        ]
        for one in found
    ]
    heads = ["ACCELERATOR", "CLOUD", "TYPE", "REGION", "EACH", "CPUS", "MEMORY", "FABRIC", "ON DEMAND", "SPOT", "PRICE"]
    table(heads, rows, "no offer has that")
    if found:
        print(f"\n{_PRICES}")


def jobs(found: Sequence[JobRecord]) -> None:
    """Jobs, one a row."""
    rows = [
        [
            job.id,
            job.name,
            job.status.value,
            _clock(job.submitted_at),
            _took(job),
            job.num_nodes,
            _code(job),
            job.reason,
        ]
        for job in found
    ]
    table(["JOB", "NAME", "STATUS", "SUBMITTED", "TOOK", "NODES", "EXIT", "REASON"], rows, "no jobs")


def tagged(found: Sequence[Found]) -> None:
    """What carries Skyrig's tags, one stack and place a row."""
    rows = [
        [
            each.seen.stack,
            each.seen.place,
            each.seen.owner or "-",
            each.seen.what,
            _age(each.seen.since),
            f"${each.seen.hourly:.4f}/h{'' if each.seen.is_priced else ' and more'}",
            {"known": "known", "lost": "state lost", "theirs": "another's"}[each.state],
        ]
        for each in found
    ]
    table(["STACK", "WHERE", "OWNER", "WHAT", "AGE", "COST", "STATE"], rows, "nothing carries the tags of Skyrig")
    for each in found:
        for kept in each.seen.kept:
            print(f"{each.seen.stack}: {kept} is never removed by this")


def local_nodes(found: Sequence[LocalNode]) -> None:
    """Local nodes, one a row."""
    rows = [
        [n.cluster, "-" if n.rank < 0 else n.rank, n.name, n.pid, n.port, _status(n), n.zone or "-", _market(n.spot)]
        for n in found
    ]
    table(["CLUSTER", "RANK", "NODE", "PID", "PORT", "STATUS", "ZONE", "PAID"], rows, "no local nodes")


def _status(node: LocalNode) -> str:
    ails = [f"{node.hidden} hidden"] if node.hidden else []
    ails += [f"clock {node.clock_off_s:+g} s"] if node.clock_off_s else []
    return ", ".join(["CUT OFF" if node.is_cut else node.status, *ails])


def local_rooms(found: Sequence[Room]) -> None:
    """Places of the local cloud, one a row."""
    rows = [
        [
            room.place,
            room.nodes,
            *("any" if most is None else most for most in (room.most, room.spot, room.ondemand)),
            "-" if room.until is None else f"{max(room.until - time.time(), 0):.0f} s",
        ]
        for room in found
    ]
    table(["PLACE", "NODES", "MOST", "SPOT", "ON DEMAND", "FOR"], rows, "")


def _market(spot: bool) -> str:
    return "spot" if spot else "on demand"


def job_json(job: JobRecord) -> dict[str, Any]:
    """A job as `queue --json` shows it; times in seconds since the epoch, null where not yet."""
    return {
        "id": job.id,
        "name": job.name,
        "status": job.status.value,
        "submitted_at": job.submitted_at or None,
        "started_at": job.started_at or None,
        "ended_at": job.ended_at or None,
        "num_nodes": job.num_nodes,
        "exit_codes": [None if code < 0 else code for code in job.exit_codes],
        "exit_code": job.exit_code,
        "nodes": list(job.nodes),
        "culprit": None if job.culprit < 0 else job.culprit,
        "reason": job.reason,
        "user": job.user,
    }


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print `rows` under `heads`, or the line `empty` where there is none."""
    if not rows:
        print(empty)
        return
    texts = [[str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        draw(heads, texts, sys.stdout)
        return
    print(*columns(heads, texts), sep="\n")


_PRICES = "Prices are of one node; `catalog.refresh` gets today's."


def _hourly(price: float | None, region: str = "") -> str:
    return "-" if price is None else f"${price:.2f}/h {region}".rstrip()


def _gib(amount: float) -> str:
    return f"{amount:g} GiB" if amount else "-"


def _autostop(cluster: ClusterStatus) -> str:
    """When a cluster switches itself off: `10m`, `10m down`; "-" where it does not."""
    set_to = cluster.autostop
    return f"{set_to['idle_minutes']:g}m{' down' if set_to['down'] else ''}" if set_to else "-"


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else "-"


def _age(since: float | None) -> str:
    """How old something is, in its largest unit: `3 d`."""
    if since is None:
        return "-"
    seconds = max(time.time() - since, 0.0)
    unit, length = next((each for each in (("d", 86400), ("h", 3600), ("min", 60)) if seconds >= each[1]), ("s", 1))
    return f"{seconds / length:.0f} {unit}"


def _took(job: JobRecord) -> str:
    if not job.started_at:
        return "-"
    return f"{(job.ended_at or time.time()) - job.started_at:.0f} s"


def _code(job: JobRecord) -> str:
    return "-" if job.exit_code is None else str(job.exit_code)
