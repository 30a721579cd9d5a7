"""What Slurm is asked for a job: from a task's resources and its `config.slurm` to the lines of a batch script."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from skyrig.cluster.description import Partition
from skyrig.errors import BadInput, ResourcesMismatch
from skyrig.launch.job import JobRequest
from skyrig.launch.submission import BatchOptions

NOTICE_S = 120
"""How long before the end of its time a job is told of it, in seconds."""

_OURS = ("array", "chdir", "comment", "error", "export", "input", "job-name", "nodes", "ntasks", "ntasks-per-node",
         "open-mode", "output", "parsable", "signal", "test-only", "wait", "wrap")  # fmt: skip
"""Options that a task cannot set: a job would not be what Skyrig takes it for."""


def of_config(said: Mapping[str, Any]) -> tuple[dict[str, str | None], str, str]:
    """(options of sbatch, account, partition for jobs without accelerators) out of a task's `config.slurm`. BadInput
    for options that are not the task's to set."""
    given = said.get("sbatch_options") or {}
    more: dict[str, str | None] = {}
    for name, value in given.items():
        option = str(name).lstrip("-").replace("_", "-")
        if option in _OURS or not re.fullmatch(r"[a-z][a-z0-9-]*", option):
            raise BadInput(f"config.slurm.sbatch_options.{name}: that is Skyrig's to say")
        if value is not False:
            more[option] = None if value is None or value is True else str(value)
    quota = said.get("quota") or {}
    if quota.get("queue"):
        more.setdefault("qos", str(quota["queue"]))
    return more, str(quota.get("account") or ""), str(said.get("cpu_partition") or "")


def partition_of(partitions: Sequence[Partition], name: str) -> Partition:
    """The partition called `name`, for "" the default one. BadInput where there is none."""
    for each in partitions:
        if each.name == name or (not name and each.is_default):
            return each
    there = ", ".join(each.name for each in partitions)
    if not name:
        raise BadInput("the cluster has no default partition", hint=f"--infra slurm/CLUSTER/PARTITION; there: {there}")
    raise BadInput(f"there is no partition {name}", hint=f"there: {there}")


def refuse_misfit(partition: Partition, asked: BatchOptions, nodes: int, accelerators: int) -> None:
    """ResourcesMismatch where no nodes of a partition could ever have what is asked."""
    lack = _lack(partition, asked, nodes, accelerators)
    if lack:
        raise ResourcesMismatch(f"partition {partition.name}: {lack}", hint="sinfo shows what the partitions have")


def _lack(partition: Partition, asked: BatchOptions, nodes: int, accelerators: int) -> str:
    there = partition.accelerators
    if nodes > partition.nodes:
        return f"{nodes} nodes are asked for, it has {partition.nodes}"
    if asked.cpus > partition.cpus:
        return f"{asked.cpus} cores are asked for, its nodes have {partition.cpus:g}"
    if asked.memory_gb > partition.memory_gb + 0.5:
        return f"{asked.memory_gb:g} GiB are asked for, its nodes have {partition.memory_gb:g}"
    typed = there.name and there.name.lower() != "gpu"
    differs = typed and asked.accelerator and not _same(asked.accelerator, there.name)
    if accelerators and (accelerators > there.count or differs):
        has = f"{there.name or 'gpu'}:{there.count}" if there.count else "no accelerators"
        return f"{asked.accelerator or 'gpu'}:{accelerators} is asked for, its nodes have {has}"
    return ""


def _same(asked: str, there: str) -> bool:
    """Whether a task's name for an accelerator and Slurm's type mean the same one: `A100-80GB` is an `nvidia_a100`."""
    one, other = (re.sub(r"[^a-z0-9]", "", each.lower()) for each in (asked, there))
    return one in other or other in one or one.removesuffix("80gb") in other


def lines(request: JobRequest, asked: BatchOptions, partition: Partition) -> list[str]:
    """The options of a batch script, in a fixed order."""
    given: dict[str, str | None] = {
        "job-name": _word(request.name),
        "nodes": str(request.num_nodes),
        "ntasks-per-node": "1",
        "output": "batch.out",
        "open-mode": "append",
        "requeue": None,
    }
    if asked.partition or partition.name:
        given["partition"] = asked.partition or partition.name
    if asked.account:
        given["account"] = asked.account
    if asked.cpus:
        given["cpus-per-task"] = str(asked.cpus)
    if asked.memory_gb:
        given["mem"] = f"{int(asked.memory_gb * 1024)}M"
    if request.accelerators:
        named = partition.accelerators.name
        kind = f":{named}" if named and named.lower() != "gpu" else ""
        given["gres"] = f"gpu{kind}:{request.accelerators}"
    given["signal"] = f"B:USR1@{NOTICE_S}"
    given |= asked.more
    if "no-requeue" in given:
        given.pop("requeue")
    return [f"--{name}" if value is None else f"--{name}={_value(value)}" for name, value in given.items()]


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:64].strip("-") or "job"


def _value(text: str) -> str:
    """A value as one word of an #SBATCH line. BadInput where it would be more than that line."""
    if "\n" in text or "\0" in text:
        raise BadInput(f"config.slurm: {text!r} is no value of an option")
    return text if re.fullmatch(r"[A-Za-z0-9_@%+=:,./\[\]-]*", text) else shlex.quote(text)
