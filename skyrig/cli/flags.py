"""The flags that verbs share, and what they mean together."""

from __future__ import annotations

import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from skyrig.cli.verb import Values, flag, notify
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from skyrig.cluster.autostop import Autostop
    from skyrig.cluster.policy import Wish
    from skyrig.task.model import GitSource, Task, TaskFile
    from skyrig.task.override import Override
    from skyrig.verbs import RunOptions

CLUSTER = flag("cluster c", "name of the cluster, which is that of its stack")
ALL = flag("all a", "every cluster", kind=bool)
YES = flag("yes y", "answer yes to every question", kind=bool)
JSON = (flag("json", "print JSON", kind=bool), flag("output o", "`json` prints JSON"))
NODES = flag("nodes num-nodes", "number of nodes")
GPUS = flag("gpus", "accelerators of each node, NAME:COUNT")
INFRA = flag("infra", "where: local, or CLOUD/REGION/ZONE")

IDLE = flag("idle-minutes i", "stop after so many idle minutes")
AUTOSTOP = (
    flag("down", "end the cluster for good when it is idle; without -i right after its last job", kind=bool),
    flag("wait-for", "what keeps it from being idle: jobs_and_ssh (the default), jobs, none"),
)

RETRY = flag("retry-until-up r", "try until there is capacity", kind=bool)
POLICY = (
    flag("max-hourly", "most USD an hour that the cluster may cost; none lifts that"),
    flag("budget", "most USD that the cluster may cost in all; none lifts that"),
    flag("ttl", "end the cluster after this time, whatever runs: 30m, 8h, 2d; none lifts that"),
)
"""What a cluster may cost, and how long it lives."""

MINIMIZE = flag("minimize", "what the choice of machines minds most: cost (the default), or time, by the task's hours")

RUN = (
    CLUSTER,
    flag("name n", "name of the job"),
    flag("workdir", "folder to sync to the nodes"),
    flag("git-url", "git repository to sync to the nodes"),
    flag("git-ref", "branch, tag or commit of that repository"),
    flag("env e", "K=V, or K for your own value; may be repeated", kind=list),
    flag("env-file", "file of K=V lines; may be repeated", kind=list),
    flag("secret", "like --env, never shown or written down; may be repeated", kind=list),
    flag("secret-file", "like --env-file for secrets; may be repeated", kind=list),
    NODES,
    GPUS,
    flag("detach d", "return once the job is submitted", kind=bool),
    YES,
)
"""RUN FLAGS."""

RESOURCES = (
    INFRA,
    flag("cloud", "clouds to choose from: A,B"),
    flag("region", "region of the cloud"),
    flag("zone", "zone of the region"),
    flag("instance-type t", "type of the machines"),
    flag("cpus", "cores of each node: 4, 4+"),
    flag("memory", "memory of each node in GiB: 16, 16+, 64GB"),
    flag("use-spot", "take preemptible machines", kind=bool),
    flag("no-use-spot", "take no preemptible machines", kind=bool),
    flag("disk-size", "size of each node's disk in GiB: 500, 1TB"),
    flag("disk-tier", "speed of the disks: low, medium, high, ultra, best, none"),
    flag("network-tier", "speed of the network: standard, best, none"),
    flag("local-disk", "disks of the machine itself: nvme:1000+"),
    flag("image-id", "image of the machines"),
    flag("ports", "ports to open: 8080, 8000-8010; may be repeated", kind=list),
    flag("max-hourly-cost", "most that a node may cost, in USD an hour"),
)
"""What a task asks of its nodes, and where; `exec` only compares it with what is there."""

LAUNCH = (
    *RUN,
    *RESOURCES,
    flag("no-setup", "leave the setup out", kind=bool),
    flag("force-setup", "run the setup even where it ran already", kind=bool),
    flag("idle-minutes-to-autostop i", "stop the cluster after so many idle minutes"),
    *AUTOSTOP,
    *POLICY,
    MINIMIZE,
    RETRY,
    flag("dryrun", "only show what would be done, as `plan` does", kind=bool),
)
"""LAUNCH FLAGS."""


