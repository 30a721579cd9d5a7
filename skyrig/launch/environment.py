"""The environment of a job's ranks and of its setup: pure functions from a job and a cluster to variables.

Names and meaning are SkyPilot's (SKYPILOT_*), and each has a twin under SKYRIG_. Each of the two names follows
SkyPilot's precedence by itself:

1. NODE_IPS and NUM_NODES, and what templates want (MASTER_ADDR, OMP_NUM_THREADS, the fabric's variables, ...);
2. the user's env and secrets, which may replace any of those, and TASK_ID, which is set where the user has not;
3. CLUSTER_INFO, USER, NUM_GPUS_PER_NODE, NODE_RANK and INTERNAL_JOB_ID, the SKYRIG_ variables that the templates
   rely on, and what whoever runs the job for the user gives it (TASK_ID among that, of a managed job): nothing replaces
   them.

SKYRIG_RANK_DIR, SKYRIG_NOTICE_FILE, SKYRIG_HEARTBEAT_FILE and SKYRIG_GRACE_S come from the supervisor; SKYRIG_HOSTFILE,
GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME, NCCL_IB_HCA and the like are set by the rendered scripts on the node itself
(skyrig.preflight.fabric), since only the node knows them: SKYRIG_FABRIC_ENV names those of the fabric's variables that
may be replaced there, because nobody but the fabric's kind has set them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.launch.job import JobRequest

PREFIXES = ("SKYPILOT_", "SKYRIG_")
MASK = "<secret>"
"""What stands in the place of a secret wherever an environment is shown."""

REJOINING = "keep_alive_interval=1,keep_alive_max_attempt=5,last_call_timeout=5"
"""Seconds of torch's c10d rendezvous (torch/distributed/elastic/rendezvous/dynamic_rendezvous.py, torch 2.15): a
node is dead after the product of the first two (else 15), and nodes that are enough wait for more for the third (else
30); a shorter last call would begin the job without a node that is a little slow. With a last call of 3 s it took
9 s from the death of one of three nodes, on one busy machine, until the others started their processes again."""

_CLOUD_NAMES = {
    "local": "Local",
    "ssh": "SSH",
    "aws": "AWS",
    "gcp": "GCP",
    "azure": "Azure",
    "kubernetes": "Kubernetes",
    "slurm": "Slurm",
    "lambda": "Lambda",
    "runpod": "RunPod",
}
"""SkyPilot names clouds in SKYPILOT_CLUSTER_INFO by their class; task texts compare with these words."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SHORTEST_MASKED_PART = 4


def rank_environment(
    *,
    nodes: tuple[Node, ...],
    rank: int,
    request: JobRequest,
    record_id: int,
    task_id: str,
    cluster: ClusterDescription,
    port: int,
    gpus: tuple[int, ...] = (),
) -> dict[str, str]:
    """All variables of rank `rank` of a job on `nodes` (this job's nodes in rank order), secrets included.

    A job that goes on while a node is replaced finds how few it may have in SKYRIG_MIN_NODES.
    `record_id` is the job's number on the cluster, `port` the free port of rank 0 for the rendezvous, `gpus` the
    indices of the accelerators that the queue gave to this job on this node.
    """
    node = nodes[rank]
    procs = processes_per_node(request)
    defaults = {
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads_per_process(node, procs, cluster)),
        **cluster.fabric.env,
        "MASTER_ADDR": nodes[0].address,
        "MASTER_PORT": str(port),
        **_both({"NODE_IPS": "\n".join(each.address for each in nodes), "NUM_NODES": str(len(nodes))}),
    }
    visible = visible_devices(node, request, gpus)
    if visible is not None:
        defaults["CUDA_VISIBLE_DEVICES"] = visible
    fixed = {
        **_both(
            {
                "CLUSTER_INFO": cluster_info(cluster),
                "USER": request.user,
                "NUM_GPUS_PER_NODE": str(request.accelerators),
                "NODE_RANK": str(rank),
                "INTERNAL_JOB_ID": str(record_id),
            }
        ),
        "SKYRIG_PROCS_PER_NODE": str(procs),
        "SKYRIG_DEVICE": "gpu" if request.accelerators and not node.accelerators.declared else "cpu",
        "SKYRIG_NODE_ADDRESS": node.address,
        "SKYRIG_TF_CONFIG": tf_config(nodes, rank, port),
        **of_fabric(cluster.fabric.kind, cluster.fabric.env, request),
    }
    if request.min_nodes:
        defaults |= elastic_torchrun(nodes, rank, request.min_nodes, record_id, port)
        fixed["SKYRIG_MIN_NODES"] = str(request.min_nodes)
    return _layered(defaults, request, task_id, fixed)


def setup_environment(
    *,
    nodes: tuple[Node, ...],
    rank: int,
    request: JobRequest,
    task_id: str,
    cluster: ClusterDescription,
) -> dict[str, str]:
    """All variables of setup on node number `rank` of `nodes`, which are all nodes of the cluster, secrets included.

    As with SkyPilot, setup sees neither NODE_RANK, NODE_IPS nor NUM_GPUS_PER_NODE, but SETUP_ forms of them.
    """
    defaults = {"PYTHONUNBUFFERED": "1", **_both({"NUM_NODES": str(request.num_nodes)})}
    fixed = _both(
        {
            "CLUSTER_INFO": cluster_info(cluster),
            "USER": request.user,
            "SETUP_NODE_IPS": "\n".join(each.address for each in nodes),
            "SETUP_NODE_RANK": str(rank),
            "SETUP_NUM_GPUS_PER_NODE": str(request.accelerators),
        }
    )
    return _layered(defaults, request, task_id, fixed)


