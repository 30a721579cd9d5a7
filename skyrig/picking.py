"""Which model is served where no task file says what: the task that serves it, and whether nodes here can run that."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from skyrig import fitting, models
from skyrig.cluster.description import Accelerators
from skyrig.errors import BadInput
from skyrig.serve import engines
from skyrig.stack import described
from skyrig.submitting import RunOptions
from skyrig.task.model import Task


def task_of(
    model: str | None,
    engine: str | None,
    machines: Task | None,
    options: RunOptions,
    stack: str,
    notify: Callable[[str], None],
) -> Task:
    """The task that serves `model`, or else the newest one that training on `stack` has made, with `engine` (None: the
    one for the machines). `machines` say what it runs on, None: what the cluster of `stack` has, or a CPU here;
    `options` its environment, its secrets, and how many nodes each replica has. BadInput for what cannot be."""
    there = _accelerators(machines, stack)
    found, name = (model, None) if model is not None else _newest(stack, notify)
    made = engines.task(
        found,
        engine=engine,
        accelerators=there,
        num_nodes=options.nodes or 1,
        env=options.env,
        served_name=name,
    )
    made = evolve(made, secrets=dict(options.secrets), choice=machines.choice if machines is not None else made.choice)
    server = made.config.front_door.engine
    if fitting.local_candidate(made) is not None:
        engines.require_packages(server)
    notify(f"serving {name or model} with {server}")
    return made


def _newest(stack: str, notify: Callable[[str], None]) -> tuple[str, str]:
    """The folder of the newest model that training on `stack` has made, and its name."""
    found = models.newest(stack, notify, described.describe(stack))
    if found is None:
        raise BadInput("there is no model to serve yet", hint="`train` makes one; or --model M, or a task file")
    return str(found), found.name


def _accelerators(machines: Task | None, stack: str) -> Accelerators:
    """The accelerators of the nodes that it will be served on; local ones are declared."""
    cluster = described.describe(stack)
    if machines is None or machines.resources.accelerator is None:
        return cluster.head.accelerators if machines is None and cluster is not None else Accelerators()
    wanted = fitting.accelerators_of(machines.resources)
    return evolve(wanted, declared=fitting.local_candidate(machines) is not None)
