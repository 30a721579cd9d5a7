"""The variables of a job, as SkyPilot's contract has them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve
from ranks import cluster_of

from skyrig.cluster.description import Accelerators, ClusterDescription, Fabric
from skyrig.launch.environment import MASK, hostfile, masked, rank_environment, setup_environment, threads_per_process
from skyrig.launch.job import JobRequest, Scripts

REPLACEABLE = ("NODE_IPS", "NUM_NODES", "TASK_ID")
FIXED = ("NODE_RANK", "NUM_GPUS_PER_NODE", "INTERNAL_JOB_ID", "CLUSTER_INFO", "USER")
BOTH = ("SKYPILOT_", "SKYRIG_")


def on_machines(count: int, *, gpus: int = 0, cpus: float = 8) -> ClusterDescription:
    """A cluster of real machines with addresses of their own."""
    cluster = cluster_of(count)
    nodes = tuple(
        evolve(
            node, address=f"10.0.0.{node.rank + 1}", cpus=cpus, accelerators=Accelerators("H100" if gpus else "", gpus)
        )
        for node in cluster.nodes
    )
    return evolve(cluster, nodes=nodes, cloud="aws", region="us-east-1", isolation="machine")


def request_of(**fields: Any) -> JobRequest:
    """A request of two nodes."""
    return evolve(JobRequest("job", 2, Scripts({}), user="ada"), **fields)


def of_rank(
    rank: int, request: JobRequest, cluster: ClusterDescription | None = None, gpus: tuple[int, ...] = ()
) -> dict[str, str]:
    """The variables of a rank of job 12 on `cluster`."""
    cluster = cluster or on_machines(2)
    return rank_environment(
        nodes=cluster.nodes[: request.num_nodes], rank=rank, request=request, record_id=12, task_id="sky-1_test_12",
        cluster=cluster, port=29501, gpus=gpus,
    )  # fmt: skip


def of_setup(request: JobRequest, cluster: ClusterDescription | None = None) -> dict[str, str]:
    """The variables of setup on node 1."""
    cluster = cluster or on_machines(2)
    return setup_environment(nodes=cluster.nodes, rank=1, request=request, task_id="sky-1_test_12", cluster=cluster)


@pytest.mark.parametrize("prefix", BOTH)
def test_run_sees_its_place_under_both_prefixes(prefix: str) -> None:
    env = of_rank(1, request_of(accelerators=2))
    assert env[f"{prefix}NODE_IPS"] == "10.0.0.1\n10.0.0.2"
    assert env[f"{prefix}NUM_NODES"] == "2"
    assert env[f"{prefix}NODE_RANK"] == "1"
    assert env[f"{prefix}NUM_GPUS_PER_NODE"] == "2"
    assert env[f"{prefix}TASK_ID"] == "sky-1_test_12"
    assert env[f"{prefix}INTERNAL_JOB_ID"] == "12"
    assert env[f"{prefix}USER"] == "ada"
    assert json.loads(env[f"{prefix}CLUSTER_INFO"]) == {
        "cluster_name": "test", "cloud": "AWS", "region": "us-east-1", "zone": None,
    }  # fmt: skip


def test_each_skypilot_name_has_a_twin() -> None:
    for env in (of_rank(0, request_of()), of_setup(request_of())):
        ours = {name.removeprefix("SKYRIG_"): value for name, value in env.items() if name.startswith("SKYRIG_")}
        theirs = {name.removeprefix("SKYPILOT_"): value for name, value in env.items() if name.startswith("SKYPILOT_")}
        assert theirs
        assert {name: ours[name] for name in theirs} == theirs


def test_a_job_on_one_node_of_a_larger_cluster_counts_its_own_nodes() -> None:
    env = of_rank(0, request_of(num_nodes=1), on_machines(4))
    assert (env["SKYPILOT_NUM_NODES"], env["SKYPILOT_NODE_IPS"]) == ("1", "10.0.0.1")


def test_setup_sees_all_nodes_of_the_cluster_but_no_place_in_the_job() -> None:
    env = of_setup(request_of(num_nodes=1, accelerators=8), on_machines(3))
    for prefix in BOTH:
        assert env[f"{prefix}SETUP_NODE_IPS"] == "10.0.0.1\n10.0.0.2\n10.0.0.3"
        assert env[f"{prefix}SETUP_NODE_RANK"] == "1"
        assert env[f"{prefix}SETUP_NUM_GPUS_PER_NODE"] == "8"
        assert env[f"{prefix}NUM_NODES"] == "1"
        assert env[f"{prefix}TASK_ID"] == "sky-1_test_12"
        for missing in ("NODE_RANK", "NODE_IPS", "NUM_GPUS_PER_NODE", "INTERNAL_JOB_ID"):
            assert f"{prefix}{missing}" not in env
    assert "CUDA_VISIBLE_DEVICES" not in env


@pytest.mark.parametrize("prefix", BOTH)
@pytest.mark.parametrize("where", ["env", "secrets"])
def test_the_user_replaces_some_names_and_never_others(prefix: str, where: str) -> None:
    given = {f"{prefix}{name}": "mine" for name in (*REPLACEABLE, *FIXED)} | {
        "MASTER_PORT": "1",
        "OMP_NUM_THREADS": "3",
    }
    env = of_rank(0, request_of(**{where: given}))
    plain = of_rank(0, request_of())
    assert {name: env[f"{prefix}{name}"] for name in REPLACEABLE} == dict.fromkeys(REPLACEABLE, "mine")
    assert {name: env[f"{prefix}{name}"] for name in FIXED} == {name: plain[f"{prefix}{name}"] for name in FIXED}
    assert (env["MASTER_PORT"], env["OMP_NUM_THREADS"]) == ("1", "3")


def test_a_secret_stands_above_an_env_of_that_name() -> None:
    assert of_rank(0, request_of(env={"A": "env"}, secrets={"A": "secret"}))["A"] == "secret"
    assert of_setup(request_of(env={"A": "env"}, secrets={"A": "secret"}))["A"] == "secret"


def test_every_rank_meets_at_rank_0() -> None:
    for rank in (0, 1):
        env = of_rank(rank, request_of())
        assert (env["MASTER_ADDR"], env["MASTER_PORT"]) == ("10.0.0.1", "29501")
        assert env["SKYRIG_NODE_ADDRESS"] == f"10.0.0.{rank + 1}"


def test_the_fabrics_variables_are_there_unless_the_user_says_otherwise() -> None:
    cluster = evolve(on_machines(2), fabric=Fabric("efa", {"FI_PROVIDER": "efa", "NCCL_DEBUG": "WARN"}))
    env = of_rank(0, request_of(env={"NCCL_DEBUG": "INFO"}), cluster)
    assert (env["FI_PROVIDER"], env["NCCL_DEBUG"]) == ("efa", "INFO")


@pytest.mark.parametrize(
    ("there", "declared", "wanted", "gpus", "visible"),
    [
        (8, False, 2, (4, 5), "4,5"),
        (8, False, 0, (), ""),
        (8, False, 8, tuple(range(8)), None),
        (8, True, 2, (4, 5), None),
        (0, False, 0, (), None),
    ],
)
def test_a_job_sees_only_the_gpus_it_was_given(
    there: int, declared: bool, wanted: int, gpus: tuple[int, ...], visible: str | None
) -> None:
    cluster = on_machines(1, gpus=there)
    nodes = tuple(evolve(node, accelerators=evolve(node.accelerators, declared=declared)) for node in cluster.nodes)
    env = of_rank(0, request_of(num_nodes=1, accelerators=wanted), evolve(cluster, nodes=nodes), gpus)
    assert env.get("CUDA_VISIBLE_DEVICES") == visible
    assert env["SKYRIG_PROCS_PER_NODE"] == str(max(1, wanted))
    assert env["SKYRIG_DEVICE"] == ("gpu" if wanted and not declared else "cpu")


@pytest.mark.parametrize(
    ("isolation", "nodes", "cpus", "procs", "threads"),
    [
        ("machine", 4, 8, 1, 8),
        ("machine", 4, 8, 4, 2),
        ("machine", 1, 0.5, 1, 1),
        ("machine", 1, 2, 8, 1),
        ("namespaces", 2, 8, 1, 4),
        ("plain", 2, 2, 1, 1),
    ],
)
def test_threads_share_the_cores(isolation: str, nodes: int, cpus: float, procs: int, threads: int) -> None:
    cluster = evolve(on_machines(nodes, cpus=cpus), isolation=isolation)
    assert threads_per_process(cluster.head, procs, cluster) == threads


def test_names_that_a_shell_cannot_spell_are_not_told_to_the_shell() -> None:
    env = of_rank(0, request_of(env={"GOOD_1": "x", "bad-name": "x", "": "x", "é": "x"}))
    assert "GOOD_1" in env["SKYRIG_ENV_NAMES"].split()
    assert not {"bad-name", "é"} & set(env["SKYRIG_ENV_NAMES"].split())
    assert env["bad-name"] == "x"


def test_the_hostfile_never_repeats_a_name() -> None:
    nodes = cluster_of(2).nodes
    assert hostfile(nodes, 4) == "test slots=4\ntest-worker1 slots=4\n"
    for alias in ("", "same"):
        assert hostfile((evolve(node, alias=alias) for node in nodes), 1) == "n0 slots=1\nn1 slots=1\n"


def test_secrets_are_masked_also_inside_other_values() -> None:
    env = {"TOKEN": "abcd-1234", "URL": "https://u:abcd-1234@host", "SHORT": "x", "PLAIN": "axb"}
    assert masked(env, {"TOKEN": "abcd-1234", "SHORT": "x"}) == {
        "TOKEN": MASK, "URL": f"https://u:{MASK}@host", "SHORT": MASK, "PLAIN": "axb",
    }  # fmt: skip


def test_a_request_shows_no_secret_by_accident() -> None:
    assert "hunter2" not in repr(request_of(secrets={"A": "hunter2"}))


def test_an_elastic_job_tells_torchrun_how_its_nodes_meet_again() -> None:
    plain = of_rank(0, request_of())
    assert "SKYRIG_MIN_NODES" not in plain
    assert not [name for name in plain if name.startswith("PET_")]
    env = of_rank(1, request_of(min_nodes=1, env={"PET_MAX_RESTARTS": "3"}))
    assert (env["SKYRIG_MIN_NODES"], env["PET_NNODES"]) == ("1", "1:2")
    assert (env["PET_RDZV_BACKEND"], env["PET_RDZV_ENDPOINT"], env["PET_RDZV_ID"]) == ("c10d", "10.0.0.1:29501", "12")
    assert env["PET_RDZV_CONF"].startswith("is_host=0,")
    assert env["PET_LOCAL_ADDR"] == "10.0.0.2"
    assert env["PET_MAX_RESTARTS"] == "3", "the user's own counts"
    assert of_rank(0, request_of(min_nodes=1))["PET_RDZV_CONF"].startswith("is_host=1,")


def test_the_node_may_replace_what_the_fabric_alone_has_set() -> None:
    fabric = Fabric("efa", {"FI_PROVIDER": "efa", "NCCL_SOCKET_IFNAME": "^lo", "SECRET_ONE": "1"})
    cluster = evolve(on_machines(2), fabric=fabric)
    request = request_of(env={"NCCL_SOCKET_IFNAME": "eth1"}, secrets={"SECRET_ONE": "2"})
    env = of_rank(0, request, cluster)
    assert (env["SKYRIG_FABRIC"], env["SKYRIG_FABRIC_ENV"]) == ("efa", "FI_PROVIDER")
    assert env["NCCL_SOCKET_IFNAME"] == "eth1"
    assert "SKYRIG_FABRIC" not in of_rank(0, request_of())
