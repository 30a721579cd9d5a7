"""Clusters of several markets: which node is in which group, what that costs, and what cannot be mixed."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from skyrig.catalog import costs, egress, sources
from skyrig.cluster import shape as shapes
from skyrig.cluster.grouping import fresh, spot_nodes, with_ondemand, without
from skyrig.cluster.machine import Capacity, Machine, group_of
from skyrig.cluster.shape import Shape, WantedNode
from skyrig.errors import BadInput
from skyrig.ledger import rates

GROUPS = ("main", "ondemand", "spot", "other")
MACHINE = Machine(instance_type="g6.4xlarge", region="us-east-1", zone="us-east-1a", capacity=Capacity("spot"))

ids = st.sampled_from([f"n{number}" for number in range(9)] + ["head", "big"])
nodes = st.lists(st.tuples(ids, st.sampled_from(GROUPS)), min_size=1, max_size=8, unique_by=lambda each: each[0])
capacities = st.sampled_from([Capacity(), Capacity("spot")])


@st.composite
def there(draw: st.DrawFn) -> Shape:
    wanted = tuple(WantedNode(node_id, group) for node_id, group in draw(nodes))
    return Shape(cloud="aws", nodes=wanted, machine=evolve(MACHINE, capacity=draw(capacities)))


@st.composite
def numbers(draw: st.DrawFn) -> tuple[int, int]:
    count = draw(st.integers(1, 12))
    return count, draw(st.integers(0, count))


@given(there(), numbers())
def test_nodes_that_are_there_stay_and_new_ones_are_on_demand_first(before: Shape, wanted: tuple[int, int]) -> None:
    count, ondemand = wanted
    after = with_ondemand(before, count, ondemand)
    assert after.nodes[: len(before.nodes)] == before.nodes
    assert len(after.nodes) == max(count, len(before.nodes))
    assert len({node.id for node in after.nodes}) == len(after.nodes)
    steady, was = (len(each.nodes) - len(spot_nodes(each)) for each in (after, before))
    came = len(after.nodes) - len(before.nodes)
    if before.machine.capacity.kind == "spot":
        assert steady == was + min(came, max(0, ondemand - was))
    else:
        assert steady == was + came
    assert with_ondemand(after, count, ondemand) == after
    assert shapes.from_config(after.to_config()) == after


@given(there(), st.sets(ids))
def test_nodes_go_by_their_ids_and_the_others_stay_as_they_are(before: Shape, going: set[str]) -> None:
    if before.nodes[0].id in going:
        with pytest.raises(BadInput, match="is the head"):
            without(before, going)
        return
    after = without(before, going)
    assert after.nodes == tuple(node for node in before.nodes if node.id not in going)
    assert evolve(after, nodes=before.nodes) == before


@given(there())
def test_what_a_node_is_paid_for_tells_its_group(before: Shape) -> None:
    groups = [group_of(before.machine.capacity, paid) for paid in before.paid]
    again = evolve(
        before, nodes=tuple(WantedNode(each.id, group) for each, group in zip(before.nodes, groups, strict=True))
    )
    assert again.paid == before.paid
    assert group_of(Capacity("reservation", "cr-1"), Capacity("reservation", "cr-1")) == "main"


@given(numbers())
def test_a_new_cluster_has_its_steady_nodes_first(wanted: tuple[int, int]) -> None:
    count, ondemand = wanted
    made = evolve(fresh(Shape(cloud="aws"), count, ondemand), machine=MACHINE)
    assert [node.id for node in made.nodes] == [f"n{rank}" for rank in range(count)]
    assert spot_nodes(made) == tuple(f"n{rank}" for rank in range(ondemand, count))


@pytest.mark.parametrize(("count", "ondemand"), [(0, 0), (1, 2), (2, -1)])
def test_numbers_that_make_no_cluster_are_refused(count: int, ondemand: int) -> None:
    for make in (fresh, with_ondemand):
        with pytest.raises(BadInput, match="make no cluster"):
            make(Shape(), count, ondemand)


def test_each_node_costs_what_its_market_does() -> None:
    steady, spot = (sources.hourly("aws", "us-east-1", "g6.4xlarge", spot=each) for each in (False, True))
    assert steady is not None and spot is not None and steady > spot
    way = egress.hourly("aws", "nat", 4)
    mixed = fresh(Shape(cloud="aws", machine=MACHINE), 4, 1)
    assert costs.of_shape(mixed) == rates.up(mixed) == pytest.approx(steady + 3 * spot + way)
    other = evolve(mixed, machine=evolve(MACHINE, capacity=Capacity()))
    assert costs.of_shape(other) == pytest.approx(4 * steady + way)
    likewise = evolve(other, nodes=(*other.nodes[:-1], WantedNode("n3", "spot")))
    assert costs.of_shape(likewise) == pytest.approx(3 * steady + spot + way)
    unknown = evolve(mixed, machine=evolve(MACHINE, instance_type="trn1n.32xlarge"))
    assert costs.of_shape(unknown) is None
    assert "of which 1 on demand" in str(mixed) and "of which 1 spot" in str(likewise)


@pytest.mark.parametrize("paid", [Capacity("reservation", "cr-1"), Capacity("block", "cr-1"), Capacity("flex", "600")])
@pytest.mark.parametrize("group", ["ondemand", "spot"])
def test_capacity_that_is_ones_own_is_not_mixed(paid: Capacity, group: str) -> None:
    config = {
        **Shape(cloud="aws", machine=evolve(MACHINE, capacity=paid)).to_config(),
        "nodes": ["n0", f"n1={group}/1"],
    }
    with pytest.raises(BadInput, match=f"n1 is of group {group}, beside nodes of capacity {paid}"):
        shapes.from_config(config)
