"""Services as wards: what a client writes down before it makes anything, and what is read from it later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from attrs import frozen

from skyrig.cluster.description import ClusterDescription
from skyrig.control import client, folder, held, package, surroundings, table
from skyrig.control.look import marks
from skyrig.control.ward import SERVICE, Ward, Wish
from skyrig.errors import SkyrigError
from skyrig.serve.spec import CONVERTER, Secrets, ServiceSpec
from skyrig.stack import described, stacks
from skyrig.task.model import Task

Notify = Callable[[str], None]
"""Takes one line for the reader."""


_REACH_S = 10.0
"""How long a head that is to end a service may take to answer, in seconds."""

_STOP_S = 180.0
"""How long replicas may take to end well when the service does, in seconds."""


@frozen
class Service:
    """One version of a service, as its package has it: the `task` whose copies its replicas are, what it shall be
    (`spec`), the endpoint's `secrets`, and `options` of the launch that asked for it, plain data."""

    task: Task
    spec: ServiceSpec
    secrets: Secrets
    options: dict[str, Any]


def enter(
    name: str, stack: str, service: Service, *, alone: bool, notify: Notify = lambda line: None
) -> tuple[Ward, Service]:
    """Write a service down, or the next version of one that is there: its package, then its ward. What is deployed is
    what comes back: the same files, the same request, whoever does it. BadInput where a file cannot be read, and then
    nothing has changed. Call it with the ward held (`control.client.holding`)."""
    before = table.ward(name)
    number = before.version + 1 if before is not None else 1
    surroundings.keep(SERVICE, name)
    earlier = folder.version(SERVICE, name, before.version) if before is not None else None
    made = package.pack(
        service.task,
        folder.version(SERVICE, name, number),
        more={"spec": CONVERTER.unstructure(service.spec), "options": service.options},
        secrets={"pem": service.secrets.pem},
        before=earlier,
        notify=notify,
    )
    ward = table.enter(Ward(name, stack, alone=alone, version=number))
    package.prune(folder.of_ward(SERVICE, name), keep=min(number - 1, _good(ward)))
    return ward, _service(made)


def opened(ward: Ward) -> Service:
    """What is to be deployed of a service: its newest version, but where that was rolled back the one that served
    before it. SkyrigError where its package cannot be read."""
    number = _good(ward) if ward.data.get("rolled_back") == ward.version else ward.version
    return _service(package.opened(folder.version(SERVICE, ward.name, number)))


def _good(ward: Ward) -> int:
    """The newest version that is known to have served; the newest of all where none is known."""
    return int(ward.data.get("good", ward.version))


def spec(ward: Ward) -> ServiceSpec:
    """What a service shall be, without its secrets. SkyrigError where its package cannot be read."""
    return CONVERTER.structure(package.more(folder.version(SERVICE, ward.name, ward.version))["spec"], ServiceSpec)


def options(ward: Ward) -> dict[str, Any]:
    """Options of the launch that asked for a service."""
    return dict(package.more(folder.version(SERVICE, ward.name, ward.version))["options"])


def deployed(ward: Ward, cluster: ClusterDescription) -> None:
    """Write down that the cluster was told of the ward's version."""
    data = {"head": cluster.head.incarnation, "told": marks(cluster), "last_lines": None}
    table.change(ward.name, applied=ward.version, failed=0, reason="", data=data)


def end(name: str) -> Ward:
    """Write down that a service shall go, before anything of it does; what else the controller is doing for it ends as
    by Ctrl-C. SkyrigError where there is none of that name."""
    ward = table.change(name, wish=Wish.GONE)
    if ward is None:
        raise SkyrigError(f"there is no service called {name}", hint="`serve.status` lists them")
    client.poke(name)
    return ward


@contextmanager
def ending(name: str, notify: Notify = lambda line: None) -> Iterator[Ward | None]:
    """Take a service in hand to end it: it is written down that it shall go, and the block does that. Gives its ward;
    None where the controller, which was at work on it, has ended it by the time that it is free. Where this process
    dies, the controller goes on. SkyrigError where there is none of that name."""
    lock = held.try_take(SERVICE, name)
    try:
        end(name)
        if lock is not None:
            yield table.ward(name)
            return
    finally:
        if lock is not None:
            held.release(lock, SERVICE, name)
            client.poke(name)
    with client.holding(name, notify=notify):
        yield table.ward(name)


def stop(ward: Ward, notify: Notify, *, going: bool) -> None:
    """Have the steward end all replicas, once their requests are done, and the balancer. A head that does not answer,
    or takes too long, is no error where the cluster is `going` too."""
    cluster = described.describe(ward.stack) if stacks.exists(ward.stack) else None
    if cluster is None:
        return
    try:
        asyncio.run(asyncio.wait_for(_stopped(cluster), _STOP_S))
    except (SkyrigError, OSError, asyncio.TimeoutError) as error:
        if not going:
            raise
        said = error.message if isinstance(error, SkyrigError) else str(error) or "its steward takes too long to end"
        notify(f"service {ward.name}: {said}: its cluster is taken down all the same")


async def _stopped(cluster: ClusterDescription) -> None:
    from skyrig.launch.link import NoRuntime
    from skyrig.serve.client.link import steward

    with suppress(NoRuntime):  # a head that was never used
        async with steward(cluster, patience_s=_REACH_S) as link:
            await link.stop()


def forget(name: str) -> None:
    """Drop a service's ward and all that is kept of it: its cluster is told and gone, or goes on without it."""
    table.drop(name)
    folder.drop(SERVICE, name)


def _service(made: package.Package) -> Service:
    spec = CONVERTER.structure(made.more["spec"], ServiceSpec)
    return Service(made.task, spec, Secrets(made.secrets["pem"]), dict(made.more["options"]))
