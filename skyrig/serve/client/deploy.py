"""Bringing a service to its cluster: the cluster up with enough nodes and the endpoint's port open, the task's files at
the head, and the head's steward told. Used by commands and by the controller alike; done again it changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from skyrig import submitting
from skyrig.bringing import Confirm, Notify
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.policy import NO_WISH, Wish
from skyrig.launch import client
from skyrig.launch.link import patience
from skyrig.launch.submission import Submission
from skyrig.serve.client.link import steward
from skyrig.serve.spec import HTTP_PORT, Secrets, ServiceSpec, Tls
from skyrig.stack import described
from skyrig.submitting import RunOptions, ServiceNodes
from skyrig.task.model import Task


def deploy(
    stack: str,
    task: Task,
    spec: ServiceSpec,
    secrets: Secrets,
    notify: Notify,
    confirm: Confirm,
    *,
    wish: Wish = NO_WISH,
    retry: bool = False,
    reached: Callable[[ClusterDescription], None] = lambda cluster: None,
) -> ClusterDescription:
    """Bring a service to the cluster of `stack`, which is made, grown or repaired for it; the cluster as it is then,
    whose steward knows this version. `confirm`, `wish` and `retry` are those of a launch; `reached` is called as soon
    as the steward has taken it. All that can be wrong is found before anything is made. Errors are those of a
    launch."""
    options = RunOptions(wish=wish, retry_until_up=retry)
    cluster, what = submitting.for_service(task, stack, nodes(spec), options, notify, confirm)
    asyncio.run(_applied(cluster, what, spec, secrets, notify))
    cluster = described.describe(stack) or cluster
    reached(cluster)
    return cluster


def nodes(spec: ServiceSpec) -> ServiceNodes:
    """With which nodes a service begins; the head is one, also where no replica is wanted at first. Of its ports the
    endpoint's is open, without a balancer that is the replica's, and the one for an ACME authority's challenge."""
    challenged = (str(HTTP_PORT),) if spec.entrance.tls is Tls.ACME else ()
    scaling, port = spec.scaling, spec.port if spec.entrance.direct else spec.entrance.port
    replicas = scaling.least + (scaling.overprovision if scaling.least else 0)
    return ServiceNodes(
        max(1, replicas * spec.nodes_each), scaling.ondemand_base * spec.nodes_each, (str(port), *challenged)
    )


async def _applied(
    cluster: ClusterDescription, what: Submission, spec: ServiceSpec, secrets: Secrets, notify: Notify
) -> None:
    """Bring the files and tell the steward."""
    async with steward(cluster, patience_s=patience(cluster), prepare=True, notify=notify) as link:
        request = await client.brought(link.keeper, what, notify)
        version = await link.apply(spec, request, secrets)
        notify(f"service {spec.name}: version {version} is with the head of {cluster.name}")
