"""What becomes of creates that a killed engine has left half-way."""

import os
import re
from pathlib import Path

import pytest
from cloned import ROOT

from skyrig import places
from skyrig.cluster.shape import Shape, WantedNode
from skyrig.fleet.local import ports, switch
from skyrig.fleet.local.files import take_lock
from skyrig.stack import pending
from skyrig.stack.pending import Create

PREFIX = "pulumi-python:dynamic/skyrig:"


@pytest.fixture(autouse=True)
def _in_the_project(project_folder: Path) -> None:
    """Every test here has a SKYRIG_HOME of its own."""


def look(kind: str, wanted: Shape | None, **inputs: str) -> str:
    """What the resolver of a type says."""
    create = Create(f"urn:pulumi:s::skyrig::{PREFIX}{kind}::s-{kind}", PREFIX + kind, {"stack": "s", **inputs})
    resolver = pending.resolver_of(create)
    assert resolver is not None
    found = resolver(create, wanted)
    assert found.import_id == ""
    return found.says


def test_every_dynamic_resource_of_the_components_can_be_looked_up() -> None:
    texts = "".join(file.read_text() for file in (ROOT / "components").rglob("*.py"))
    made = set(re.findall(r'\(Resource, module="skyrig", name="(\w+)"\)', texts))
    assert len(made) >= 12
    assert set(pending.RESOLVERS) <= {PREFIX + name for name in made}
    assert [each for each in made if pending.resolver_of(Create("", PREFIX + each)) is None] == []


def test_providers_and_keys_live_in_the_state_alone() -> None:
    assert pending.resolver_of(Create("urn:pulumi:s::skyrig::x::default", "pulumi:providers:aws")) is not None
    assert pending.resolver_of(Create("urn:pulumi:s::skyrig::x::y", "nobodys:Core/instance:Instance")) is None
    assert "outside the state" in look("ClientKey", None)


def test_a_node_is_taken_over_where_it_is_wanted_and_ended_where_not() -> None:
    here, elsewhere = Shape(nodes=(WantedNode("n1"),)), Shape(nodes=(WantedNode("n0"),))
    assert look("LocalNode", here, node_id="n1") == "no such node is there"
    folder = places.made(places.local_nodes("s") / "n1")
    (folder / "alive.lock").touch()
    assert look("LocalNode", here, node_id="n1") == "node n1 is there by half, and is made anew"
    assert folder.exists()
    assert look("LocalNode", elsewhere, node_id="n1").endswith("not wanted any more: ended")
    assert not folder.exists()


def test_a_network_stays_for_nodes_that_come_and_goes_with_the_rest() -> None:
    assert look("LocalNetwork", None) == "no such network is there"
    switch.start(places.made(places.local_nodes("s")), "plain")
    assert look("LocalNetwork", Shape()) == "the network is there, and is taken over"
    assert look("LocalNetwork", None).endswith("not wanted any more: ended")
    assert not places.local_nodes("s").exists()


def test_ports_stay_for_a_cluster_that_has_some_and_close_otherwise() -> None:
    open_ports = Shape(ports=("8000",))
    assert look("LocalPorts", open_ports) == "none of them is open"
    folder = places.made(places.local_nodes("s"))
    switch.start(folder, "plain")
    lock = take_lock(switch.lock_file(folder))  # as the process that listens has it
    assert lock is not None
    ports.say(folder, ports.Open("m", {8000: 8000}))
    assert look("LocalPorts", open_ports) == "ports are open, and are taken over"
    assert look("LocalPorts", Shape()).endswith("not wanted any more: closed")
    os.close(lock)
    assert look("LocalPorts", open_ports) == "none of them is open"
    switch.stop(folder)
