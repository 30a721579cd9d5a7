"""What is done for managed jobs, each piece in a process of its own (skyrig.control.work). Each may be begun again at
any point: clusters are brought up to what they shall be, and an attempt that a keeper has already is not taken again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial

from attrs import evolve, frozen

from skyrig import bringing, leaving, provision, renting, submitting
from skyrig.bringing import Asked, Manner
from skyrig.cluster.description import ClusterDescription
from skyrig.control import table
from skyrig.control.jobs import wards as jobs
from skyrig.control.jobs.known import OUT, Act, least, recovery
from skyrig.control.jobs.reaching import reached
from skyrig.control.ward import JOB, Ward
from skyrig.errors import NoCapacity, NodeLost, SkyrigError
from skyrig.failover.attempts import NoneLeft
from skyrig.jobs.given import given
from skyrig.jobs.spec import ManagedSpec
from skyrig.jobs.state import ManagedJob
from skyrig.launch import client
from skyrig.launch.job import JobRecord
from skyrig.launch.submission import Submission
from skyrig.stack import described, powers, stacks
from skyrig.submitting import RunOptions

Notify = Callable[[str], None]
"""Takes one line for the log."""

_FLUSH_S, _CANCELLED_FLUSH_S = 600.0, 120.0
"""How long files that a job wrote may take to reach their buckets: one that has ended by itself, and one cancelled."""

_BACK_S = 20.0
"""How long a node that is there, and does not answer, is waited for before another one is made in its place."""

_ENDS_S = 30.0
"""How long an attempt may take to end once its nodes are known to be other ones."""

_POLL_S = 0.2

_STILL_THERE_S = 4.0
"""How often is looked, while something waits for a cluster's nodes, whether their machines are there."""


def bring(ward: Ward, notify: Notify) -> None:
    """Have the cluster of the task at work be what it shall be, made anew where it is lost, and its newest attempt
    submitted to it."""
    try:
        _brought(ward, notify)
    except NoCapacity as error:
        passing = isinstance(error, NoneLeft) and error.may_pass
        table.change(ward.name, JOB, data={"never": not passing})
        raise
    except NodeLost as error:  # its machine may well be there
        _suspected(ward, error.node_id)
        raise


def _suspected(ward: Ward, node_id: str) -> None:
    """Write down that the head could not reach a node that is there."""
    cluster = described.describe(jobs.job(ward).current.stack)
    found = next((node for node in cluster.nodes if node.id == node_id), None) if cluster is not None else None
    if found is not None:
        table.change(ward.name, JOB, data={"cut_off": {"node": node_id, "incarnation": found.incarnation}})


def _brought(ward: Ward, notify: Notify) -> None:
    job = jobs.job(ward)
    task, spec = job.current, _readable(ward)
    doing = ward.data["doing"]
    stack = task.stack
    options = RunOptions(wish=spec.wish, avoid=str(doing["avoid"]))
    if described.describe(stack) is not None:
        options = RunOptions()  # what is wished of a cluster stands in its config by now
        _repaired(stack, _Lost.of(ward), notify)
    cluster, what = submitting.for_launch(jobs.task(ward, task.index), stack, options, notify, renting.pays)
    if what is None:
        raise SkyrigError(f"task {task.index} of job {job.id} has nothing to run")
    how = recovery(spec, task)
    request = evolve(
        what.request, key=task.key(job.id), given=given(job, task.index), min_nodes=least(how, task), hang_s=how.hang_s
    )
    if job.user:
        request = evolve(request, user=job.user)
    submitting_it = _submitted(cluster, evolve(what, request=request), job, notify)
    record = asyncio.run(_while_there(cluster, submitting_it))
    cluster = described.known(stack) or cluster
    told = {"key": record.key, "head": cluster.head.incarnation, "job": record.id}
    table.change(ward.name, JOB, reason="", data={"told": told, "spares": None, "cut_off": None})


def move(ward: Ward, notify: Notify) -> None:
    """Take what is left of the cluster down, and bring all of it up where there is capacity."""
    stack = jobs.job(ward).current.stack
    if stacks.exists(stack) and described.last(stack) is not None:
        provision.down(stack, notify, force=True)
    bring(ward, notify)


