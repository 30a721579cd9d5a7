"""What a Slurm cluster is, out of what sinfo says: for its description."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs
from attrs import evolve

from skyrig.cluster.description import Accelerators, Partition
from skyrig.errors import BadInput
from skyrig.fleet.ssh import asyncssh
from skyrig.schedulers.slurm import door, site
from skyrig.schedulers.slurm.options import partition_of

_GRES = re.compile(r"gpu(?::([A-Za-z][A-Za-z0-9_.-]*))?:(\d+)")


def partitions(rows: Sequence[Sequence[str]]) -> tuple[Partition, ...]:
    """Partitions from rows of sinfo: name, nodes, cores, MiB, time limit, name with a star where it is the default, and
    generic resources. A partition of unlike nodes has several rows; the largest counts."""
    found: dict[str, Partition] = {}
    for name, nodes, cpus, memory, limit, starred, gres in rows:
        before = found.get(name, Partition(name, 0, 0.0, 0.0))
        gpus = _accelerators(gres)
        found[name] = evolve(
            before,
            nodes=before.nodes + _number(nodes),
            cpus=max(before.cpus, float(_number(cpus))),
            memory_gb=max(before.memory_gb, round(_number(memory) / 1024, 2)),
            accelerators=gpus if gpus.count > before.accelerators.count else before.accelerators,
            is_default=before.is_default or starred.endswith("*"),
            time_limit=limit,
        )
    return tuple(found.values())


def described(name: str, partition: str) -> dict[str, Any]:
    """What the stack of a Slurm cluster is told of it: the ways in, the user's key by its file, its partitions.
    BadInput where it is not known here or has no such partition; SkyrigError where it cannot be reached."""
    there = site.find(name)
    said = door.asked(door.of_site(there), "look")
    found = partitions(said["rows"])
    if partition:
        partition_of(found, partition)
    elif not found:
        raise BadInput(f"the Slurm cluster {name} has no partition")
    ways = [there.login, *([there.login.jump] if there.login.jump else [])]
    key = asyncssh.import_private_key(site.private_key(there.identity))
    return {
        "ways": [{"id": way.id, "host": way.host, "port": way.port, "user": way.user, "host_key": way.host_key}
                 for way in ways],
        "identity": str(there.identity),
        "public_key": key.export_public_key().decode().strip(),
        "partitions": [attrs.asdict(each) for each in found],
        "version": said["version"],
    }  # fmt: skip


def remove(name: str, base: str) -> None:
    """Take our folder for a cluster off the shared file system; nothing else of ours is there."""
    door.asked(door.of_site(site.find(name)), "remove", base=base)


def _accelerators(gres: str) -> Accelerators:
    found = [(int(count), kind or "") for kind, count in _GRES.findall(gres)]
    count, kind = max(found, default=(0, ""))
    return Accelerators(name=kind or ("gpu" if count else ""), count=count)


def _number(text: str) -> int:
    match = re.match(r"\d+", text)
    return int(match[0]) if match else 0