def wants_json(values: Values) -> bool:
    """Whether `--json` or `-o json` was given; any other `-o` is BadInput."""
    wanted = values.text("output")
    if wanted not in (None, "json"):
        raise BadInput(f"-o {wanted}: json is wanted")
    return wanted == "json" or values.switch("json")


def cluster(values: Values) -> str:
    """The cluster that was named, else the selected one."""
    from skyrig.cluster.shape import stack_name
    from skyrig.stack import stacks

    name = values.text("cluster")
    return stacks.selected() if name is None else stack_name(name)


def clusters(values: Values) -> list[str]:
    """The clusters that were named, by name or pattern (`train-*`), or all with --all; else the selected one. BadInput
    where one of them is not there."""
    from skyrig.cluster.shape import stack_name
    from skyrig.provision import no_such_cluster
    from skyrig.stack import stacks

    known, given = stacks.known(), values.many("cluster")
    if values.switch("all"):
        if given:
            raise BadInput("--all and a name say different things", hint="give one of them")
        return known
    found: list[str] = []
    for name in given or [stacks.selected()]:
        fitting = [each for each in known if fnmatchcase(each, name)] if set(name) & set("*?[") else [stack_name(name)]
        if not fitting or fitting[0] not in known:
            raise no_such_cluster(name)
        found += [each for each in fitting if each not in found]
    return found


def nodes(values: Values) -> int | None:
    """The number of nodes that was asked for."""
    from skyrig.cluster.shape import node_count

    text = values.given.get("nodes")
    return None if text is None else node_count(str(text))


def machines_of(values: Values) -> Task | None:
    """What GPUS and RESOURCES ask for, as a task that says nothing else; None where they ask for nothing."""
    from skyrig.task.model import Task
    from skyrig.task.override import overridden, placed

    task = overridden(Task(), override(values))
    if not {"infra", "cloud"} & values.given.keys():
        task = placed(task)
    return task if task.choice != Task().choice else None


def autostop(values: Values, idle: str = IDLE.key) -> Autostop | None:
    """The autostop that was asked for, by the flag `idle` and those of AUTOSTOP; None for none."""
    from skyrig.cluster.autostop import WAITS, Autostop, minutes

    text, wait = values.text(idle), values.text("wait-for")
    if text is None and not values.switch("down"):
        if wait is not None:
            raise BadInput("--wait-for goes with -i MINUTES or --down")
        return None
    return Autostop(minutes("-i", text or "0"), values.switch("down"), wait or WAITS[0])


def wish(values: Values) -> Wish:
    """What POLICY asks for. BadInput where that makes no sense."""
    from skyrig.cluster.policy import Policy, Wish

    asked = Wish(values.text("max-hourly"), values.text("budget"), values.text("ttl"))
    asked.applied(Policy(), 0.0)
    return asked


def training_options(values: Values) -> RunOptions:
    """RUN FLAGS as the verbs want them for a training script, which has no file that could say them."""
    from attrs import evolve

    from skyrig.cluster.shape import accelerators

    count, gpus, workdir = nodes(values), values.text("gpus"), _workdir(values)
    env, secrets = _variables(values)
    return evolve(
        run_options(values),
        name=values.text("name") or "",
        nodes=count,
        workdir=Path(workdir).expanduser() if workdir is not None else None,
        env=env,
        secrets=secrets,
        accelerators=accelerators(gpus) if gpus is not None else None,
    )


def run_options(values: Values) -> RunOptions:
    """Those of RUN FLAGS that no task says, as the verbs want them."""
    from skyrig.verbs import RunOptions

    return RunOptions(
        detach=values.switch("detach"),
        setup=not values.switch("no-setup"),
        force_setup=values.switch("force-setup"),
        autostop=autostop(values, "idle-minutes-to-autostop"),
        retry_until_up=values.switch("retry-until-up"),
        wish=wish(values),
    )


def task_of(values: Values, file: str) -> Task:
    """The one task in `file` with the values of the command line in it; what was mended, and what should be known, is
    told. BadInput also where files that it names are not there."""
    found = file_of(values, file)
    found.require_files()
    return found.only()


