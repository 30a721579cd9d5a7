"""A Kubernetes cluster as the stack of its queue is told of it; and the end of such a stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import attrs

from skyrig.clouds.kubernetes import machines
from skyrig.cluster import owner as owners
from skyrig.cluster.description import Accelerators, Partition
from skyrig.errors import BadInput
from skyrig.schedulers.kubernetes import devices, ledger, names
from skyrig.schedulers.kubernetes.api import CORE, JOBS, JOBSETS, Api, Refused, Where, opened

_KUEUE = "/apis/kueue.x-k8s.io"

_OURS = ((JOBSETS, "jobsets"), (JOBS, "jobs"), (CORE, "secrets"), (CORE, "configmaps"), (CORE, "services"))
"""All kinds that are made for jobs."""


async def described(where: Where, stack: str, owner: str) -> dict[str, Any]:
    """What there is to know: the server, the namespace, the queues, the nodes by kind; the stack's ledger is made where
    it is not there. BadInput where another person's stack of this name is in the namespace."""
    async with opened(where) as api:
        version = await api.get("/version") or {}
        await _claim(api, stack, owner)
        server = urlsplit(api.server)
        return {
            "context": api.context,
            "namespace": api.namespace,
            "host": server.hostname or "",
            "port": server.port or (443 if server.scheme == "https" else 80),
            "version": str(version.get("gitVersion", "")),
            "has_jobset": await api.get(JOBSETS) is not None,
            "queues": await _queues(api),
            "partitions": [attrs.asdict(each) for each in partitions(await _nodes(api))],
        }


async def _queues(api: Api) -> list[str]:
    """Local queues of Kueue in the namespace, in whichever version of it the cluster has."""
    group = await api.get(_KUEUE)
    if group is None:
        return []
    path = api.path(f"/apis/{group['preferredVersion']['groupVersion']}", "localqueues")
    return [each["metadata"]["name"] for each in await api.items(path)]


async def removed(where: Where, stack: str) -> None:
    """Take all away that was made for a stack's jobs, and its ledger last."""
    async with opened(where) as api:
        await deleted(api, {names.STACK: names.slug(stack)}, ledger_too=stack)


async def deleted(api: Api, labels: Mapping[str, str], *, ledger_too: str = "") -> None:
    """Delete what has these labels, owners first; of a whole stack, its ledger last. What belongs to something that
    goes would go with it, sooner or later: nothing waits for that, least of all a secret."""
    wanted = names.selector(labels)
    for group, plural in _OURS:
        for each in await api.items(api.path(group, plural), labelSelector=wanted):
            if names.JOB in each["metadata"]["labels"]:
                await api.delete(api.path(group, plural, each["metadata"]["name"]))
    if ledger_too:
        await api.delete(api.path(CORE, "configmaps", names.ledger(ledger_too)))


def partitions(nodes: Sequence[Mapping[str, Any]]) -> list[Partition]:
    """The nodes of a cluster by what accelerators they have: of each kind how many, and what the largest has."""
    found: dict[str, Partition] = {}
    for node in nodes:
        has = node["status"].get("allocatable") or {}
        _, count, _, value = devices.of_node(node)
        name = value or ("accelerators" if count else "nodes")
        before = found.get(name, Partition(name, 0, 0.0, 0.0))
        most = max(count, before.accelerators.count)
        found[name] = Partition(
            name=name,
            nodes=before.nodes + 1,
            cpus=max(before.cpus, machines.quantity(has.get("cpu", "0"))),
            memory_gb=max(before.memory_gb, round(machines.quantity(has.get("memory", "0")) / (1 << 30), 2)),
            accelerators=Accelerators(value, most) if count else Accelerators(),
        )
    return [found[name] for name in sorted(found)]


async def _claim(api: Api, stack: str, owner: str) -> None:
    fresh = ledger.begun(stack, owner)
    if await api.create(api.path(CORE, "configmaps"), fresh) is not None:
        return
    there = await api.get(api.path(CORE, "configmaps", names.ledger(stack))) or fresh
    theirs = (there["metadata"].get("annotations") or {}).get(names.USER, "")
    if owner and theirs and not owners.same(owner, theirs):
        raise BadInput(
            f"namespace {api.namespace} of {api.context} has a queue {stack} of {theirs}", hint="choose another name"
        )


async def _nodes(api: Api) -> list[dict[str, Any]]:
    """The cluster's nodes; none where the user may not see them."""
    try:
        return await api.items(f"{CORE}/nodes")
    except Refused as error:
        if error.code == 403:
            return []
        raise
