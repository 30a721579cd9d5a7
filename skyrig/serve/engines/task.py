"""The task that serves a model with an engine, as if somebody had written its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skyrig.cluster.description import Accelerators
from skyrig.errors import BadInput
from skyrig.serve.engines import engine as engines
from skyrig.serve.engines import model as models
from skyrig.serve.engines import rendering
from skyrig.serve.engines.rendering import SERVER, TEMPLATES
from skyrig.task.accelerators import Accelerator
from skyrig.task.config import Config
from skyrig.task.model import Task
from skyrig.task.resources import Choice, Resources
from skyrig.task.service import Probe, Service
from skyrig.task.storage import FileMounts


def task(
    model: str,
    *,
    engine: str | None = None,
    accelerators: Accelerators | None = None,
    num_nodes: int = 1,
    env: Mapping[str, str] | None = None,
    served_name: str | None = None,
    arguments: Sequence[str] = (),
) -> Task:
    """The task that serves `model` (see `models.read`) on `num_nodes` nodes a replica, each with `accelerators`, with
    `engine` (None: the one for these), which gets `arguments` as they are. BadInput for what cannot be."""
    there = accelerators or Accelerators()
    chosen = engines.known(engine or engines.default(there))
    _refuse(chosen, there, num_nodes)
    found = models.read(model, served_name)
    resources = Resources(accelerator=Accelerator(there.name, there.count) if there.name and there.count else None)
    return Task(
        name=models.plain(found.name.rstrip("/").rpartition("/")[2]).lower(),
        num_nodes=num_nodes,
        env=dict(env or {}),
        choice=Choice((resources,)),
        mounts=FileMounts(copies=_copies(chosen.name, found)),
        service=Service(probe=Probe(path=chosen.probe), port=chosen.port),
        config=_front_door(chosen),
        setup=rendering.setup_text(chosen, num_nodes),
        run=rendering.run_text(chosen, found, there.count, num_nodes, arguments),
    )


def _front_door(engine: engines.Engine) -> Config:
    """What the task's own file would say of the engine, in `config.skyrig.serve`."""
    values = {"skyrig": {"serve": {"engine": engine.name, "metrics": engine.metrics}}}
    return Config(values=values, mended=values)


def _refuse(engine: engines.Engine, there: Accelerators, num_nodes: int) -> None:
    """BadInput for what the engine cannot do."""
    if num_nodes < 1:
        raise BadInput(f"{num_nodes} nodes a replica cannot be", hint="give 1 or more")
    if num_nodes > 1 and not engine.many_nodes:
        raise BadInput(f"{engine.name} serves a model on one node", hint="--engine vllm spreads one over several")
    if engine.needs_accelerator and not there.count:
        hint = "--engine transformers does without"
        raise BadInput(f"{engine.name} wants accelerators, and these nodes have none", hint=hint)


def _copies(engine: str, model: models.Model) -> dict[str, str]:
    """The file_mounts: the model where it is brought, and the program that serves with Transformers."""
    brought = {model.target: str(model.source)} if model.source is not None else {}
    own = {f"~/{SERVER}": str(TEMPLATES / "transformers_server.py")} if engine == engines.TRANSFORMERS.name else {}
    return {**brought, **own}