def of_fabric(kind: str, env: Iterable[str], request: JobRequest) -> dict[str, str]:
    """What the node's own look at its fabric goes by; nothing where the nodes have none."""
    if kind in ("", "none"):
        return {}
    own = {*request.env, *request.secrets, *request.given}
    return {"SKYRIG_FABRIC": kind, "SKYRIG_FABRIC_ENV": " ".join(name for name in env if name not in own)}


def processes_per_node(request: JobRequest) -> int:
    """Training processes that a strategy starts on one node: one an accelerator, one on a CPU node."""
    return max(1, request.accelerators)


def threads_per_process(node: Node, procs: int, cluster: ClusterDescription) -> int:
    """OMP_NUM_THREADS where the user gives none: the node's cores shared among its `procs` processes, at least 1.

    Nodes of the local cloud share one machine, so its cores are shared among all of them too; without that, spinning
    OpenMP threads of one rank would starve the others.
    """
    sharing = 1 if cluster.isolation == "machine" else len(cluster.nodes)
    return max(1, int(node.cpus) // (procs * sharing))


def visible_devices(node: Node, request: JobRequest, gpus: Sequence[int]) -> str | None:
    """CUDA_VISIBLE_DEVICES of a job that takes only a part of a node's real accelerators; None where it has all of
    them, or where there are none, and the variable is better left alone."""
    real = 0 if node.accelerators.declared else node.accelerators.count
    if request.accelerators >= real:
        return None
    return ",".join(str(index) for index in gpus)


def tf_config(nodes: Sequence[Node], rank: int, port: int) -> str:
    """What TensorFlow's MultiWorkerMirroredStrategy reads from TF_CONFIG: one worker a node, each listening on `port`.
    Nodes of one address (plain level of the local cloud) take the ports that follow it, one each.

    It is SKYRIG_TF_CONFIG to all jobs and TF_CONFIG only where it is wanted: TensorFlow would wait for the others in
    any program that it finds that name in.
    """
    alone = len({node.address for node in nodes}) == len(nodes)
    ports = [port if alone else port + number for number in range(len(nodes))]
    hosts = [f"[{node.address}]" if ":" in node.address else node.address for node in nodes]
    workers = [f"{host}:{at}" for host, at in zip(hosts, ports, strict=True)]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": rank}})


def elastic_torchrun(nodes: Sequence[Node], rank: int, least: int, record_id: int, port: int) -> dict[str, str]:
    """What torchrun reads from its environment in a job that goes on while a node is replaced: the nodes meet anew,
    `least` or all of them, whenever one is lost or comes. What a text says itself counts more.

    Only rank 0's node has the rendezvous' store. The number of restarts is no bound: the keeper ends the job when a
    process fails by its own doing. Agents that share a store keep the address that it had in their first round
    (`next_rendezvous`, as in REJOINING), and torch's own rank 0, which has it, may be on the node that is lost.
    """
    host = nodes[0].address
    return {
        "PET_NNODES": f"{least}:{len(nodes)}",
        "PET_RDZV_BACKEND": "c10d",
        "PET_RDZV_ENDPOINT": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "PET_RDZV_ID": str(record_id),
        "PET_RDZV_CONF": f"is_host={int(rank == 0)},{REJOINING}",
        "PET_LOCAL_ADDR": nodes[rank].address,
        "PET_MAX_RESTARTS": "1000",
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }


def hostfile(nodes: Iterable[Node], procs: int) -> str:
    """The file behind SKYRIG_HOSTFILE: one line `alias slots=PROCS` a node, in rank order.

    Node ids stand in for aliases where those are missing or repeated: DeepSpeed refuses a name that stands there
    twice, and on the plain level of the local cloud all nodes have the same address.
    """
    nodes = tuple(nodes)
    names = [node.alias for node in nodes]
    if not all(names) or len(set(names)) < len(names):
        names = [node.id for node in nodes]
    return "".join(f"{name} slots={procs}\n" for name in names)


def masked(env: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """`env` as it may be shown: values of secret names are MASK, and so is every secret inside another value."""
    parts = sorted((text for text in secrets.values() if len(text) >= _SHORTEST_MASKED_PART), key=len, reverse=True)
    shown = {}
    for name, value in env.items():
        for part in parts:
            value = value.replace(part, MASK)
        shown[name] = MASK if name in secrets else value
    return shown


def _layered(
    defaults: Mapping[str, str], request: JobRequest, task_id: str, fixed: Mapping[str, str]
) -> dict[str, str]:
    """The three layers of the module's text, and SKYRIG_ENV_NAMES, by which a rendered script knows which variables
    a node's .bashrc must not replace."""
    ids = _both({"TASK_ID": request.given.get("SKYPILOT_TASK_ID", task_id)})
    env = {**defaults, **ids, **request.env, **request.secrets, **fixed, **request.given}
    env["SKYRIG_ENV_NAMES"] = " ".join(sorted(name for name in env if _IDENTIFIER.fullmatch(name)))
    return env


def _both(values: Mapping[str, str]) -> dict[str, str]:
    """`values` under both prefixes."""
    return {prefix + name: value for prefix in PREFIXES for name, value in values.items()}


def cluster_info(cluster: ClusterDescription) -> str:
    """The cluster as jobs are told of it, in SkyPilot's words."""
    return json.dumps(
        {
            "cluster_name": cluster.name,
            "cloud": _CLOUD_NAMES.get(cluster.cloud, cluster.cloud),
            "region": cluster.region or None,
            "zone": cluster.zone or None,
        }
    )
