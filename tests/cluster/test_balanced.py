"""The cloud's own balancer before the ports of a cluster: where it can be, its price, and where ports are reached."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from attrs import evolve

from components.local.cloud import LocalCloud
from skyrig import fitting
from skyrig.catalog import balancers, costs, egress
from skyrig.cluster import shape as shapes
from skyrig.cluster.description import ClusterDescription, Node, SshAccess, from_json
from skyrig.cluster.machine import Machine
from skyrig.cluster.shape import Shape, resized
from skyrig.errors import BadInput
from skyrig.ledger import rates
from skyrig.stack import endpoints
from skyrig.task import reading

AWS = Machine(instance_type="g6.xlarge", region="us-east-1", zone="us-east-1a")


def shape(cloud: str = "aws", *ports: str, machine: Machine = AWS) -> Shape:
    return resized(Shape(cloud=cloud, ports=ports, balancer="cloud", machine=machine), 1)


def test_it_is_written_down_and_read_again() -> None:
    asked = shape("aws", "8000", "9000-9003")
    assert asked.balanced == 5 and asked.to_config()["balancer"] == "cloud"
    assert shapes.from_config(asked.to_config()) == asked
    assert "balancer" not in evolve(asked, balancer="").to_config()
    with pytest.raises(BadInput, match="skyrig:balancer"):
        shapes.from_config({"balancer": "haproxy"})


@pytest.mark.parametrize(
    ("cloud", "ports", "hourly"),
    [
        ("aws", 1, 0.0275),
        ("aws", 7, 0.0275),
        ("gcp", 5, 0.025),
        ("gcp", 7, 0.045),
        ("azure", 1, 0.03),
        ("azure", 6, 0.04),
    ],
)
def test_its_price_is_the_clouds(cloud: str, ports: int, hourly: float) -> None:
    assert balancers.hourly(cloud, ports) == pytest.approx(hourly)
    assert balancers.hourly(cloud, 0) == 0.0


def test_what_a_cluster_costs_has_it_in_it_also_when_it_is_stopped() -> None:
    bare, asked = evolve(shape("aws", "8000"), balancer=""), shape("aws", "8000")
    for cost in (costs.of_shape, rates.stopped):
        before, after = cost(bare), cost(asked)
        assert before is not None and after is not None and after - before == pytest.approx(0.0275)
    assert costs.of_shape(shape("aws")) == costs.of_shape(evolve(shape("aws"), balancer="")), "no port, no balancer"
    assert costs.network("aws", "none", 1, 1) == pytest.approx(egress.hourly("aws", "none", 1) + 0.0275)


def test_where_it_cannot_be_is_one_line_before_anything_is_made() -> None:
    with pytest.raises(BadInput, match="the local cloud has no balancer of its own"):
        fitting.shape_for(Shape(balancer="cloud"), None, ports=("8000",))
    many = shape("aws", "8000-8020")
    with pytest.raises(BadInput, match="20 ports at most, and not before 21"):
        fitting.shape_for(many, None)
    assert fitting.shape_for(shape("aws", "8000-8019"), None).balanced == 20


def test_the_local_clouds_component_refuses_it() -> None:
    asked: Any = {"stack": "dev", "nodes": [], "ports": ["8000"], "balancer": "cloud"}
    with pytest.raises(pulumi.InputPropertiesError, match="balancer: the local cloud has no balancer of its own"):
        LocalCloud("dev-local", asked)


@pytest.mark.parametrize(
    ("said", "there", "wanted"), [("cloud", "", "cloud"), ("head", "cloud", ""), ("", "cloud", "cloud")]
)
def test_a_task_says_what_is_before_its_ports(said: str, there: str, wanted: str) -> None:
    section = f"config: {{skyrig: {{serve: {{balancer: {said}}}}}}}\n" if said else ""
    task = reading.loads(f"run: serve\n{section}").only()
    assert fitting.balancer_of(task, there) == wanted


def test_ports_are_reached_at_its_address_where_there_is_one() -> None:
    head = Node("n0", 0, "203.0.113.7", 22, "10.0.0.5", "ubuntu", "ssh-ed25519 A", "i-1", spot=True)
    there = ClusterDescription("dev", "aws", (head,), SshAccess("ssh-ed25519 K"), "file:///r", ports=("8000", "9000"))
    assert endpoints.of(there) == {8000: "203.0.113.7:8000", 9000: "203.0.113.7:9000"}
    entered = evolve(there, entrance="198.51.100.9")
    assert endpoints.of(entered) == {8000: "198.51.100.9:8000", 9000: "198.51.100.9:9000"}
    assert from_json(entered.to_json()) == entered
    older = entered.to_json()
    del older["entrance"], older["nodes"][0]["spot"]
    assert (from_json(older).entrance, from_json(older).head.spot) == ("", False), "made by an older Skyrig"
