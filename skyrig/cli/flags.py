"""The flags that verbs share, and what they mean together."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from skyrig.cli.verb import Values, flag
from skyrig.errors import BadInput, NoCapacity

if TYPE_CHECKING:
    from skyrig.cluster.autostop import Autostop
    from skyrig.sdk import RunOptions
    from skyrig.task.model import Task

CLUSTER = flag("cluster c", "name of the cluster, which is that of its stack")
ALL = flag("all a", "every cluster", kind=bool)
YES = flag("yes y", "answer yes to every question", kind=bool)
JSON = (flag("json", "print JSON", kind=bool), flag("output o", "`json` prints JSON"))
NODES = flag("nodes num-nodes", "number of nodes")
INFRA = flag("infra", "where: local, or CLOUD/REGION/ZONE")

IDLE = flag("idle-minutes i", "stop after so many idle minutes")
AUTOSTOP = (
    flag("down", "end the cluster for good when it is idle; without -i right after its last job", kind=bool),
    flag("wait-for", "what keeps it from being idle: jobs_and_ssh (the default), jobs, none"),
)

RUN = (
    CLUSTER,
    flag("name n", "name of the job"),
    flag("workdir", "folder to sync to the nodes"),
    flag("env e", "K=V, or K for your own value; may be repeated", kind=list),
    flag("env-file", "file of K=V lines; may be repeated", kind=list),
    flag("secret", "like --env, never shown or written down; may be repeated", kind=list),
    flag("secret-file", "like --env-file for secrets; may be repeated", kind=list),
    NODES,
    flag("gpus", "accelerators of each node, NAME:COUNT"),
    flag("detach d", "return once the job is submitted", kind=bool),
    YES,
)
"""RUN FLAGS."""

LAUNCH = (
    *RUN,
    INFRA,
    flag("cloud", "where: local"),
    flag("cpus", "cores of each node"),
    flag("no-setup", "leave the setup out", kind=bool),
    flag("force-setup", "run the setup even where it ran already", kind=bool),
    flag("region", "region of the cloud", later=True),
    flag("zone", "zone of the region", later=True),
    flag("memory", "memory of each node", later=True),
    flag("instance-type t", "type of the machines", later=True),
    flag("use-spot", "take preemptible machines", kind=bool, later=True),
    flag("no-use-spot", "take no preemptible machines", kind=bool),
    flag("disk-size", "size of the disks", later=True),
    flag("disk-tier", "speed of the disks", later=True),
    flag("network-tier", "speed of the network", later=True),
    flag("image-id", "image of the machines", later=True),
    flag("ports", "ports to open", later=True),
    flag("idle-minutes-to-autostop i", "stop the cluster after so many idle minutes"),
    *AUTOSTOP,
    flag("retry-until-up r", "try until there is capacity", kind=bool, later=True),
    flag("dryrun", "only show what would be done", kind=bool, later=True),
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


def cloud(values: Values) -> str:
    """The cloud that was asked for, "" for none. NoCapacity for one that is not usable."""
    infra, named = values.text("infra"), values.text("cloud")
    if infra and named:
        raise BadInput("--infra and --cloud say the same thing", hint="give one of them")
    name = (infra or named or "").lower()
    if name.partition("/")[0] not in ("", "local"):
        raise NoCapacity(f"cloud {name} is not usable yet", hint="`--infra local` rehearses any task on this machine")
    if name not in ("", "local"):
        raise BadInput(f"--infra {name}: the local cloud has no regions")
    return name


def autostop(values: Values, idle: str = IDLE.key) -> Autostop | None:
    """The autostop that was asked for, by the flag `idle` and those of AUTOSTOP; None for none."""
    from skyrig.cluster.autostop import WAITS, Autostop, minutes

    text, wait = values.text(idle), values.text("wait-for")
    if text is None and not values.switch("down"):
        if wait is not None:
            raise BadInput("--wait-for goes with -i MINUTES or --down")
        return None
    return Autostop(minutes("-i", text or "0"), values.switch("down"), wait or WAITS[0])


def run_options(values: Values) -> RunOptions:
    """RUN FLAGS as the functions of the sdk want them."""
    from skyrig.cluster.shape import accelerators
    from skyrig.sdk import RunOptions
    from skyrig.task import environment

    count, gpus = nodes(values), values.text("gpus")
    workdir = values.text("workdir")
    if workdir is not None and not Path(workdir).is_dir():
        raise BadInput(f"--workdir {workdir}: no such folder")
    return RunOptions(
        name=values.text("name") or "",
        nodes=count,
        workdir=Path(workdir) if workdir is not None else None,
        env=environment.given("--env", values.many("env"), values.many("env-file")),
        secrets=environment.given("--secret", values.many("secret"), values.many("secret-file")),
        accelerators=accelerators(gpus) if gpus is not None else None,
        detach=values.switch("detach"),
        setup=not values.switch("no-setup"),
        force_setup=values.switch("force-setup"),
        autostop=autostop(values, "idle-minutes-to-autostop"),
    )


def task_of(values: Values, file: str, options: RunOptions) -> Task:
    """The task in `file` with the values of the command line in it."""
    from attrs import evolve

    from skyrig.task import reading, resources

    task = reading.load(Path(file), env=options.env, secrets=options.secrets)
    cores = values.text("cpus")
    if cores is None:
        return task
    try:
        return evolve(task, resources=evolve(task.resources, cpus=resources.cpus(cores)))
    except BadInput as error:
        raise BadInput(f"--cpus {error.message}") from error
