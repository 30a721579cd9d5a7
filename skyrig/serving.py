"""The verbs of services: up, update, status, logs, down.

What a service shall be is found out first (`serve.client.asked`), then written down as a ward of the controller's, and
only then made: wherever the command that asked for it ends, the controller goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import partial
from typing import BinaryIO

from attrs import evolve, frozen

from skyrig import places, provision, siting, verbs
from skyrig.bringing import Confirm, Notify
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.policy import NO_WISH
from skyrig.cluster.policy import Wish as Limits
from skyrig.control import client as controller
from skyrig.control import folder, table
from skyrig.control.services import wards as services
from skyrig.control.services.wards import Service
from skyrig.control.ward import SERVICE, Ward, Wish
from skyrig.errors import BadInput, JobFailed, SkyrigError
from skyrig.launch import records
from skyrig.launch.job import JobStatus
from skyrig.serve.client import asked, following, looking, told, watching
from skyrig.serve.client.asked import Said
from skyrig.serve.client.deploy import deploy
from skyrig.serve.client.seen import Controller, Seen
from skyrig.serve.page.opening import Watched, open_page
from skyrig.serve.spec import ServiceSpec, Tls
from skyrig.serve.state import ServiceStatus, Snapshot
from skyrig.stack import backend, described, stacks
from skyrig.stack import endpoints as endpoints_of
from skyrig.task.model import Task


@frozen
class Options:
    """What a caller may say about a service besides its task: about the endpoint (`said`), the `cluster` that it shall
    run on (None: one of its own), whether its name is that of the `selected` cluster because none was given, whether
    it is not waited for (`detach`), and what its cluster may cost."""

    said: Said = asked.NOTHING_SAID
    cluster: str | None = None
    selected: bool = False
    detach: bool = False
    wish: Limits = NO_WISH
    retry_until_up: bool = False


def up(task: Task, name: str, options: Options, notify: Notify, confirm: Confirm) -> Seen:
    """Bring a service up; where one of that name is there, change it. What is seen of it once a replica is READY, or
    with `detach` once its cluster has been told of it. JobFailed where it never becomes ready."""
    there = table.ward(name)
    if there is not None and there.wish is Wish.GONE:
        raise BadInput(f"service {name} is being taken down", hint="`serve.status` shows when it is gone")
    if there is not None:
        if options.cluster not in (None, there.stack):
            raise BadInput(f"service {name} is on {there.stack}, not on {options.cluster}")
        notify(f"service {name} is there already: this changes it")
        return _brought(task, there, options, notify, confirm)
    stack = options.cluster or name
    alone = siting.alone(name, stack, named=options.cluster is not None, selected=options.selected)
    return _brought(task, Ward(name, stack, alone=alone), options, notify, confirm)


def update(task: Task, name: str, options: Options, notify: Notify, confirm: Confirm) -> Seen:
    """Change a service that is there; what is seen of it once the new version serves. SkyrigError where that was rolled
    back."""
    return _brought(task, _ward(name), options, notify, confirm)


def status(names: Sequence[str] | None = None) -> list[Seen]:
    """Services called `names`, by name or pattern (`m-*`), or all. Their stewards are asked at once."""
    found = _wards(names)
    if not found:
        return []
    at_work = controller.state()
    clusters = {each.name: described.describe(each.stack) for each in found}
    said = looking.snapshots({name: desc for name, desc in clusters.items() if desc is not None})
    if not at_work.alive:
        controller.ensure()
    away = Controller(at_work.alive, None if at_work.alive else at_work.since)
    return [evolve(_seen(each, clusters[each.name], said.get(each.name)), controller=away) for each in found]


def endpoint(name: str) -> str:
    """HOST:PORT of a service's endpoint. BadInput where there is none yet."""
    ward = _ward(name)
    found = _endpoint(services.spec(ward), described.describe(ward.stack))
    if not found:
        raise BadInput(f"service {name} has no endpoint yet", hint=f"`serve.status -n {name}`")
    return found


def logs(
    name: str, replica: int | None, out: BinaryIO, notify: Notify, *, follow: bool = True, tail: int | None = None
) -> int:
    """Write the output of a replica (None: the newest) to `out`; its exit code, 0 while it goes on. Where the steward
    does not answer, that of the cluster's newest job."""
    ward = _ward(name)
    desc = described.describe(ward.stack)
    said = looking.snapshots({name: desc}).get(name) if desc is not None else None
    if not isinstance(said, Snapshot):
        if replica is not None:
            raise said or BadInput(f"the cluster of service {name} is not up", hint=f"`logs -c {ward.stack}`")
        return verbs.logs(ward.stack, None, out, notify, follow=follow, tail=tail)
    known = [each for each in said.replicas if replica in (None, each.id)]
    if not known:
        there = ", ".join(str(each.id) for each in said.replicas)
        raise BadInput(f"service {name} has no replica{'' if replica is None else f' {replica}'}", hint=there or None)
    started = [each for each in known if each.job]
    if not started:
        raise BadInput(f"replica {known[-1].id} of {name} has not begun yet: {known[-1].status}")
    return verbs.logs(ward.stack, started[-1].job, out, notify, follow=follow, tail=tail)


