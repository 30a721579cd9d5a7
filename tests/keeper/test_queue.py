"""The queue's placement, as a pure function: cases by hand and properties by hypothesis."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from skyrig.cluster.description import Accelerators, Node
from skyrig.launch.keeper.queue import Demand, Placement, place, refusal


def node(rank: int, *, gpus: int = 0, cpus: float = 2.0) -> Node:
    return Node(
        id=f"n{rank}",
        rank=rank,
        host="h",
        port=1,
        address="a",
        user="u",
        host_key="k",
        incarnation="i",
        accelerators=Accelerators("H100", gpus) if gpus else Accelerators(),
        cpus=cpus,
    )


def test_lowest_ranks_are_taken_first() -> None:
    placement = place(Demand(2, 0, 0.5), [node(0), node(1), node(2)], [])
    assert placement is not None
    assert placement.nodes == ("n0", "n1")


def test_gpu_jobs_share_a_node_only_while_devices_are_free() -> None:
    nodes = [node(0, gpus=8)]
    first = place(Demand(1, 5, 0.5), nodes, [])
    assert first is not None
    assert first.shares["n0"].gpus == (0, 1, 2, 3, 4)
    second = place(Demand(1, 3, 0.5), nodes, [first])
    assert second is not None
    assert second.shares["n0"].gpus == (5, 6, 7)
    assert place(Demand(1, 1, 0.5), nodes, [first, second]) is None


def test_a_job_that_wants_more_cores_than_a_node_has_gets_the_node_alone() -> None:
    nodes = [node(0)]
    big = place(Demand(1, 0, 64), nodes, [])
    assert big is not None
    assert place(Demand(1, 0, 0.5), nodes, [big]) is None
    small = place(Demand(1, 0, 0.5), nodes, [])
    assert small is not None
    assert place(Demand(1, 0, 64), nodes, [small]) is None


def test_what_can_never_run_is_refused_with_its_reason() -> None:
    nodes = [node(0, gpus=8), node(1)]
    assert refusal(Demand(3, 0, 0.5), nodes) == "the job wants 3 nodes, the cluster has 2"
    assert refusal(Demand(1, 8, 0.5), nodes) is None
    assert "wants 8 accelerators" in (refusal(Demand(2, 8, 0.5), nodes) or "")


demands = st.builds(
    Demand,
    num_nodes=st.integers(1, 3),
    accelerators=st.integers(0, 8),
    cpus=st.sampled_from([0.25, 0.5, 1.0, 2.0, 9.0]),
)


@given(st.lists(st.sampled_from([0, 1, 4, 8]), min_size=1, max_size=4), st.lists(demands, max_size=12))
def test_nothing_is_given_twice(gpus: list[int], wanted: list[Demand]) -> None:
    nodes = [node(rank, gpus=count) for rank, count in enumerate(gpus)]
    held: list[Placement] = []
    for demand in wanted:
        placement = place(demand, nodes, held)
        assert (placement is not None) or held or refusal(demand, nodes)
        if placement is not None:
            assert len(placement.nodes) == demand.num_nodes
            held.append(placement)
    for one in nodes:
        shares = [placement.shares[one.id] for placement in held if one.id in placement.shares]
        devices = [gpu for share in shares for gpu in share.gpus]
        assert len(devices) == len(set(devices))
        assert all(gpu < one.accelerators.count for gpu in devices)
        assert sum(share.cpus for share in shares) <= one.cpus + 1e-9
