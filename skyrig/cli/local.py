"""The local cloud: its nodes, and faults on purpose."""

from __future__ import annotations

import json
import math
import secrets

from skyrig.cli import flags
from skyrig.cli.verb import Values, flag, notify, positional, verb, whole
from skyrig.errors import BadInput


@verb("ls", [*flags.JSON])
def ls(values: Values) -> None:
    """Show the nodes that run on this machine."""
    from skyrig import local
    from skyrig.cli import tables

    as_json = flags.wants_json(values)
    found = local.nodes()
    if as_json:
        print(json.dumps({"nodes": [node.to_json() for node in found]}, indent=2))
    else:
        tables.local_nodes(found)


@verb(
    "preempt",
    [
        positional("node", "NODE or CLUSTER/NODE; with --every random nodes", optional=True),
        flags.CLUSTER,
        flag("notice", "warn it and its jobs so many seconds before"),
        flag("every", "preempt a random spot node so often in the mean, again and again: 60s, 10m"),
        flag("any", "with --every: nodes that are not spot too", kind=bool),
        flag("for", "with --every: end after this time: 10m"),
        flag("count", "with --every: end after so many nodes"),
        flag("seed", "with --every: a number; the same one means the same moments and picks"),
    ],
)
def preempt(values: Values) -> None:
    """Kill a node, as a cloud that takes its machine back; with --every one after the other, at random."""
    from skyrig import local

    notice_s = values.whole("notice")
    if notice_s == 0:
        raise BadInput("--notice 0: at least 1 second is wanted", hint="without --notice the node is killed at once")
    named, storms = values.text("node"), values.text("every") is not None
    if not storms and (lost := [name for name in ("any", "for", "count", "seed") if values.given.get(name)]):
        raise BadInput(f"--{lost[0]} goes with --every")
    if (named is None) != storms:
        raise BadInput("a node is wanted, or --every TIME: one of them", hint="`local.ls` lists the nodes")
    if named is None:
        _storm(values, notice_s or 0)
        return
    node = local.preempt(named, values.text("cluster"), notice_s=notice_s or 0)
    print(f"node {node.cluster}/{node.name} {f'will be killed in {notice_s} s' if notice_s else 'was killed'}")


def _storm(values: Values, notice_s: int) -> None:
    """Preempt random nodes until it is over, or until Ctrl-C."""
    from skyrig import preempting

    seed, count, lasts_s = values.whole("seed"), values.whole("count"), _seconds(values, "for")
    storm = preempting.Storm(
        seed=secrets.randbelow(10**9) if seed is None else seed,
        every_s=_seconds(values, "every") or 0.0,
        notice_s=notice_s,
        cluster=values.text("cluster") or "",
        any_market=values.switch("any"),
        lasts_s=math.inf if lasts_s is None else lasts_s,
        count=math.inf if count is None else count,
    )
    if count == 0:
        raise BadInput("--count 0: at least 1 node is wanted")
    notify(f"a preemption every {values.text('every')} in the mean; --seed {storm.seed} does the same again")
    taken = preempting.run(storm, lambda line: print(line, flush=True))
    notify(f"{taken} node{'' if taken == 1 else 's'} preempted")


@verb(
    "partition",
    [
        positional("node", "NODE or CLUSTER/NODE"),
        flags.CLUSTER,
        flag("for", "end it after this time: 30s, 5m"),
        flag("end", "connect the node again", kind=bool),
    ],
)
def partition(values: Values) -> None:
    """Cut a node off from the others of its cluster, or connect it again; what runs in it runs on."""
    from skyrig import local

    named, for_s = str(values.given["node"]), _seconds(values, "for")
    if values.switch("end"):
        if for_s is not None:
            raise BadInput("--end and --for say different things", hint="give one of them")
        node = local.connect(named, values.text("cluster"))
        print(f"node {node.cluster}/{node.name} is connected again")
        return
    node = local.cut_off(named, values.text("cluster"), for_s=for_s)
    ends = f"for {for_s:.0f} s" if for_s is not None else f"until `local.partition {node.cluster}/{node.name} --end`"
    print(f"node {node.cluster}/{node.name} is cut off {ends}")


