"""Jobs that Slurm or Kubernetes run are told of their fabric as the keeper's are."""

from __future__ import annotations

import shlex

from attrs import evolve

from skyrig.cluster.description import ClusterDescription, Fabric, Node, SshAccess
from skyrig.launch.job import JobRequest, Scripts
from skyrig.schedulers.kubernetes import texts
from skyrig.schedulers.kubernetes.asked import Asked
from skyrig.schedulers.slurm import files, rank

NODE = Node("n0", 0, "h", 22, "10.0.0.1", "u", "ssh-ed25519 AAAA", "1")
CLUSTER = ClusterDescription("lab", "ssh", (NODE,), SshAccess(""), "")
REQUEST = JobRequest("j", 2, Scripts({}), env={"NCCL_IB_HCA": "mlx5_2"})


def test_a_rank_of_slurm() -> None:
    fabric = Fabric("infiniband", {"NCCL_IB_HCA": "mlx5", "NCCL_SOCKET_IFNAME": "eth0"})
    attempt = {"nodes": ["a", "b"], "addresses": ["10.0.0.1", "10.0.0.2"], "port": 7000}
    said = files.secret(evolve(CLUSTER, fabric=fabric), REQUEST, "t")
    env = rank.rank_variables(said, attempt, 1, 33, 4)
    assert (env["SKYRIG_FABRIC"], env["SKYRIG_FABRIC_ENV"]) == ("infiniband", "NCCL_SOCKET_IFNAME")
    assert env["NCCL_IB_HCA"] == "mlx5_2" and env["SKYRIG_NODE_ADDRESS"] == "10.0.0.2"
    assert "SKYRIG_FABRIC" not in rank.rank_variables(files.secret(CLUSTER, REQUEST, "t"), attempt, 1, 33, 4)


def test_a_pod_of_a_queue() -> None:
    said = texts.fixed(CLUSTER, REQUEST, Asked(fabric="infiniband"), ["a", "b"], 7)
    assert "export SKYRIG_FABRIC=infiniband\n" in said
    (told,) = [line for line in said.splitlines() if line.startswith("export SKYRIG_FABRIC_ENV=")]
    assert shlex.split(told.partition("=")[2]) == ["UCX_NET_DEVICES"]
    names = next(line for line in said.splitlines() if line.startswith("export SKYRIG_ENV_NAMES="))
    assert "SKYRIG_FABRIC_ENV" in shlex.split(names.partition("=")[2])[0].split()
    assert "SKYRIG_FABRIC" not in texts.fixed(CLUSTER, REQUEST, Asked(), ["a", "b"], 7)