def mend(ward: Ward, notify: Notify) -> None:
    """Make lost nodes of a job anew that goes on without them, and tell its head. Where none is named, look after a
    cluster whose head is silent."""
    stack = jobs.job(ward).current.stack
    if not ward.data["doing"]["nodes"]:
        bringing.up(stack, notify, Asked(at_least=True), Manner(renting.pays))
        return
    _repaired(stack, _Lost.of(ward), notify)
    cluster = described.describe(stack)
    if cluster is not None:
        asyncio.run(client.acquaint(cluster))


def spare(ward: Ward, notify: Notify) -> None:
    """Make one node more for each of those that are about to go. Where there is no capacity that is known afterwards,
    and nothing has changed."""
    stack, going = jobs.job(ward).current.stack, tuple(ward.data["doing"]["nodes"])
    before, known = described.describe(stack), dict(ward.data.get("spares") or {})
    if before is None:
        return
    there = [node.id for node in before.nodes]
    task = jobs.job(ward).current
    made = [each for each in there[task.num_nodes :] if each not in known.values()]
    try:
        if len(made) < len(going):
            asked = Asked(nodes=len(there) + len(going) - len(made), at_least=True)
            cluster = bringing.up(stack, notify, asked, Manner(renting.pays))
            made += [node.id for node in cluster.nodes if node.id not in there]
    except NoCapacity as error:
        notify(f"no node early: {error.message}")
        made = []
    found = dict(zip(going, made, strict=False)) if made else dict.fromkeys(going, "")
    table.change(ward.name, JOB, data={"spares": {**known, **found}})


def spared(ward: Ward, notify: Notify) -> None:
    """Take those nodes away again that were made for others which stay."""
    stack, known = jobs.job(ward).current.stack, dict(ward.data.get("spares") or {})
    idle = tuple(known[each] for each in ward.data["doing"]["nodes"])
    bringing.up(stack, notify, Asked(without=idle, at_least=True), Manner(renting.pays, taking=idle))
    left = {each: its for each, its in known.items() if its not in idle}
    table.change(ward.name, JOB, data={"spares": left})


def finish(ward: Ward, notify: Notify) -> None:
    """Take the cluster of a job down that has ended."""
    job = jobs.job(ward)
    _clear(ward, job, len(job.tasks), _FLUSH_S, notify)


def next_(ward: Ward, notify: Notify) -> None:
    """Take the clusters of those tasks down that are done."""
    job = jobs.job(ward)
    _clear(ward, job, job.current.index, _FLUSH_S, notify)


def end(ward: Ward, notify: Notify) -> None:
    """Take the cluster of a job down that the user does not want any more."""
    job = jobs.job(ward)
    _clear(ward, job, len(job.tasks), _CANCELLED_FLUSH_S, notify)


def _clear(ward: Ward, job: ManagedJob, count: int, flush_s: float, notify: Notify) -> None:
    """Take the clusters of the first `count` tasks down."""
    for task in job.tasks[int(ward.data.get("cleared", 0)) : count]:
        if stacks.exists(task.stack):
            provision.down(task.stack, notify, force=True, flush_s=flush_s)
            stacks.remove(task.stack, notify)
        table.change(ward.name, JOB, data={"cleared": task.index + 1})


def _readable(ward: Ward) -> ManagedSpec:
    """What the job is asked to be. Where that, or its task, cannot be read any more, that is written down."""
    try:
        spec = jobs.spec(ward)
        jobs.task(ward, jobs.job(ward).current.index)
    except SkyrigError as error:
        table.change(ward.name, JOB, data={"defect": error.message})
        raise
    return spec


@frozen
class _Lost:
    """The `nodes` of a cluster that are lost to its job since the moment `since`, the machine that its head could not
    reach when it was tried last ("": none), and those that came early, by the node that each is for."""

    nodes: tuple[str, ...]
    since: float
    cut_off: str
    spares: Mapping[str, str]

    @classmethod
    def of(cls, ward: Ward) -> _Lost:
        """As it stands in the ward."""
        doing, cut_off = ward.data["doing"], ward.data.get("cut_off") or {"node": "", "incarnation": ""}
        nodes = dict.fromkeys((*doing["nodes"], *filter(None, [cut_off["node"]])))
        return cls(tuple(nodes), float(doing["since"]), cut_off["incarnation"], ward.data.get("spares") or {})


