"""Machines that cost money: which offer a task gets, who pays, who may log in, and what is said when there is none."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Callable, Mapping, Sequence

from attrs import evolve

from skyrig.catalog import aims, costs, facts, optimizer, refusals, sources
from skyrig.catalog.market import Market
from skyrig.catalog.offers import Offer
from skyrig.catalog.ranking import Ranking
from skyrig.catalog.refusals import Refusal
from skyrig.clouds import cloud as clouds
from skyrig.clouds import stocks
from skyrig.cluster import clouds as cluster_clouds
from skyrig.cluster import owner, sites
from skyrig.cluster.description import Accelerators
from skyrig.cluster.machine import DEFAULT_DISK_GB, Capacity, Machine
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, EngineError, NoCapacity, SkyrigError
from skyrig.task.model import Task
from skyrig.task.resources import Resources

SSH_FROM = "SKYRIG_SSH_FROM"
"""Variable with the networks that may log in to new clusters on clouds, with commas; without it, this machine's own
public address."""

_ECHO = "https://checkip.amazonaws.com"
"""Answers with the address that a request comes from."""

_ECHO_S = 5.0


_MISSES = 3
"""Reasons against offers that an error tells; there may be hundreds."""


class Cost(str):
    """A question whose answer costs money."""


def pays(question: str) -> bool:
    """The answer of a program that was told to launch: yes to what costs money, no to what takes something away."""
    return isinstance(question, Cost)


def agree(
    stack: str, shape: Shape, coming: Sequence[str], confirm: Callable[[str], bool], others: Sequence[Shape] = ()
) -> None:
    """Show what will be paid, and ask, before nodes `coming` that cost money are made or started. `others` are tried
    where the shape cannot be had, so that the dearest of them may be what is paid. BadInput where the answer is no."""
    if not shape.is_rented or not coming:
        return
    question = f"cluster {stack}: {quoted(shape, others)}: {', '.join(coming)} will be made or started"
    if not confirm(Cost(f"{question}. Go on?")):
        raise BadInput(f"{question}, which costs money", hint="-y agrees to that; nothing was made")


def quoted(shape: Shape, others: Sequence[Shape] = ()) -> str:
    """A cluster and its price, with what it may cost at most where `others` are tried too."""
    return f"{shape}, {costs.said(costs.of_shape(shape))}{_at_most(shape, others)}"


def _at_most(shape: Shape, others: Sequence[Shape]) -> str:
    """What other shapes may cost, in words; "" where none may be tried."""
    if not others:
        return ""
    prices = [costs.of_shape(each) for each in (shape, *others)]
    known = [price for price in prices if price is not None]
    most = f"at most {costs.said(max(known))}" if len(known) == len(prices) else "some at a price not known"
    return f" ({most}: where there is no capacity, the next of {len(prices)} offers is tried)"


def missing() -> Mapping[str, str]:
    """What is missing for using each cloud from here, "" where nothing is; by files and variables only."""
    return {name: clouds.of(name).missing() for name in clouds.known()}


def market(task: Task | None = None) -> Market:
    """All clouds of the catalog, with the prices that count: the user's own before the catalog's. What changes from
    hour to hour on clouds where a task may be (None: on all) is looked at first."""
    lacking = missing()
    named = {each.infra.cloud for each in task.choice.each} if task is not None else {None}
    near = [cloud for cloud, why in lacking.items() if not why and (None in named or cloud in named)]
    stocks.look(near, task.config if task is not None else None)
    every = sorted({*lacking, *facts.clouds()})
    found = sources.market({cloud: lacking.get(cloud, f"Skyrig makes no clusters on {cloud} yet") for cloud in every})
    return found._replace(homes=stocks.homes())


def ranking(task: Task, among: Market | None = None) -> Ranking:
    """All offers for a task in `among`, else in `market()`, best first, also those on clouds that cannot be used. What
    the task says of its hours, its inputs and what it minds most counts."""
    hours = aims.by_kind(task.config.hours) if task.config.hours else None
    inputs = aims.Inputs(*task.inputs) if task.inputs is not None else None
    return optimizer.rank(
        task.choice, task.num_nodes, among or market(task), aims.Aim(task.config.minimize, hours, inputs)
    )


def offer(task: Task) -> Offer:
    """What is rented for a task: the first of its offers on clouds that can be used. NoCapacity where there is none."""
    return usable(task)[0]


def usable(task: Task) -> tuple[Offer, ...]:
    """All offers for a task on clouds that can be used, best first. NoCapacity where there is none."""
    among = market(task)
    whole = ranking(task, among)
    found = whole.without(lambda each: among.missing[each.cloud])
    if not found.offers:
        raise no_offer(task, among, whole)
    return tuple(found.offers)


def no_offer(task: Task, among: Market, whole: Ranking) -> NoCapacity:
    """The error for a task that no cloud which can be used has an offer for. `whole` has all offers, also those on
    other clouds, and says why there are no others."""
    wanted = {each.infra.cloud for each in task.choice.each if each.infra.cloud is not None}
    usable = [cloud for cloud in among.usable if cloud in wanted or not wanted]
    if wanted and not wanted & set(among.missing):
        hint = "`--infra local` rehearses it here"
        return NoCapacity(f"Skyrig makes no clusters on {', '.join(sorted(wanted))} yet", hint=hint)
    if whole.offers and not usable:
        wishes = list(dict.fromkeys(str(each.infra) or _asked(each) for each in task.choice.each))
        what = " or ".join([", ".join(wishes[:-1]), wishes[-1]] if len(wishes) > 1 else wishes)
        hint = "`check` says why; `--infra local` rehearses it here"
        return NoCapacity(f"the task asks for {what} and no cloud is usable for that", hint=hint)
    fits = " or ".join(dict.fromkeys(_asked(each) for each in task.choice.each))
    looked = usable or [cloud for cloud in among.missing if cloud in wanted or not wanted]
    misses: dict[str, list[str]] = {}
    for cloud in looked:
        misses.setdefault(whole.nearest_miss(cloud), []).append(cloud)
    told = [f"{', '.join(those)}: {why}" for why, those in misses.items() if why][:_MISSES]
    if wanted and not told:
        told = [f"{cloud}: {among.missing[cloud]}" for cloud in looked if among.missing[cloud]]
    hint = "; ".join([*told, "`plan` tells all reasons", "`--infra local` rehearses it here"])
    return NoCapacity(f"{', '.join(looked)}: no offer has {fits}", hint=hint)


def _asks_for_fabric(chosen: Offer, task: Task) -> bool:
    """Whether SkyPilot's own key for a cloud (`asked_by` of its fabric.json) asks for what network tier best is there:
    the fabric between several nodes."""
    word = facts.of(chosen.cloud, "fabric").get("asked_by", "")
    said = {**task.config.of_place(chosen.cloud, chosen.region), **(chosen.asked.config.get(chosen.cloud) or {})}
    return chosen.kind.fabric != "none" and task.num_nodes > 1 and said.get(word) is True


def shape_of(shape: Shape, chosen: Offer, task: Task) -> Shape:
    """`shape` on what was chosen. What it says of who pays and who may log in stays where the cloud is the same."""
    kind, asked = chosen.kind, chosen.asked
    before = shape.machine if shape.cloud == chosen.cloud else Machine()
    machine = evolve(
        before,
        instance_type=kind.name,
        region=chosen.region,
        zone=chosen.zone or (before.zone if before.region == chosen.region else ""),
        capacity=_capacity(chosen, before.capacity),
        network_tier=asked.network_tier or ("best" if _asks_for_fabric(chosen, task) else "standard"),
        image=_image(asked, chosen.region) or before.image,
        disk_gb=asked.disk_size or DEFAULT_DISK_GB,
        disk_tier=asked.disk_tier or "medium",
        labels=tuple(sorted((asked.labels or {}).items())),
        pods=_pods(chosen.cloud, chosen.region, task),
    )
    return evolve(
        shape,
        cloud=chosen.cloud,
        accelerators=Accelerators(name=kind.accelerator, count=-int(-kind.accelerator_count // 1)),
        cpus=0,
        isolation="auto",
        task=task.name or shape.task,
        machine=machine,
    )


def other_pods(shape: Shape, task: Task) -> bool:
    """Whether a task says something else of nodes that are pods than the shape does."""
    there = json.loads(shape.machine.pods) if shape.machine.pods else {}
    said = _pods(shape.cloud, shape.machine.region, task)
    return bool((json.loads(said) if said else {}).get("config") != there.get("config"))


def other_image(shape: Shape, task: Task) -> bool:
    """Whether a task asks for another image of rented machines than the shape has; one that asks for none does not."""
    wanted = {_image(each, shape.machine.region) for each in task.choice.each}
    return shape.is_rented and "" not in wanted and shape.machine.image not in wanted


def _pods(cloud: str, region: str, task: Task) -> str:
    """What the task says of nodes that are pods; "" where they are none, or it says nothing."""
    if not cluster_clouds.registered(cloud).is_sized:
        return ""
    said = task.config.of_place(cloud, region)
    return json.dumps({"config": dict(said)}, sort_keys=True, separators=(",", ":")) if said else ""


def _capacity(chosen: Offer, before: Capacity) -> Capacity:
    """How the nodes of an offer are paid for; what a cluster has already stays where the offer leaves it open."""
    if chosen.reservation:
        return Capacity("reservation", chosen.reservation)
    if chosen.spot:
        return Capacity("spot")
    return before if before.kind != "spot" else Capacity()


def settled(shape: Shape) -> Shape:
    """`shape` with what is not asked for but must be known before anything is made, and stays as it is from then on:
    account, zone, who may log in, whose it is, and what a cloud's `settling.py` adds. One round trip each, and only for
    what is missing. Of a local cluster that is the zone alone, where a region is asked for."""
    if shape.cloud == sites.CLOUD:
        region, zone = sites.settled(shape.machine.region, shape.machine.zone)
        return evolve(shape, machine=evolve(shape.machine, region=region, zone=zone))
    if not shape.is_offered:
        return shape
    place = facts.of(shape.cloud, "place")
    if len(shape.nodes) > place.get("most_nodes", len(shape.nodes)):
        raise BadInput(f"{shape.cloud} {place['why_no_more']}", hint=f"{place['most_nodes']} is the most")
    machine = shape.machine
    if shape.cloud in clouds.known():
        if not machine.account:
            machine = evolve(machine, account=payer(shape.cloud, machine.region))
        if not machine.zone:
            zones = clouds.of(shape.cloud, machine.account).zones(machine.region, machine.instance_type)
            if not zones:
                raise NoCapacity(f"{shape.cloud}: no zone of {machine.region} has {machine.instance_type}")
            machine = evolve(machine, zone=zones[0])
        if cluster_clouds.has("skyrig.clouds", shape.cloud, "settling"):
            machine = cluster_clouds.module("skyrig.clouds", shape.cloud, "settling").settled(machine)
    if not machine.ssh_from and not facts.of(shape.cloud, "place").get("reached_by"):
        machine = evolve(machine, ssh_from=who_may_log_in())
    return evolve(shape, machine=machine, owner=shape.owner or owner.here())


def payer(cloud: str, region: str) -> str:
    """Whose money it is, where the stack does not say yet."""
    account = clouds.of(cloud).account(region)
    if not account:
        named_by = facts.of(cloud, "place").get("account_named_by", "name it in the stack's config")
        raise BadInput(f"{cloud}: nothing says which account pays", hint=named_by)
    return account


def who_may_log_in() -> tuple[str, ...]:
    """Networks of SKYRIG_SSH_FROM, else the public address that this machine is seen under."""
    import urllib.request  # slow to import, and most commands rent nothing

    given = os.environ.get(SSH_FROM, "")
    try:
        if given:
            return tuple(str(ipaddress.ip_network(each.strip())) for each in given.split(","))
        with urllib.request.urlopen(_ECHO, timeout=_ECHO_S) as answer:
            return (str(ipaddress.ip_network(answer.read(64).decode().strip())),)
    except ValueError as error:
        raise BadInput(f"{SSH_FROM}: {error}", hint="for instance 203.0.113.7/32") from error
    except OSError as error:
        raise SkyrigError(
            "the public address of this machine cannot be found, so nobody could log in",
            hint=f"say who may: {SSH_FROM}=203.0.113.7/32",
        ) from error


def refused(shape: Shape, error: EngineError) -> NoCapacity | None:
    """The error of a run as what it means: there is no capacity, or no quota for it; None where it means neither."""
    refusal = refusals.find(shape.cloud, error.message, *error.said)
    return no_room(shape, refusal) if refusal is not None and refusal.kind in ("capacity", "quota") else None


def no_room(shape: Shape, refusal: Refusal) -> NoCapacity:
    """The error for the one place that would do, and has refused."""
    machine = shape.machine
    if shape.cloud == sites.CLOUD:
        hint = "`local.capacity` shows what there is room for; -r tries until there is"
        spot = "spot node" if machine.capacity.kind == "spot" else "node"
        return NoCapacity(f"{_local_place(machine)} has no room for a {spot} more ({refusal.code})", hint=hint)
    if refusal.kind == "permission":
        hint = f"`check {shape.cloud}` says what is missing; or try another --region or --cloud"
        return NoCapacity(f"{shape.cloud}: the account may not use {machine} ({refusal.code})", hint=hint)
    if refusal.kind == "quota":
        hint = f"ask for a higher quota in {machine.region}, or try --region or --cloud"
        return NoCapacity(f"{shape.cloud}: the account's quota does not allow {machine} ({refusal.code})", hint=hint)
    if stocks.are_of(shape.cloud):
        hint = (
            f"`check {shape.cloud}` says what is there; try another --region or --cloud; -r tries until there is room"
        )
        return NoCapacity(f"{shape.cloud} has no {machine} now ({refusal.code})", hint=hint)
    hint = f"try another {_elsewhere(shape)}; -r tries until there is capacity"
    return NoCapacity(f"{shape.cloud} has no {machine} now ({refusal.code})", hint=hint)


def _elsewhere(shape: Shape) -> str:
    """The flags with which a machine may be had that there is no room for, of those that its cloud knows."""
    machine, cloud = shape.machine, shape.cloud
    zone = "--zone, " if cloud in facts.common("regions")["zones"] else ""
    place = f"{zone}--region or --cloud"
    if machine.capacity.kind == "spot":
        return f"{place}, or without spot"
    sold = sources.hourly(cloud, machine.region, machine.instance_type, spot=True) is not None
    return f"{place}, or with --use-spot" if sold else place


def _local_place(machine: Machine) -> str:
    """Where nodes of the local cloud take room, in words."""
    region, zone = sites.settled(machine.region, machine.zone or ("" if machine.region else sites.HOME))
    return sites.path(region, zone)


def _image(asked: Resources, region: str) -> str:
    """The image for a region, the container, or both with a comma; "" where neither is asked for."""
    if asked.image is None:
        return ""
    name = asked.image.by_region.get(region) or asked.image.by_region.get(None) or ""
    container = f"docker:{asked.image.container}" if asked.image.container else ""
    return ",".join(part for part in (name, container) if part)


def _asked(asked: Resources) -> str:
    """A candidate in words."""
    parts = [asked.instance_type, str(asked.accelerator) if asked.accelerator else None,
             f"{asked.cpus} cores" if asked.cpus else None]  # fmt: skip
    what = " ".join(part for part in parts if part)
    place = str(asked.infra)
    return f"{what} on {place}" if what and place else what or place or "a CPU node"
