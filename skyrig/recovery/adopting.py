"""`adopt`: a cluster whose state or passphrase is lost gets a new stack, made around what is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve

from skyrig import places, renting
from skyrig.bringing import Confirm, Notify
from skyrig.catalog import costs
from skyrig.clouds import adopter as adopters
from skyrig.clouds.adopter import Adopter, Survey
from skyrig.clouds.cloud import TaggedStack
from skyrig.cluster import ports
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.shape import Shape, WantedNode, stack_name
from skyrig.errors import BadInput, EngineError, NotYet, SkyrigError
from skyrig.recovery import tagged
from skyrig.recovery.tagged import Found
from skyrig.stack import backend, config, deployed, described, lost, powers, stacks
from skyrig.stack.rebuilding import Keys, Pair


def candidates(found: Sequence[Found]) -> list[Found]:
    """What can be adopted of all that was found: clusters with machines that nobody here knows."""
    return [each for each in found if each.seen.machines and not each.known and each.seen.cloud != tagged.LOCAL]


def adopt(stack: str, infra: str | None, notify: Notify, confirm: Confirm) -> ClusterDescription:
    """Make the stack of a cluster whose state is lost anew, around its nodes as they are; nothing of it is replaced. A
    state that nobody can read for want of its passphrase is put aside first, which is asked for. A run that was cut off
    is gone on with. BadInput where there is nothing to adopt, or its state is at hand; NotYet on clouds that have no
    way for it. Where nobody can log in any more, one line says so: such a cluster is seen, priced, stopped and taken
    away, and nothing else."""
    stack_name(stack)
    found = _one(stack, tagged.find(infra, (stack,), notify))
    if found.seen.cloud == tagged.LOCAL:
        hint = f"`down --by-tag --infra local -c {stack}` ends its nodes"
        raise NotYet(f"{stack}: nodes of this machine are made anew in seconds, and are not adopted", hint=hint)
    adopter = adopters.of(found.seen.cloud)
    if _is_here(stack, notify, confirm):
        return _let_in_again(stack, adopter, found.seen, notify)
    survey = adopter.survey(found.seen)
    shape = joined(_past(stack), survey.shape)
    notify(f"cluster {stack}: {shape}, {costs.said(costs.of_shape(shape))}")
    for note in survey.notes:
        notify(f"{stack}: {note}")
    keys = _keys(stack, found.seen, survey)
    if keys.client is None:
        _mark(stack).touch()
    else:
        _mark(stack).unlink(missing_ok=True)
    changes = stacks.take_over(
        stack,
        shape,
        lambda kind, inputs: adopter.identify(kind, inputs, found.seen),
        keys,
        notify,
        lambda paid: confirm(renting.Cost(f"{stack}: {', '.join(paid)} will be made. Go on?")),
    )
    notify(f"{stack}: adopted; {changes}")
    cluster = described.describe(stack, fresh=True, notify=notify)
    if cluster is None:
        raise SkyrigError(f"stack {stack} is adopted and exports no cluster", hint=f"look at `pulumi stack -s {stack}`")
    if _mark(stack).exists():
        _enter(adopter, found.seen, cluster, notify)
    for each in found.seen.kept:
        notify(f"{stack}: {each} stays, and is not part of the new stack")
    return cluster


def joined(past: Shape | None, seen: Shape) -> Shape:
    """What is wanted from now on: nodes, power, place and payer as they were `seen`; all else as it was said last,
    where that was of the same cloud, region and type."""
    kind = (seen.cloud, seen.machine.region, seen.machine.instance_type)
    if past is None or (past.cloud, past.machine.region, past.machine.instance_type) != kind:
        return seen
    there = {node.id: node for node in seen.nodes}
    mine = [node for node in past.nodes if node.id in there]
    nodes: tuple[WantedNode, ...] = (*mine, *(node for node in seen.nodes if node.id not in {each.id for each in mine}))
    if nodes[0].id != seen.nodes[0].id:  # another head is another firewall and another address
        nodes = tuple(next((old for old in mine if old.id == node.id), node) for node in seen.nodes)
    machine = evolve(past.machine, zone=seen.machine.zone, account=seen.machine.account)
    return evolve(
        past, nodes=nodes, power=seen.power, ports=ports.union(past.ports, seen.ports), machine=machine, buckets=()
    )


def _one(stack: str, found: Sequence[Found]) -> Found:
    """The one cluster of that name that can be adopted."""
    named = [each for each in found if each.seen.stack == stack and each.seen.machines]
    if not named:
        raise BadInput(f"no machine carries the tag of {stack}", hint="`adopt` alone lists what there is")
    mine = [each for each in named if each.mine] or named
    if len(mine) > 1:
        where = ", ".join(f"{each.seen.place} (of {each.seen.owner})" for each in mine)
        raise BadInput(f"{stack} is there several times: {where}", hint="--infra CLOUD/REGION says which")
    return mine[0]


def _is_here(stack: str, notify: Notify, confirm: Confirm) -> bool:
    """Whether the stack is there, whole and readable. States that nobody can read are put aside, which is asked for;
    one that an adoption has begun is gone on with."""
    if stacks.is_there(stack) and (backend.state(stack) is None or backend.has_anything(stack)):
        reason = lost.reason(stack)
        if not reason:
            return described.last(stack) is not None
        notify(f"{stack}: {reason}")
        hit = lost.hit(stack)
    else:
        hit = [each for each in lost.hit(stack) if each != stack]
    if hit and not confirm(f"the states of {', '.join(hit)} cannot be read: put them aside?"):
        raise BadInput(f"{stack}: nothing was changed", hint="put the passphrase back, or -y puts the states aside")
    for each in hit:
        lost.put_aside(each, notify)
    return False


def _let_in_again(stack: str, adopter: Adopter, seen: TaggedStack, notify: Notify) -> ClusterDescription:
    """An adopted cluster whose nodes did not let the new key in; BadInput for any other that is here."""
    cluster = described.last(stack)
    if cluster is None or not _mark(stack).exists():
        raise BadInput(
            f"the state of {stack} is at hand: there is nothing to adopt", hint=f"`up -c {stack}` repairs it"
        )
    _enter(adopter, seen, cluster, notify)
    return cluster


def _mark(stack: str) -> Path:
    """A file that is there while the nodes of an adopted cluster do not know its client's new key."""
    return places.made(places.stack(stack)) / "not-let-in"


