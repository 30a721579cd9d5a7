"""Running things: train, launch, exec, and render, which shows what would run."""

from __future__ import annotations

import sys
from pathlib import Path

from attrs import evolve

from skyrig.cli import flags, plans
from skyrig.cli.verb import Values, agreed, flag, notify, positional, verb
from skyrig.errors import BadInput

STRATEGY = flag("strategy", "how the script is started: torchrun (the default), deepspeed, accelerate, ray, ...")
SCRIPT = flag("script", "training script; the shipped example without it")
TASK = flag("task", "task file")


@verb("train", [*flags.LAUNCH, TASK, SCRIPT, STRATEGY], takes_rest=True)
def train(values: Values) -> int:
    """Bring the cluster up if it is not, then train: a script, a task, or the shipped example. ARGS go after `--`."""
    from skyrig import submitting, training, verbs
    from skyrig.stack import config
    from skyrig.task.model import Task

    stack = flags.cluster(values)
    task, script = values.text("task"), values.text("script")
    if task is not None:
        if script is not None or values.text("strategy") is not None or values.rest:
            raise BadInput("--task brings its own commands: no --script, --strategy or ARGS beside it")
        return _launched(values, task, stack)
    machines = flags.machines_of(values)
    asked = (machines or Task()).resources
    options = evolve(flags.training_options(values), ports=asked.ports or ())
    if not asked.needs_cloud or asked.infra.cloud is None:
        submitting.note_unheeded(asked, notify)
        machines = None
    run = training.chosen(script, values.text("strategy"), options.workdir, values.rest)
    training.require_packages(run)
    if values.switch("dryrun"):
        count = options.nodes or len(config.read_shape(stack).nodes)
        plans.show_training(values, run, evolve(machines or Task(), num_nodes=count), options)
        return 0
    confirm = agreed(values.switch("yes"))
    return verbs.train(stack, run, options, notify.output(), notify, machines=machines, confirm=confirm)


@verb("launch", [positional("file", "task file, or a command in quotes"), *flags.LAUNCH])
def launch(values: Values) -> int:
    """Run a task file: provision, sync, set up, run. Without -c on a new cluster."""
    return _launched(
        values, str(values.given["file"]), flags.cluster(values) if values.text("cluster") is not None else None
    )


@verb("exec", [positional("file", "task file, or a command in quotes"), *flags.RUN, *flags.RESOURCES])
def exec_(values: Values) -> int:
    """Sync and run a task file on a cluster that is up: no provisioning, no setup."""
    from skyrig import verbs

    if values.text("cluster") is None:
        raise BadInput("exec: which cluster?", hint="-c NAME")
    options = flags.run_options(values)
    task = flags.task_of(values, str(values.given["file"]))
    return verbs.exec_(task, flags.cluster(values), options, notify.output(), notify)


@verb(
    "render",
    [
        positional("file", "task file; without it the script, or the shipped example", optional=True),
        *flags.LAUNCH,
        TASK,
        SCRIPT,
        STRATEGY,
        flag("out", "folder to write into"),
    ],
    takes_rest=True,
)
def render(values: Values) -> None:
    """Show the exact scripts and variables of every rank, secrets masked, without running anything."""
    from skyrig import rendering, training, verbs

    stack = flags.cluster(values)
    task = values.text("file") or values.text("task")
    if task is not None:
        ranks = verbs.render_task(stack, flags.file_of(values, task).only(), flags.run_options(values))
    else:
        options = flags.training_options(values)
        run = training.chosen(values.text("script"), values.text("strategy"), options.workdir, values.rest)
        ranks = verbs.render_training(stack, run, options)
    out = values.text("out")
    if out is None:
        sys.stdout.buffer.write(rendering.shown(ranks))
    else:
        for file in rendering.written(ranks, Path(out)):
            print(file)


def _launched(values: Values, file: str, stack: str | None) -> int:
    from skyrig import submitting, verbs

    if values.switch("dryrun"):
        plans.show(values, file)
        return 0
    task, options = flags.task_of(values, file), flags.run_options(values)
    own = submitting.autostop_of(task)
    if own is not None and options.autostop is not None and values.text("idle-minutes-to-autostop") is None:
        options = evolve(options, autostop=evolve(options.autostop, idle_minutes=own.idle_minutes))
    confirm = agreed(values.switch("yes"))
    return verbs.launch(task, stack, options, notify.output(), notify, confirm=confirm)
