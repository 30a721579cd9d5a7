"""From a task to its plan. Clouds are asked what can be asked without changing anything; nothing is made."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from attrs import evolve, frozen

from skyrig import imaging, places, rendering, renting
from skyrig.bringing import with_policy
from skyrig.catalog import costs, fabrics, facts, instances, rights
from skyrig.catalog import market as markets
from skyrig.catalog.instances import InstanceType
from skyrig.catalog.market import Market
from skyrig.catalog.offers import Offer
from skyrig.catalog.ranking import Ranking
from skyrig.clouds import cloud as clouds
from skyrig.cluster.description import Fabric
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, SkyrigError
from skyrig.failover import memory
from skyrig.fitting import local_candidate, misfit, note_served, shape_for, will_do
from skyrig.planning import setups
from skyrig.planning.plan import NoOffer, Plan, Price
from skyrig.provision import new_name
from skyrig.rendering import RenderedRank
from skyrig.stack import agreement, config, described, forecast, stacks
from skyrig.stack.foreseen import OFFLINE, Forecast
from skyrig.submitting import RunOptions, buckets_of, mounts_of, stopping, task_request, training_request
from skyrig.task.model import Task
from skyrig.training import TrainingRun

Notify = Callable[[str], None]
"""Takes one line for the reader."""

_UNKNOWN_NETWORK = "203.0.113.0/32"
"""Stands for the networks that may log in where they are not known: of a range that nobody has (RFC 5737)."""


@frozen
class Question:
    """What is asked of a plan beside its task. `stack` is None for a new cluster; `catalog` a price table that is the
    whole world; `preview` insists on the engine's own preview; `out` is where scripts are written, by default the
    user's cache."""

    stack: str | None = None
    hours: float | None = None
    catalog: Path | None = None
    preview: bool = False
    out: Path | None = None


def of_task(task: Task, question: Question, options: RunOptions, notify: Notify) -> Plan:
    """The plan for a task. NoOffer where nothing fits it, BadInput where it cannot be."""
    stack = question.stack or new_name(task)
    mounts, buckets = mounts_of(task), buckets_of(task)

    def ranks(shape: Shape) -> list[RenderedRank]:
        return rendering.of(task_request(task, options, setup=options.setup), stack, shape, mounts.sources, buckets)

    mounts.require_sources()
    plan = _of(task, stack, question, options, ranks)
    note_served(task, notify)
    return evolve(plan, buckets=tuple(f"{bucket.target} <- {bucket} ({bucket.mode})" for bucket in buckets))


def of_training(run: TrainingRun, machines: Task, question: Question, options: RunOptions) -> Plan:
    """The plan for a training script on `machines`, a task that says nothing else."""
    stack = question.stack or new_name(machines)

    def ranks(shape: Shape) -> list[RenderedRank]:
        return rendering.of(training_request(run, len(shape.nodes), shape.accelerators, options), stack, shape)

    return _of(evolve(machines, name=Path(run.script.path).stem), stack, question, options, ranks)


def _of(
    task: Task, stack: str, question: Question, options: RunOptions, ranks: Callable[[Shape], list[RenderedRank]]
) -> Plan:
    """The plan for what a task asks of its nodes; `ranks` renders what runs on them."""
    stacks.refuse_data(stack)
    task = stopping(imaging.resolved(task), options.autostop)
    is_there = stacks.is_there(stack)
    before = agreement.come_to(stack) if is_there else config.read_shape(stack)
    among = markets.of_file(question.catalog) if question.catalog is not None else renting.market(task)
    ranking = _hopeful(renting.ranking(task, among)) if question.catalog is None else renting.ranking(task, among)
    chosen, why = _chosen(task, before, ranking, among, rehearsed=question.catalog is None)
    there = described.describe(stack)
    lacks = imaging.lacking(task, before, stack) if there is not None and misfit(there, task) is None else ""
    asked = imaging.without(task) if lacks else task
    wanted = with_policy(shape_for(before, asked, offer=chosen), options.wish, new=there is None)
    shape, notes = _settled(evolve(wanted, power="up"), among, chosen, asks=question.catalog is None)
    if imaging.is_missing(shape):
        notes.append(f"the id of its image in {shape.machine.region} is not known yet: it is copied there first")
    kind = instances.of_cloud(shape.cloud).get(shape.machine.instance_type) or (chosen.kind if chosen else None)
    return Plan(
        stack=stack,
        task=task.name or "",
        shape=shape,
        is_there=is_there,
        ranking=ranking,
        chosen=chosen,
        why=why,
        missing=among.missing,
        price=_price(shape, chosen, question.hours),
        forecast=_forecast(stack, imaging.foreseen(shape), question, chosen),
        rights=rights.of_nodes(shape.cloud, shape.machine.reaches),
        fabric=_less(fabrics.of_machine(shape.cloud, shape.machine, kind), {*task.env, *task.secrets, *options.env}),
        scripts=tuple(rendering.written(ranks(shape), question.out or _kept(question.stack or task.name or "task"))),
        notes=(*notes, *_limits(stack, shape), *filter(None, [lacks, _of_network(shape, kind)])),
        is_settled=not notes,
        saving=setups.saving(task, shape),
    )


