"""What clusters of pods register, against golden files. SKYRIG_UPDATE_GOLDEN=1 writes them anew, for review."""

from __future__ import annotations

import os

import pytest
from kubernetes_cases import HERE, case, of_type, registered

from skyrig.cluster.description import from_json
from tests.clouds.registrations import golden

CASES = sorted(file.stem for file in (HERE / "cases").glob("*.json"))


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    args = case(name)
    made, described = registered(args)
    text, file = golden(made), HERE / "golden" / f"{name}.json"
    if os.environ.get("SKYRIG_UPDATE_GOLDEN") == "1":
        file.write_text(text)
    assert text == file.read_text()
    cluster = from_json(described)
    assert [node.id for node in cluster.nodes] == [node["id"] for node in args["nodes"]]
    assert cluster.head.proxy and {node.jump for node in cluster.nodes[1:]} <= {cluster.head.id}
    assert cluster.power.refused and cluster.power.end_itself and not cluster.power.stop_itself


def test_every_golden_file_has_its_case() -> None:
    assert len(CASES) >= 8 and sorted(file.stem for file in (HERE / "golden").glob("*.json")) == CASES


def container(name: str) -> dict[str, object]:
    """The node's own container in a case."""
    job = next(iter(of_type(registered(case(name))[0], "Job").values()))
    return job.inputs["spec"]["template"]["spec"]["containers"][0]


def test_the_efa_example_of_the_seeds_asks_for_its_devices() -> None:
    """SkyPilot's examples/aws_efa: four interfaces of a p4d.24xlarge, by pod_config alone."""
    resources = container("seed-efa")["resources"]
    assert resources["limits"]["vpc.amazonaws.com/efa"] == 4 == resources["requests"]["vpc.amazonaws.com/efa"]
    assert resources["limits"]["nvidia.com/gpu"] == "8" == resources["requests"]["nvidia.com/gpu"]


def test_efa_by_network_tier_is_what_amazon_says() -> None:
    """EKS user guide, node-efa: all interfaces of the machine, and huge pages, as limits and requests."""
    resources = container("p5-efa-best")["resources"]
    for kind in ("limits", "requests"):
        assert {"vpc.amazonaws.com/efa": "32", "hugepages-2Mi": "5120Mi"}.items() <= resources[kind].items()
    assert from_json(registered(case("p5-efa-best"))[1]).fabric.env["FI_PROVIDER"] == "efa"


def test_the_nebius_example_of_the_seeds_locks_memory() -> None:
    """SkyPilot's examples/nebius_infiniband: network_tier best is the capability IPC_LOCK and two variables."""
    assert container("seed-nebius-k8s")["securityContext"]["capabilities"] == {"add": ["IPC_LOCK"]}
    fabric = from_json(registered(case("seed-nebius-k8s"))[1]).fabric
    assert (
        fabric.kind == "infiniband"
        and fabric.env["NCCL_IB_HCA"] == "mlx5"
        and "mlx5_7:1" in fabric.env["UCX_NET_DEVICES"]
    )


def test_a_queue_admits_all_nodes_as_one_job() -> None:
    [job] = of_type(registered(case("kueue-gang"))[0], "Job").values()
    assert (job.inputs["spec"]["completions"], job.inputs["spec"]["parallelism"]) == (4, 4)
    assert job.inputs["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "train"


def test_no_secret_is_plain() -> None:
    made, _ = registered(case("cpu-pair"))
    assert "HOST PRIVATE KEY" not in golden(made)
    assert all(set(each.inputs["stringData"]) for each in of_type(made, "Secret").values())
