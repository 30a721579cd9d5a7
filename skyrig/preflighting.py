"""Preflights of a cluster: what is asked of its nodes, having the keeper look at them, and what becomes of bad ones."""

from __future__ import annotations

import asyncio
import getpass
import io
from collections.abc import Callable, Sequence
from functools import partial

from attrs import evolve, frozen

from skyrig.bringing import Confirm, Manner, nobody, up
from skyrig.catalog import bandwidths, instances
from skyrig.catalog.instances import InstanceType
from skyrig.cluster.cordons import Cordon
from skyrig.cluster.description import ClusterDescription
from skyrig.errors import BadInput
from skyrig.launch.job import JobRequest
from skyrig.preflight.asked import LARGE, METERS, SMALL, Asked, Devices, Sizes
from skyrig.preflight.report import Report
from skyrig.provision import is_stopped, not_up
from skyrig.stack import config, described, status
from skyrig.stack import cordoned as noted

Notify = Callable[[str], None]
"""Takes one line for the reader."""


@frozen
class Wishes:
    """How a preflight is wanted: of which nodes (none: all), `quick`, by which of METERS, and whether nodes that it
    finds bad are cordoned."""

    nodes: tuple[str, ...] = ()
    quick: bool = False
    meter: str = "auto"
    cordon: bool = True


def asked_of(cluster: ClusterDescription, nodes: int, mode: str, *, quick: bool = False, meter: str = "auto") -> Asked:
    """What is asked of so many nodes of a cluster, by what its description and the catalog say of them."""
    if meter not in METERS:
        raise BadInput(f"--meter {meter}: one of {', '.join(METERS)} is wanted")
    there, size = cluster.head.accelerators, sizes(cluster, quick=quick)
    devices, expected = Devices(there.name, there.count, there.declared), None
    if (kind := _type_of(cluster)) is not None:
        devices = bandwidths.shall_have(kind, fabric=cluster.fabric.kind != "none")
        largest = size.ring if quick else bandwidths.largest(kind)
        figure = bandwidths.expected(kind.cloud, kind.name, nodes, size=largest)
        if figure is not None:
            expected, size = figure.of_bytes(), evolve(size, ring=figure.size)
    return Asked(mode, meter=meter, devices=devices, expected=expected, sizes=size, diagnose=not quick)


def _type_of(cluster: ClusterDescription) -> InstanceType | None:
    """The type of a cluster's machines, where the catalog knows it."""
    try:
        return instances.find(cluster.cloud, config.read_shape(cluster.name).machine.instance_type)
    except BadInput:
        return None


def sizes(cluster: ClusterDescription, *, quick: bool) -> Sizes:
    """How much is measured: links of machines of their own are quick, those of local nodes share one machine."""
    if cluster.isolation != "machine":
        return SMALL if quick else Sizes()
    return Sizes() if quick else LARGE


def of_job(request: JobRequest, mode: str, cluster: ClusterDescription) -> JobRequest:
    """The job with the preflight that its task wants, "off": none."""
    return (
        request if mode == "off" else evolve(request, preflight=asked_of(cluster, request.num_nodes, mode, quick=True))
    )


def refuse_wished(mode: str, cluster: ClusterDescription) -> None:
    """BadInput for a task that wants a preflight where somebody else places jobs."""
    if mode != "off":
        refuse_queue(cluster)


def refuse_queue(cluster: ClusterDescription) -> None:
    """BadInput for a cluster whose jobs somebody else places: its nodes are not ours to keep free."""
    if cluster.scheduler:
        raise BadInput(f"{cluster.scheduler} runs the jobs of {cluster.name}: there is no preflight there")


def run(stack: str, wishes: Wishes, notify: Notify) -> Report:
    """Look at the nodes of `stack`, measure their network, and judge them. BadInput where it is not up, has no such
    node, or jobs run there."""
    from skyrig.launch import preflights

    cluster = _up(stack)
    known = [node.id for node in cluster.nodes]
    if strangers := [each for each in wishes.nodes if each not in known]:
        raise BadInput(f"{stack} has no node {strangers[0]}", hint=f"its nodes: {', '.join(known)}")
    wanted = [each for each in known if not wishes.nodes or each in wishes.nodes]
    mode = "refuse" if wishes.cordon else "warn"
    asked = evolve(asked_of(cluster, len(wanted), mode, quick=wishes.quick, meter=wishes.meter), alone=True)
    current = partial(described.known, stack)
    out = _Lines(notify)
    return asyncio.run(preflights.run(cluster, wanted, asked, current, getpass.getuser(), out=out, notify=notify))


def uncordon(stack: str, node_ids: Sequence[str]) -> None:
    """Let jobs in on these nodes again. BadInput for one that is not cordoned."""
    from skyrig.launch import preflights

    asyncio.run(preflights.uncordon(_up(stack), node_ids))


def cordoned(stack: str) -> dict[str, Cordon]:
    """The cordoned nodes of `stack`, by id, as was last heard of them."""
    cluster = described.describe(stack)
    return noted.of(cluster) if cluster is not None else {}


def replace(stack: str, notify: Notify, confirm: Confirm = nobody, *, force: bool = False) -> ClusterDescription:
    """Have another machine behind each cordoned node of `stack` now, as any `up` would."""
    return up(stack, notify, manner=Manner(confirm, force))


def _up(stack: str) -> ClusterDescription:
    cluster = described.describe(stack)
    if cluster is None:
        raise not_up(stack)
    if status.stopped(cluster):
        raise is_stopped(cluster)
    refuse_queue(cluster)
    return cluster


class _Lines(io.BytesIO):
    """Hands whole lines on to the reader, beside what is put out."""

    def __init__(self, notify: Notify) -> None:
        super().__init__()
        self._notify = notify

    def flush(self) -> None:
        *whole, rest = self.getvalue().split(b"\n")
        self.seek(0)
        self.truncate()
        self.write(rest)
        for line in whole:
            self._notify(line.decode(errors="replace").removeprefix("(skyrig) "))
