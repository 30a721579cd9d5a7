"""The files of a job's pods, byte for byte: what begins it, its scripts, its variables. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from skyrig import shell_templates
from skyrig.catalog import fabrics
from skyrig.cluster.description import ClusterDescription
from skyrig.launch.environment import cluster_info, of_fabric, processes_per_node
from skyrig.launch.job import JobRequest
from skyrig.launch.render import TEMPLATES
from skyrig.schedulers.kubernetes.asked import Asked

PORT = 29500
"""Port of the rendezvous: a pod has an address of its own, so nobody else is there."""

GRACE_S = 30
"""Seconds between TERM and KILL, Kubernetes' own."""

_PATIENCE_S = 600
"""How long a node waits for the names of the others, in seconds."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def of_job(
    desc: ClusterDescription,
    request: JobRequest,
    asked: Asked,
    hosts: Sequence[str],
    places: Sequence[tuple[str, bool]],
    task_id: str,
    number: int,
) -> dict[str, str]:
    """The files of the job's ConfigMap by their paths below /skyrig/job; nothing in them is secret."""
    setup = _below("setup", request.setup.files) if request.setup is not None else {}
    return {
        "begin.sh": begin(desc, request, asked, hosts, places),
        "env.sh": exports({**_both({"TASK_ID": task_id}), **request.env}),
        "fixed.sh": fixed(desc, request, asked, hosts, number),
        **_below("run", request.run.files),
        **setup,
    }


def secret(request: JobRequest) -> str:
    """The file of the job's Secret."""
    return exports(request.secrets)


def begin(
    desc: ClusterDescription,
    request: JobRequest,
    asked: Asked,
    hosts: Sequence[str],
    places: Sequence[tuple[str, bool]],
) -> str:
    """What bash runs in each pod. `places` are the targets of files that come along, and whether each is one file."""
    return shell_templates.rendered(
        TEMPLATES / "kubernetes",
        "begin.sh.j2",
        hosts=list(hosts),
        port=PORT,
        patience_s=_PATIENCE_S,
        grace_s=GRACE_S,
        procs=processes_per_node(request),
        cores=int(asked.cpus),
        fabric=_fabric(desc, asked),
        accelerators=request.accelerators,
        places=[(at, _target(target), is_file) for at, (target, is_file) in enumerate(places)],
        setup=request.setup.entry if request.setup is not None else "",
        entry=request.run.entry,
    )


def _fabric(desc: ClusterDescription, asked: Asked) -> dict[str, str]:
    """What the fabric of the pods' nodes wants of a job."""
    return {**desc.fabric.env, **fabrics.env("kubernetes", asked.fabric, asked.devices)}


def fixed(desc: ClusterDescription, request: JobRequest, asked: Asked, hosts: Sequence[str], number: int) -> str:
    """The variables that nothing replaces. What a pod alone knows, its rank, stands there by its name."""
    procs = processes_per_node(request)
    seen = of_fabric(asked.fabric or desc.fabric.kind, _fabric(desc, asked), request)
    values = {
        **_both(
            {
                "CLUSTER_INFO": cluster_info(desc),
                "USER": request.user,
                "NUM_GPUS_PER_NODE": str(request.accelerators),
                "INTERNAL_JOB_ID": str(number),
            }
        ),
        "SKYRIG_PROCS_PER_NODE": str(procs),
        "SKYRIG_DEVICE": "gpu" if request.accelerators else "cpu",
        **seen,
        **request.given,
    }
    ranked = "export SKYPILOT_NODE_RANK=$skyrig_rank SKYRIG_NODE_RANK=$skyrig_rank\n"
    workers = json.dumps([f"{host}:{PORT}" for host in hosts])
    start, end = f'{{"cluster": {{"worker": {workers}}}, "task": {{"type": "worker", "index": ', "}}"
    ranked += f"export SKYRIG_TF_CONFIG={shlex.quote(start)}$skyrig_rank{shlex.quote(end)}\n"
    return ranked + exports({**values, "SKYRIG_ENV_NAMES": _names(request, seen)})


def exports(values: Mapping[str, str]) -> str:
    """Lines that set variables to these values, whatever bytes are in them; a name that no shell takes is left out."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items() if _NAME.fullmatch(name))


def _names(request: JobRequest, more_fixed: Iterable[str]) -> str:
    """The names by which a rendered script knows what a node's .bashrc must not replace."""
    own = _both(dict.fromkeys(("NODE_IPS", "NUM_NODES", "TASK_ID", "CLUSTER_INFO", "USER", "NUM_GPUS_PER_NODE",
                               "NODE_RANK", "INTERNAL_JOB_ID"), ""))  # fmt: skip
    more = ("PYTHONUNBUFFERED", "OMP_NUM_THREADS", "MASTER_ADDR", "MASTER_PORT", "SKYRIG_PROCS_PER_NODE",
            "SKYRIG_DEVICE", "SKYRIG_NODE_ADDRESS", "SKYRIG_TF_CONFIG")  # fmt: skip
    found: Iterable[str] = {*own, *more, *more_fixed, *request.env, *request.secrets, *request.given}
    return " ".join(sorted(name for name in found if _NAME.fullmatch(name)))


def _both(values: Mapping[str, str]) -> dict[str, str]:
    return {prefix + name: value for prefix in ("SKYPILOT_", "SKYRIG_") for name, value in values.items()}


def _target(target: str) -> str:
    """A mount's target as a word of bash: the home is the pod's own."""
    if target == "~":
        return '"$HOME"'
    return f'"$HOME"/{shlex.quote(target[2:])}' if target.startswith("~/") else shlex.quote(target)


def _below(folder: str, files: Mapping[str, str]) -> dict[str, str]:
    return {f"{folder}/{name}": text for name, text in files.items()}
