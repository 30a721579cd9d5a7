"""Where a service can be: on a cluster of its own, or on one that is there; and what of it the machines there cannot
do. Nothing is made here."""

from __future__ import annotations

import os
import shutil
import socket

from skyrig import fitting, imaging, local
from skyrig.control import table
from skyrig.control.services import wards as services
from skyrig.control.ward import JOB, SERVICE, Ward
from skyrig.errors import BadInput, SkyrigError
from skyrig.serve.client import asked
from skyrig.serve.client.asked import Asked, Said
from skyrig.stack import config, described
from skyrig.task.model import Task


def alone(name: str, stack: str, *, named: bool, selected: bool) -> bool:
    """Whether a new service called `name` gets a cluster of its own on `stack`, which goes with it. It does where
    nothing is there yet and the stack was not `named` for it. BadInput where another service, or a cluster that was
    not meant, is there."""
    there = table.on_stack(stack)
    if there is not None and (there.kind, there.name) != (SERVICE, name):
        carried = "belongs to managed job" if there.kind == JOB else "carries service"
        raise BadInput(f"cluster {stack} {carried} {there.name}", hint="one cluster has one service")
    if named:
        return False
    if described.describe(stack) is None:
        return True
    if selected:
        return False
    raise BadInput(
        f"a cluster is called {name} already",
        hint=f"-c {name} serves on it, and leaves it when the service goes; -n gives the service another name",
    )


def fitted(task: Task, ward: Ward, said: Said) -> Asked:
    """What is asked for, as it can be where it shall be. BadInput where the machines there cannot do that."""
    found = asked.of(imaging.resolved(task), ward.name, said)
    there = described.describe(ward.stack)
    before = config.read_shape(ward.stack)
    shape = before if there is not None else fitting.shape_for(before, found.task)
    if (there.cloud if there is not None else shape.cloud) != "local":
        return found
    if not has_balancer():
        return asked.direct(found)
    level = there.isolation if there is not None else local.isolation(shape)
    return _on_one_address(found, ward, said) if level == "plain" else found


def has_balancer() -> bool:
    """Whether HAProxy is on this machine, for nodes of the local cloud."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"))
    return shutil.which("haproxy", path=path) is not None


def _on_one_address(found: Asked, ward: Ward, said: Said) -> Asked:
    """The same where all nodes share one address: replicas need a port each, and the endpoint one that is free."""
    if found.spec.scaling.most > 1 and not found.takes_any_port:
        raise BadInput(
            "local nodes share one address here: several replicas need a port each",
            hint="have `run` serve on $SKYRIG_SERVE_PORT",
        )
    if ward.applied and not found.takes_any_port:
        raise BadInput(
            "local nodes share one address here: a new version cannot have the port that the old one serves on",
            hint="have `run` serve on $SKYRIG_SERVE_PORT, or `serve.down` first",
        )
    if said.port is not None or found.task.config.front_door.port is not None:
        return found
    return asked.at_port(found, _kept_port(ward) or _free_port())


def _kept_port(ward: Ward) -> int | None:
    """The endpoint's port of the version before: it stays."""
    try:
        return services.spec(ward).entrance.port if ward.version else None
    except SkyrigError:
        return None


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