def _past(stack: str) -> Shape | None:
    """What the stack was asked for last, as far as anybody here remembers."""
    try:
        past = deployed.last(stack)
    except EngineError:
        past = None
    if past is None and not config.is_bare(stack):
        past = config.read_shape(stack)
    return past


def _keys(stack: str, seen: TaggedStack, survey: Survey) -> Keys:
    """The keys of the cluster; without the client's where that is nowhere, or is none that its nodes know."""
    hosts = {node: Pair(key.public, key.private) for node, key in survey.host_keys.items()}
    kept = described.lost(stack)
    if kept is None or not kept.ssh.private_key:
        return Keys(None, hosts, survey.secrets)
    told = {_bare(key) for key in survey.client_keys}
    same = kept.head.incarnation in {each.id for each in seen.left} and not _mark(stack).exists()  # let in later on
    fits = same or _bare(kept.ssh.public_key) in told
    return Keys(Pair(kept.ssh.public_key, kept.ssh.private_key) if fits else None, hosts, survey.secrets)


def _bare(public_key: str) -> str:
    """A public key without its comment."""
    return " ".join(public_key.split()[:2])


def _enter(adopter: Adopter, seen: TaggedStack, cluster: ClusterDescription, notify: Notify) -> None:
    """Let the new client key in by the cloud's own means. Where that cannot be, it is said, and is no error."""
    from skyrig.launch import admission

    power = powers.of(cluster)
    awake = [node.id for node in cluster.nodes if power.get(node.id) == "up"]
    reasons = {node.id: "it is not up" for node in cluster.nodes if node.id not in awake}
    try:
        adopter.admit(seen, awake, cluster.head.user, cluster.ssh.public_key)
        reasons |= asyncio.run(admission.keep(cluster, awake)) if awake else {}
    except SkyrigError as error:
        reasons = {node.id: error.message for node in cluster.nodes}
    if not reasons:
        _mark(cluster.name).unlink(missing_ok=True)
        notify(f"{cluster.name}: a new key was let in on every node")
        return
    told = "; ".join(f"{node}: {why}" for node, why in sorted(reasons.items()))
    notify(
        f"{cluster.name}: the client's key is lost and a new one was not let in ({told}): the cluster can be seen, "
        f"priced, stopped and taken away, and no job can be started there; `adopt -c {cluster.name}` tries again"
    )