def _repaired(stack: str, lost: _Lost, notify: Notify) -> None:
    """Bring a cluster that is there up as a whole. Lost nodes that have a successor go; others whose machines are there
    are waited for a while, and then made anew."""
    cluster = described.describe(stack)
    if cluster is None:
        return
    there = {node.id for node in cluster.nodes}
    going = tuple(each for each in lost.nodes if lost.spares.get(each) in there and each in there)
    anew = _silent(cluster, evolve(lost, nodes=tuple(each for each in lost.nodes if each not in going)), notify)
    if going:
        notify(f"{', '.join(going)} goes: {', '.join(lost.spares[each] for each in going)} is in its place")
        asked = Asked(anew=anew, without=going, at_least=True)
        bringing.up(stack, notify, asked, Manner(renting.pays, taking=(*going, *anew), force=True))
        return
    found = powers.of(cluster)
    whole = len(cluster.nodes) == len(stacks.settled(stack, notify).nodes)
    if whole and not anew and all(found.get(node.id) == "up" for node in cluster.nodes):
        return  # whoever submits looks whether they answer
    bringing.up(stack, notify, Asked(anew=anew, at_least=True), Manner(renting.pays, taking=anew))


def _silent(cluster: ClusterDescription, lost: _Lost, notify: Notify) -> tuple[str, ...]:
    """Which of the lost nodes are there, but for the head, and do not come back, or are not to: a preflight found them
    bad."""
    found = powers.of(cluster)
    machines = {node.id: node.incarnation for node in cluster.nodes[1:]}
    bad = [each for each in leaving.cordoned(cluster, notify) if each in machines] if lost.nodes else []
    doubtful = [each for each in lost.nodes if found.get(each) == "up" and each in machines and each not in bad]
    if doubtful:
        notify(f"{', '.join(doubtful)}: there, but lost to the job: waited for up to {_BACK_S:.0f} s")
    while doubtful:
        back = reached(cluster, doubtful)
        doubtful = [each for each in doubtful if each not in back or machines[each] == lost.cut_off]
        if time.time() > lost.since + _BACK_S:
            break
        time.sleep(_POLL_S)
    return (*bad, *doubtful)


async def _submitted(cluster: ClusterDescription, what: Submission, job: ManagedJob, notify: Notify) -> JobRecord:
    """Submit the newest attempt, once those before it have ended: the head is told which nodes there are, and ends
    what ran on others; what does not end by that is cancelled."""
    if job.current.attempt > 1:
        await client.acquaint(cluster)
        await _none_at_work(cluster, what.request.key, notify)
    return await client.submit(cluster, what, partial(described.known, cluster.name), notify)


async def _while_there(cluster: ClusterDescription, work: Coroutine[None, None, JobRecord]) -> JobRecord:
    """Do the work for as long as the machines of the cluster are there: NodeLost once one of them is not, since it may
    take long until a machine that only boots is told from one that is gone."""
    working = asyncio.create_task(work)
    while not working.done():
        await asyncio.wait({working}, timeout=_STILL_THERE_S)
        found = {} if working.done() else await asyncio.to_thread(powers.of, cluster)
        if out := [node_id for node_id, power in found.items() if power in OUT]:
            working.cancel()
            await asyncio.wait({working})
            if working.cancelled():
                raise NodeLost(f"lost while it was to begin: {', '.join(out)}", node_id=out[0])
    return working.result()


async def _none_at_work(cluster: ClusterDescription, key: str, notify: Notify) -> None:
    """Wait until no other attempt of the job is at work on the cluster; cancel what does not end."""
    deadline, told = time.monotonic() + _ENDS_S, False
    ours = key.rsplit("-", 2)[0] + "-"
    while True:
        records = await client.queue(cluster)
        left = [each.id for each in records if each.key.startswith(ours) and each.key != key and not each.status.ended]
        if not left:
            return
        if time.monotonic() > deadline and not told:
            told = True
            notify(f"job {', '.join(map(str, left))} does not end by itself: it is cancelled")
            await client.cancel(cluster, left, "another attempt follows")
        if time.monotonic() > deadline + _ENDS_S:
            raise SkyrigError(f"an earlier attempt of {key} does not end on {cluster.name}")
        await asyncio.sleep(_POLL_S)


WORK: dict[str, Callable[[Ward, Notify], None]] = {
    str(Act.START): bring,
    str(Act.REPAIR): bring,
    str(Act.SUBMIT): bring,
    str(Act.MOVE): move,
    str(Act.MEND): mend,
    str(Act.SPARE): spare,
    str(Act.SPARED): spared,
    str(Act.NEXT): next_,
    str(Act.FINISH): finish,
    str(Act.END): end,
}
"""What is done for each act but a look."""