def logs_of(
    name: str, part: str, out: BinaryIO, notify: Notify, *, follow: bool = True, tail: int | None = None
) -> None:
    """Write what the `controller`, or the steward with its `balancer`, tells of a service to `out`."""
    ward = _ward(name)
    if part == "controller":
        told.file(folder.log(SERVICE, name), out, follow=follow, tail=tail)
        return
    desc = described.describe(ward.stack)
    if desc is None:
        raise BadInput(f"the cluster of service {name} is not up", hint="`serve.logs --controller` tells why")
    asyncio.run(told.steward(desc, out, notify, follow=follow, tail=tail))


def metrics(names: Sequence[str] | None = None) -> str:
    """Prometheus text of services, by name or pattern, or of all: balancer, engines and steward of each, and the
    controller. What does not answer is told in it."""
    return asyncio.run(_metrics(_wards(names)))


def web(names: Sequence[str] | None, notify: Notify, *, port: int = 0) -> None:
    """Show services, by name or pattern, or all, on a page for a browser of this machine, until Ctrl-C. `port` is the
    page's (0: one that is free)."""
    found = _wards(names)
    if not found:
        raise BadInput("there is no service to show", hint="`serve.up` makes one")
    shown = [_watched(ward) for ward in found]
    with suppress(KeyboardInterrupt):
        asyncio.run(open_page(shown, port=port, notify=notify, metrics=lambda: _metrics(found)))


def down(names: Sequence[str] | None, notify: Notify, confirm: Confirm, *, purge: bool = False) -> None:
    """Take services away (None: all), by name or pattern, with the clusters that were made for them. With `purge` one
    is forgotten also where its cluster cannot be told, or taken down."""
    for ward in _wards(names):
        what = f"service {ward.name}" + (f" and its cluster {ward.stack}" if ward.alone else "")
        if not confirm(f"take down {what}?"):
            raise BadInput(f"service {ward.name}: nothing was changed")
        notify(f"service {ward.name}: its replicas are ended, once their requests are done")
        with services.ending(ward.name, notify) as left:
            controller.ensure()  # it goes on where this command is ended
            if left is not None:
                _ended_or_purged(left, notify, purge=purge)
                services.forget(ward.name)
        notify(f"service {ward.name} is gone")


def terminate_replica(name: str, replica: int, notify: Notify, confirm: Confirm) -> None:
    """Take one replica away, once its requests are done; another one comes for it."""
    desc = described.describe(_ward(name).stack)
    if desc is None:
        raise BadInput(f"the cluster of service {name} is not up")
    if not confirm(f"end replica {replica} of {name}?"):
        raise BadInput(f"service {name}: nothing was changed")
    asyncio.run(looking.replace(desc, replica))
    notify(f"replica {replica} of {name} goes; another one comes for it")


def _brought(task: Task, wanted: Ward, options: Options, notify: Notify, confirm: Confirm) -> Seen:
    """Write the service down, have its cluster brought up and told of it, and wait until it serves."""
    name, stack = wanted.name, wanted.stack
    made = siting.fitted(task, wanted, evolve(options.said, alone=wanted.alone))
    for line in made.notes:
        notify(line)
    with controller.holding(name, notify=notify):
        before = table.ward(name)
        service = Service(made.task, made.spec, made.secrets, {"keys": list(made.keys)})
        ward, service = services.enter(name, stack, service, alone=wanted.alone, notify=notify)
        controller.ensure()
        try:
            cluster = deploy(
                stack, service.task, service.spec, service.secrets, notify, confirm,
                wish=options.wish, retry=options.retry_until_up,
            )  # fmt: skip
        except BaseException:  # Ctrl-C too: who asked for it and saw it fail does not want it to be tried on
            _taken_back(before, ward, notify)
            raise
        services.deployed(ward, cluster)
    if options.detach:
        return _seen(ward, cluster, None)
    try:
        now = asyncio.run(following.until_ready(lambda: _wanted_on(name, notify), notify, name))
    except KeyboardInterrupt:
        notify(f"service {name} goes on: `serve.status -n {name}` shows it, `serve.down -n {name}` ends it")
        return _seen(ward, cluster, None)
    except JobFailed:
        raise
    except SkyrigError:
        left = table.ward(name)
        if left is None or not left.gave_up:
            raise
        raise _given_up(left, notify) from None
    return _seen(ward, described.describe(stack), now)


def _given_up(ward: Ward, notify: Notify) -> JobFailed:
    """Why a service FAILED whose cluster the controller has taken down before anybody here saw it fail."""
    for line in ward.data.get("last_lines") or ():
        notify(f"    {line}")
    jobs = records.queue(places.records(ward.stack))
    codes = [job.exit_code for job in jobs if job.exit_code and job.status is JobStatus.FAILED]
    return JobFailed(f"service {ward.name} FAILED: {ward.reason}", code=codes[-1] if codes else SkyrigError.exit_code)