def file_of(values: Values, file: str) -> TaskFile:
    """The tasks in `file` with the values of the command line in them; mends and warnings are told."""
    from attrs import evolve

    from skyrig.task import reading
    from skyrig.task.model import Task, TaskFile
    from skyrig.task.override import overridden, placed

    env, secrets = _variables(values)
    if is_command(file):
        found = TaskFile((Task(run=file, env=env, secrets=secrets),))
    else:
        found = reading.load(Path(file), env=env, secrets=secrets)
    told = override(values)
    if found.several:  # a pipeline has a name of its own, its tasks keep theirs
        found, told = evolve(found, name=told.name or found.name), evolve(told, name=None)
    missing = [each for each in found.missing if told.workdir is None or not each[1].startswith("workdir:")]
    for line in (*found.mends, *(found.warnings if not found.is_empty else ())):
        notify(line)
    tasks = [_minimizing(overridden(task, told), values.text("minimize")) for task in found.tasks]
    if not {"infra", "cloud"} & told.resources.keys():
        tasks = [placed(task) for task in tasks]
    return evolve(found, tasks=tuple(tasks), missing=tuple(missing))


def laid_over(values: Values, task: Task) -> Task:
    """`task` with what the flags say of its nodes."""
    from skyrig.task.override import overridden, placed

    told = override(values)
    task = overridden(task, told)
    return task if {"infra", "cloud"} & told.resources.keys() else placed(task)


def variables(values: Values) -> tuple[dict[str, str], dict[str, str]]:
    """Environment and secrets of the command line. To be asked once: a file of them may be a pipe."""
    return _variables(values)


def _minimizing(task: Task, what: str | None) -> Task:
    """`task` with `--minimize`. BadInput where time is to be minded, and nothing says how long it takes."""
    from attrs import evolve

    from skyrig.task.config import MINIMIZE as KNOWN

    if what is None:
        return task
    if what not in KNOWN:
        raise BadInput(f"--minimize {what}: {' or '.join(KNOWN)} is wanted")
    if what == "time" and not task.config.hours:
        hint = "config: {skyrig: {hours: {'H100:8': 2, default: 6}}} in the task"
        raise BadInput("--minimize time: the task does not say how long it takes", hint=hint)
    return evolve(task, config=task.config.minimizing(what))


def _variables(values: Values) -> tuple[dict[str, str], dict[str, str]]:
    """Environment and secrets of the command line. To be asked once: a file of them may be a pipe."""
    from skyrig.task import environment

    env = environment.given("--env", values.many("env"), values.many("env-file"))
    return env, environment.given("--secret", values.many("secret"), values.many("secret-file"))


def is_command(word: str) -> bool:
    """Whether the word in the place of a task file is a command that shall run: no file of that name is there, and it
    is several words or a program."""
    if word.endswith((".yaml", ".yml")) or Path(word).expanduser().exists():
        return False
    return len(word.split()) > 1 or shutil.which(word) is not None


def override(values: Values) -> Override:
    """What the flags say instead of a task file."""
    from skyrig.task.override import FIELDS, Override

    given = {
        name: values.text(name.replace("_", "-"))
        for name in (*FIELDS, "infra", "cloud", "region", "zone")
        if name not in ("ports", "use_spot")
    }
    if values.switch("use-spot") and values.switch("no-use-spot"):
        raise BadInput("--use-spot and --no-use-spot say different things", hint="give one of them")
    given["ports"] = ",".join(values.many("ports")) or None
    given["use_spot"] = "true" if values.switch("use-spot") else "false" if values.switch("no-use-spot") else None
    return Override(
        name=values.text("name"),
        num_nodes=nodes(values),
        workdir=_workdir(values) if values.text("git-url") is None else _repository(values),
        resources={name: text for name, text in given.items() if text is not None},
    )


def _repository(values: Values) -> GitSource:
    from skyrig.task.model import GitSource

    if values.text("workdir") is not None:
        raise BadInput("--workdir and --git-url say the same thing", hint="give one of them")
    return GitSource(values.text("git-url") or "", values.text("git-ref"))


def _workdir(values: Values) -> str | None:
    folder = values.text("workdir")
    if folder is not None and not Path(folder).expanduser().is_dir():
        raise BadInput(f"--workdir {folder}: no such folder")
    return folder
