"""What a task needs of a cluster: the shape for it, and whether a live one has it. Nothing is made here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

from attrs import evolve

from skyrig import batching, renting
from skyrig.catalog import balancers, facts, instances, wishes
from skyrig.catalog.instances import InstanceType
from skyrig.catalog.offers import Offer
from skyrig.cluster import sites
from skyrig.cluster.clouds import CLOUDS, registered
from skyrig.cluster.description import Accelerators, ClusterDescription
from skyrig.cluster.machine import Capacity, Machine
from skyrig.cluster.ports import union
from skyrig.cluster.shape import Shape, resized
from skyrig.errors import BadInput, ResourcesMismatch
from skyrig.failover.order import grouped
from skyrig.launch import serving
from skyrig.task.infra import Infra
from skyrig.task.model import Task
from skyrig.task.quantities import least_cores
from skyrig.task.resources import Resources

Notify = Callable[[str], None]
"""Takes one line for the reader."""


def shape_for(
    shape: Shape,
    task: Task | None,
    *,
    nodes: int | None = None,
    ports: tuple[str, ...] = (),
    reaches: Iterable[str] = (),
    offer: Offer | None = None,
) -> Shape:
    """`shape` with what a task and the caller ask for instead; ports and buckets that are reached come beside those
    that are there, unless the cluster was taken down. NoCapacity where nobody has that. Machines that will do stay,
    unless an `offer` was chosen already."""
    if task is not None:
        shape = _placed(shape, task) if offer is None else renting.shape_of(shape, offer, task)
        if shape.power == "down":
            shape = evolve(shape, ports=(), buckets=(), machine=evolve(shape.machine, reaches=()))
        nodes, ports = nodes or task.num_nodes, union(ports, ports_of(task))
        shape = evolve(shape, balancer=balancer_of(task, shape.balancer))
    if shape.is_queue:
        return resized(shape, 1)
    shape = evolve(shape, ports=union(shape.ports, ports))
    if more := tuple(sorted({*shape.machine.reaches, *reaches})):
        shape = evolve(shape, machine=evolve(shape.machine, reaches=more))
    if shape.balancer and (said := balancers.wrong(shape.cloud, shape.balanced)):
        raise BadInput(f"balancer: {said}", hint="the balancer on the head needs no other one before it")
    return resized(shape, nodes) if nodes is not None else shape


def _placed(shape: Shape, task: Task) -> Shape:
    """`shape` where a task can run: as it is if its machines will do, else local if a candidate can be, else rented."""
    if (batch := batching.candidate(task)) is not None:
        return batching.shape_of(shape, batch)
    other = renting.other_pods(shape, task) or renting.other_image(shape, task)
    if will_do(shape, task) and not (shape.power == "down" and other):
        return shape
    asked = local_candidate(task)
    if asked is None:
        return renting.shape_of(shape, renting.offer(task), task)
    cores = math.ceil(least_cores(asked.cpus))
    machine = _local_machine(shape, asked)
    return evolve(
        shape, cloud="local", accelerators=accelerators_of(asked), cpus=cores, task="", owner="", machine=machine
    )


def _local_machine(shape: Shape, asked: Resources) -> Machine:
    """Place and market of local nodes: as they are asked for, else as they are. BadInput where there is no such
    place."""
    wanted = asked.infra if asked.infra.cloud == sites.CLOUD else Infra()
    region, zone = sites.place(wanted.region, wanted.zone)
    stays = shape.cloud == sites.CLOUD and shape.power != "down"
    there = shape.machine if stays else Machine()
    if region in ("", there.region) and zone in ("", there.zone):
        region, zone = there.region, there.zone
    paid = there.capacity if asked.use_spot is None else Capacity("spot" if asked.use_spot else "on-demand")
    return Machine(region=region, zone=zone, capacity=paid, image=_local_image(asked) or there.image)


def _local_image(asked: Resources) -> str:
    """The image that local nodes begin with; "" where none of theirs is asked for. BadInput for one of a cloud."""
    if asked.image is None or asked.image.ours is None:
        return ""
    if asked.image.cloud != sites.CLOUD:
        raise BadInput(
            f"image {asked.image.ours} is on the {asked.image.cloud} cloud, and these nodes are local",
            hint=f"--infra {asked.image.cloud}, or `image.build` another one with --infra local",
        )
    return asked.image.by_region[None]


def local_places(shape: Shape) -> list[Shape]:
    """A shape on the local cloud at each of the places that it may be at, in the order in which they are tried: those
    without a zone take any of their region."""
    region, zone = sites.place(shape.machine.region, shape.machine.zone)
    regions = [region] if region else list(sites.ZONES)
    return [evolve(shape, machine=evolve(shape.machine, region=each, zone=zone)) for each in regions]


def others(before: Shape, shape: Shape, task: Task | None) -> list[Shape]:
    """The shapes that a task may get instead of `shape`, which was worked out from `before` for it, in the order in
    which they are tried; those without a zone take any of their region. None where only `shape` will do."""
    if task is None or not shape.is_offered:
        return []
    begins = facts.of(before.cloud, "images").get("of_one_region")
    image = "" if begins and before.machine.image.startswith(begins) else before.machine.image
    own = before.machine.capacity.kind in ("reservation", "block")  # likewise, of one zone
    paid = Capacity() if own else before.machine.capacity
    machine = evolve(before.machine, zone="", image=image, capacity=paid, reaches=shape.machine.reaches)
    base = evolve(shape, cloud=before.cloud, machine=machine)
    return [evolve(renting.shape_of(base, offer, task), power=shape.power) for offer in grouped(renting.usable(task))]


def rendered_shape(shape: Shape, task: Task) -> Shape:
    """The same for a task that is only shown: the machines that a plan would choose, whether their cloud is usable here
    or not; what no cloud has is taken as if one had it."""
    if (batch := batching.candidate(task)) is not None:
        return batching.shape_of(shape, batch)
    if will_do(shape, task) or any(not each.needs_cloud for each in task.choice.each):
        return shape_for(shape, task)
    if (best := next(iter(renting.ranking(task, renting.market(task)).offers), None)) is not None:
        return shape_for(shape, task, offer=best)
    asked = task.resources
    wanted = evolve(shape, cloud=asked.infra.cloud or "<cloud>", accelerators=accelerators_of(asked))
    return resized(wanted, task.num_nodes)


def ports_of(task: Task) -> tuple[str, ...]:
    """Ports that a task wants open: those that it names, else those that its `run` text plainly serves on."""
    named = union(*(each.ports or () for each in task.choice.each))
    return named or union([str(served.port) for served in serving.ports(task.run or "")])


def balancer_of(task: Task, there: str = "") -> str:
    """What a task wants before its open ports, where `there` is what is before them now."""
    return {"cloud": "cloud", "head": ""}.get(task.config.front_door.balancer, there)


def note_served(task: Task, notify: Notify) -> None:
    """Say which ports are opened although the task names none."""
    for served in serving.ports(task.run or "") if not any(each.ports for each in task.choice.each) else ():
        notify(f"{served.note}: opening it")


def local_candidate(task: Task) -> Resources | None:
    """What the local cloud shall make of a task: the first candidate that it can; None where none is."""
    return next((each for each in task.choice.each if not each.needs_cloud), None)


def accelerators_of(asked: Resources) -> Accelerators:
    """The accelerators that nodes shall have, a share of one as one; those asked for by memory under a plain name. Who
    names an instance type alone asks for what it has."""
    if asked.accelerator is None:
        kind = _type_of(asked)
        return Accelerators(kind.accelerator, -int(-kind.accelerator_count // 1)) if kind else Accelerators()
    name = "-".join(re.findall(r"[A-Za-z0-9._-]+", asked.accelerator.name))
    return Accelerators(name=name, count=asked.accelerator_count)


def _type_of(asked: Resources) -> InstanceType | None:
    """The instance type that is asked for by name, of the cloud that is named or the first that has one of that name;
    None where there is none such."""
    if not asked.instance_type:
        return None
    named = asked.infra.cloud if asked.infra.cloud not in (None, "local") else None
    places = [named] if named else [cloud for cloud in CLOUDS if registered(cloud).is_offered]
    return next((kind for cloud in places if (kind := instances.of_cloud(cloud).get(asked.instance_type))), None)


def misfit(cluster: ClusterDescription, task: Task) -> str | None:
    """How the nodes of a live cluster differ from what a task asks for; None where one of its candidates fits."""
    reasons = [_misfit(cluster, each) for each in task.choice.each]
    return None if None in reasons else reasons[0]


def refuse_misfit(cluster: ClusterDescription, task: Task) -> None:
    """BadInput for a task that asks for more than the nodes of a live cluster have."""
    reason = misfit(cluster, task)
    if reason is not None:
        raise ResourcesMismatch(reason, hint="launch it on a cluster of its own")


def _misfit(cluster: ClusterDescription, asked: Resources) -> str | None:
    cores = math.inf if cluster.cloud == "local" else cluster.head.cpus  # local nodes only declare theirs
    lack = _lack(cluster.head.accelerators, cores, asked)
    if lack is not None:
        return f"the task asks for {lack[0]}, nodes of {cluster.name} have {lack[1]}"
    if asked.infra.cloud not in (None, cluster.cloud):
        return f"the task asks for {asked.infra}, {cluster.name} is on the {cluster.cloud} cloud"
    if asked.mounts and (lacks := wishes.lacking(Resources(mounts=True, config=asked.config), cluster.cloud, 1)):
        return f"{cluster.name} is on the {cluster.cloud} cloud, which {lacks}"
    return None


def will_do(shape: Shape, task: Task) -> bool:
    """Whether the machines of a shape on a cloud have what one of a task's candidates asks for."""
    machine = shape.machine
    if not shape.is_offered or not machine.instance_type:
        return False
    cores = instances.find(shape.cloud, machine.instance_type).cpus
    place = (shape.cloud, machine.region, machine.zone, machine.instance_type)
    return any(
        _lack(shape.accelerators, cores, each) is None
        and all(
            wanted in (None, there)
            for wanted, there in zip(
                (each.infra.cloud, each.infra.region, each.infra.zone, each.instance_type), place, strict=True
            )
        )
        for each in task.choice.each
    )


def _lack(there: Accelerators, cores: float, asked: Resources) -> tuple[str, str] | None:
    """What is asked for of a node, and what a node has of it, in words; None where it has enough of all."""
    wanted = accelerators_of(asked)
    if wanted.count and (wanted.name.lower() != there.name.lower() or wanted.count > there.count):
        return _accelerator_text(wanted), _accelerator_text(there)
    if least_cores(asked.cpus) > cores:
        return f"{asked.cpus} cores", f"{cores:g}"
    return None


def _accelerator_text(accelerators: Accelerators) -> str:
    return f"{accelerators.name}:{accelerators.count}" if accelerators.count else "CPU"