def _wanted_on(name: str, notify: Notify) -> ClusterDescription | None:
    """The cluster of a service as it is now; None where the service is not wanted any more. JobFailed where it was
    given up meanwhile."""
    ward = table.ward(name)
    if ward is not None and ward.gave_up:
        raise _given_up(ward, notify)
    return described.describe(ward.stack) if ward is not None and ward.wish is Wish.UP else None


def _taken_back(before: Ward | None, ward: Ward, notify: Notify) -> None:
    """What could not be deployed is not tried on: the version before is wished for again, or all of it goes."""
    if before is not None:
        table.enter(before)
    elif ward.alone and not backend.has_anything(ward.stack):
        services.forget(ward.name)
    else:
        services.end(ward.name)
        notify(f"service {ward.name}: what was made for it is being taken away")


def _ended_or_purged(ward: Ward, notify: Notify, *, purge: bool) -> None:
    """`_ended`; with `purge` what goes wrong is only told."""
    try:
        _ended(ward, notify, purge=purge)
    except (SkyrigError, OSError) as error:
        if not purge:
            raise
        notify(f"service {ward.name}: {error}")


def _ended(ward: Ward, notify: Notify, *, purge: bool) -> None:
    """Have the steward end all replicas, and take the cluster down that was made for them."""
    services.stop(ward, notify, going=ward.alone)
    if ward.alone and stacks.exists(ward.stack):
        provision.down(ward.stack, notify, force=purge)


def _wards(names: Sequence[str] | None) -> list[Ward]:
    """The services of the names and patterns, or all. BadInput for a name that none has."""
    known = table.wards(SERVICE)
    if names is None:
        return known
    for name in names:
        if not any(fnmatchcase(each.name, name) for each in known):
            raise _no_such_service(name, known)
    return [each for each in known if any(fnmatchcase(each.name, name) for name in names)]


def _ward(name: str) -> Ward:
    found = table.ward(name)
    if found is None:
        raise _no_such_service(name, table.wards(SERVICE))
    return found


def _no_such_service(name: str, known: Sequence[Ward]) -> BadInput:
    there = "there are: " + ", ".join(each.name for each in known) if known else "there is none yet"
    return BadInput(f"no service is called {name}", hint=there)


def _seen(ward: Ward, desc: ClusterDescription | None, said: looking.Found | None) -> Seen:
    """A service as it is known: by its steward, or where that does not answer by its ward."""
    snapshot = said if isinstance(said, Snapshot) else None
    spec = services.spec(ward)
    secure = spec.entrance.tls is not Tls.NONE
    probed = "/v1/models" if spec.engine else spec.probe.path if spec.probe.post_data is None else "/"
    return Seen(
        name=ward.name,
        stack=ward.stack,
        status=snapshot.status if snapshot is not None else _status(ward),
        snapshot=snapshot,
        endpoint=_endpoint(spec, desc),
        scheme="https" if secure else "http",
        domain=spec.entrance.domain if secure else "",
        path=probed,
        keys=tuple(services.options(ward).get("keys", ())),
        alone=ward.alone,
        reason=_reason(ward, said),
        created_at=ward.created_at,
    )


def _reason(ward: Ward, said: looking.Found | None) -> str:
    """What is to be known of a service beside what its steward says: why that says nothing, or what the controller
    tries in vain."""
    in_vain = (ward.data.get("pause") or {}).get("tries")
    if isinstance(said, Snapshot):
        return ward.reason if in_vain or ward.gave_up else ""
    return ward.reason or (said.message if said is not None else "")


def _status(ward: Ward) -> ServiceStatus:
    """What a ward alone says of its service."""
    if ward.wish is Wish.GONE:
        return ServiceStatus.SHUTTING_DOWN
    if ward.gave_up:
        return ServiceStatus.FAILED
    return ServiceStatus.REPLICA_INIT if ward.applied else ServiceStatus.CONTROLLER_INIT


def _watched(ward: Ward) -> Watched:
    """A service for the page."""
    desc = described.describe(ward.stack)
    snapshots = partial(watching.snapshots, partial(described.describe, ward.stack))
    return Watched(ward.name, snapshots, _endpoint(services.spec(ward), desc), _not_scaling)


def _not_scaling() -> str:
    at_work = controller.state()
    return "" if at_work.alive else Controller(False, at_work.since).remark


async def _metrics(wards: Sequence[Ward]) -> str:
    clusters = await asyncio.to_thread(lambda: {each.name: described.describe(each.stack) for each in wards})
    return await watching.metrics(clusters, _controllers_metrics)


def _controllers_metrics() -> str | None:
    """What the controller tells; None where it is away."""
    try:
        return controller.metrics()
    except SkyrigError:
        return None


def _endpoint(spec: ServiceSpec, desc: ClusterDescription | None) -> str:
    """HOST:PORT of the endpoint as it is reached from here; "" where it is not yet."""
    return endpoints_of.of(desc).get(spec.entrance.port, "") if desc is not None else ""