def _less(fabric: Fabric, own: set[str]) -> Fabric:
    """A fabric whose environment leaves out what the task says by itself, which counts more."""
    return evolve(fabric, env={name: value for name, value in fabric.env.items() if name not in own})


def _of_network(shape: Shape, kind: InstanceType | None) -> str:
    """What is to be known of the network between the nodes; "" where it is what it can be."""
    return fabrics.remark(kind, shape.machine.network_tier, len(shape.nodes)) if kind is not None else ""


def _hopeful(ranking: Ranking) -> Ranking:
    """The ranking less what was refused lately, which an up passes over too, unless that is everything."""
    left = ranking.without(memory.refusing())
    return left if left.offers else ranking


def _chosen(task: Task, before: Shape, ranking: Ranking, among: Market, *, rehearsed: bool) -> tuple[Offer | None, str]:
    """What is rented for a task on a stack, and why that; None where nothing is. With `rehearsed`, what needs no cloud
    runs on this machine."""
    if will_do(before, task):
        return None, "the machines of the cluster will do"
    if rehearsed and local_candidate(task) is not None:
        return None, "local nodes will do: the task asks for nothing that a cloud alone has"
    usable = ranking.without(lambda each: among.missing[each.cloud])
    if not ranking.offers:
        raise NoOffer(renting.no_offer(task, among, ranking), ranking, among.missing)
    offers = usable.offers or _buildable(ranking, among).offers or ranking.offers
    best, count = offers[0], len(offers)
    first = "the first candidate that can be had" if task.choice.mode == "ordered" else "the best"
    return best, f"{first} of {count} offers" if count > 1 else "the only offer"


def _buildable(ranking: Ranking, among: Market) -> Ranking:
    """The ranking less the clouds that Skyrig makes no clusters on."""
    return ranking.without(lambda each: "" if each.cloud in clouds.known() else among.missing[each.cloud])


def _settled(shape: Shape, among: Market, chosen: Offer | None, *, asks: bool) -> tuple[Shape, list[str]]:
    """`shape` with what an up would find out first, and what of that could not be. Without `asks`, and on clouds that
    cannot be used, nobody is asked."""
    if not shape.is_offered:
        return renting.settled(shape), []
    why = among.missing.get(shape.cloud, "") or ("" if asks else "the price table is the whole world")
    if not why:
        try:
            return renting.settled(shape), []
        except SkyrigError as error:
            why = error.message
    machine = shape.machine
    place = facts.of(shape.cloud, "place")  # what stands there where nobody can be asked is for counting alone
    zone = machine.zone or place.get("first_zone", "").format(region=machine.region)
    nobody = place.get("nobody", "unknown")
    made_up = evolve(
        machine, zone=zone, account=machine.account or nobody, ssh_from=machine.ssh_from or (_UNKNOWN_NETWORK,)
    )
    return evolve(shape, machine=made_up), [f"account, zone and who may log in are not known yet: {why}"]


def _forecast(stack: str, shape: Shape, question: Question, chosen: Offer | None) -> Forecast:
    """The changes; out of a world that is a price table alone, what the program refuses is told and not minded."""
    try:
        return forecast.of(stack, shape, insist=question.preview)
    except BadInput as error:
        if question.catalog is None or chosen is None:
            raise
        return Forecast((), OFFLINE, error.message)


def _limits(stack: str, shape: Shape) -> list[str]:
    """What limits on spending have against it, or are near to."""
    try:
        return stacks.within_limits(stack, shape)
    except BadInput as error:
        return [f"an up would be refused: {error}"]


def _price(shape: Shape, chosen: Offer | None, hours: float | None) -> Price:
    machine, count = shape.machine, len(shape.nodes)
    if not shape.is_rented:
        return Price(0.0, hours=hours)
    network = (
        costs.network(shape.cloud, machine.egress, count, shape.balanced) if shape.cloud in clouds.known() else 0.0
    )
    mixed = any(paid != machine.capacity for paid in shape.paid)  # an offer is of nodes that are all paid for alike
    if chosen is not None and not mixed:
        nodes = None if chosen.hourly is None else chosen.hourly * count
        return Price(nodes, network, hours or chosen.hours, chosen.egress)
    hourly = costs.of_shape(shape)
    egress = chosen.egress if chosen is not None else 0.0
    hours = hours or (chosen.hours if chosen is not None else None)
    return Price(None if hourly is None else hourly - network, network, hours, egress)


def _kept(name: str) -> Path:
    """An empty folder for scripts in the user's cache; those of the last plan of that name go."""
    folder = places.cache() / "plans" / re.sub(r"[^A-Za-z0-9._-]+", "-", name)
    shutil.rmtree(folder, ignore_errors=True)
    return folder