@verb(
    "hide",
    [
        positional("node", "NODE or CLUSTER/NODE"),
        flags.CLUSTER,
        flag("devices", "so many of its declared accelerators, 1 without it"),
        flag("end", "show all of them again", kind=bool),
    ],
)
def hide(values: Values) -> None:
    """Hide accelerators that a node declares, as GPUs that have fallen off their bus."""
    from skyrig import local

    devices, ends = values.whole("devices"), values.switch("end")
    if ends and devices is not None:
        raise BadInput("--end and --devices say different things", hint="give one of them")
    if devices == 0:
        raise BadInput("--devices 0: at least 1 is wanted", hint="--end shows all of them again")
    count = 0 if ends else devices or 1
    node = local.hide(str(values.given["node"]), values.text("cluster"), devices=count)
    named = f"{node.cluster}/{node.name}"
    done = "shows all its accelerators again" if ends else f"hides {count} of its accelerators"
    print(f"node {named} {done}")


@verb(
    "clock",
    [
        positional("node", "NODE or CLUSTER/NODE"),
        flags.CLUSTER,
        flag("by", "so many seconds: 30, -2.5"),
        flag("end", "as it was", kind=bool),
    ],
)
def clock(values: Values) -> None:
    """Have a node's clock be off, for whoever looks at the node."""
    from skyrig import local

    said = values.text("by")
    if (said is None) != values.switch("end"):
        raise BadInput("--by SECONDS is wanted, or --end: one of them")
    try:
        off_s = float(said or 0)
    except ValueError:
        off_s = math.nan
    if not math.isfinite(off_s):
        raise BadInput(f"--by {said}: a number of seconds is wanted", hint="30, -2.5")
    node = local.set_clock(str(values.given["node"]), values.text("cluster"), off_s=off_s)
    named = f"node {node.cluster}/{node.name}"
    print(f"the clock of {named} is off by {off_s:+g} s" if off_s else f"the clock of {named} is as it was")


@verb(
    "capacity",
    [
        positional("place", "local, here, there, here-a, here-b or there-a; all without it", optional=True),
        positional("nodes", "how many nodes it has room for: a number, none or any", optional=True),
        flag("spot", "of spot nodes alone", kind=bool),
        flag("on-demand", "of nodes on demand alone", kind=bool),
        flag("for", "only for this time: 30s, 10m"),
        *flags.JSON,
    ],
)
def capacity(values: Values) -> None:
    """Show how many nodes the places of the local cloud have room for, or say it."""
    from skyrig import local
    from skyrig.cli import tables
    from skyrig.cluster import sites

    as_json, place, said = flags.wants_json(values), values.text("place"), values.text("nodes")
    for_s, spot, ondemand = _seconds(values, "for"), values.switch("spot"), values.switch("on-demand")
    if said is None and (for_s is not None or spot or ondemand):
        raise BadInput("a number of nodes is wanted, none or any", hint="`local.capacity here-a 2`")
    if spot and ondemand:
        raise BadInput("--spot and --on-demand say different things", hint="without both, all nodes are counted")
    if place is not None and said is not None:
        most = {"none": 0, "any": None}[said] if said in ("none", "any") else whole("nodes", said)
        local.limit(place, most, "spot" if spot else "on-demand" if ondemand else "all", for_s)
    wanted = sites.path(*sites.named(place)) if place is not None else ""
    found = [room for room in local.rooms() if not wanted or f"{room.place}/".startswith(f"{wanted}/")]
    if as_json:
        print(json.dumps({"places": [room.to_json() for room in found]}, indent=2))
    else:
        tables.local_rooms(found)


def _seconds(values: Values, name: str) -> float | None:
    """A time that was given, in seconds; a number alone is seconds."""
    from skyrig.cluster import policy

    text = values.text(name)
    if text is None:
        return None
    try:
        return float(policy.seconds(f"--{name}", f"{text}s" if text.isdecimal() else text))
    except BadInput as error:
        raise BadInput(error.message, hint="30s, 10m or 2h") from None
