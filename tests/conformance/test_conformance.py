"""The life of a cluster, the same on every cloud: our verbs, the plain engine, and what the cloud really has."""

from __future__ import annotations

import json

import pytest
from life import Life, one_line
from user import until
from worlds import LEFT_OUT, STEPS, clouds, load

from skyrig.catalog import facts
from skyrig.cluster.clouds import CLOUDS

SOON_S = 60.0


def lives() -> list[object]:
    """Each cloud that brings a world; those that do not land are for the soak tier."""
    found = [(cloud, load(cloud)) for cloud in clouds()]
    marks = {True: [pytest.mark.e2e], False: [pytest.mark.e2e, pytest.mark.soak]}
    return [pytest.param(cloud, marks=marks[made.lands], id=cloud) for cloud, made in found if made is not None]


def test_every_registered_cloud_has_a_world() -> None:
    assert [cloud for cloud in clouds() if load(cloud) is None] == []
    assert LEFT_OUT.keys() <= CLOUDS.keys()


def test_what_a_cloud_lacks_is_said_in_its_facts() -> None:
    for cloud in clouds():
        because = getattr(load(cloud), "because", {})
        said = " ".join(file.read_text() for file in (facts.DATA / cloud).glob("*.json"))
        assert set(because) <= set(STEPS)
        for step in ("nodes", "stop"):
            assert json.dumps(because.get(step, ""))[1:-1] in said, f"{cloud}: {step}"


in_each = pytest.mark.parametrize("life", lives(), indirect=True, scope="module")


@in_each
def test_up_makes_what_was_asked_for(life: Life) -> None:
    if why := life.lacks("nodes"):
        one_line(life.up(2, check=None), why)
        assert not life.world.left(life.stack) and not life.machines()
    life.up(len(life.nodes))
    assert {node: machine.power for node, machine in life.machines().items()} == dict.fromkeys(life.nodes, "up")
    life.is_true(*life.nodes)


@in_each
def test_the_description_is_valid(life: Life) -> None:
    described, there = life.described(), life.machines()
    assert (described.name, described.cloud) == (life.stack, life.cloud)
    assert [node.id for node in described.nodes] == life.nodes and described.head.id == "n0"
    for node in described.nodes:
        assert node.address and node.host_key.split()[0].startswith(("ssh-", "ecdsa-")) and node.incarnation
        assert node.power == "up" and node.cpus >= 1 and node.memory_gb > 0
        accelerators = node.accelerators
        assert (f"{accelerators.name}:{accelerators.count}" if accelerators.count else "") == life.world.accelerators
        assert not node.jump or described.way(node.jump)
        assert not there[node.id].host or (node.host, node.port) == (there[node.id].host, there[node.id].port)
    assert len({node.incarnation for node in described.nodes}) == len({node.address for node in described.nodes})
    power = described.power
    assert bool(power.stop) != bool(power.refused) and bool(power.refused) == bool(life.lacks("stop"))
    assert bool(power.end_itself) != bool(life.lacks("end"))


@in_each
def test_no_secret_is_in_plain_state(life: Life) -> None:
    key = life.described().ssh.private_key
    kept = life.engine("stack", "export") + life.config()
    assert life.stack in kept
    assert "PRIVATE KEY" not in kept
    for secret in (*key.splitlines()[1:-1], *life.world.secrets):
        assert secret not in kept


@in_each
def test_tags_say_whose_it_is(life: Life) -> None:
    if life.lacks("tags"):
        assert not any(machine.tags for machine in life.machines().values())
        return
    for node, machine in life.machines().items():
        ours = {"skyrig-stack": life.stack, "skyrig-node": node, "skyrig-owner": "ada", "skyrig-task": "train"}
        assert ours.items() <= machine.tags.items()


@in_each
def test_another_accounts_credentials_change_nothing(life: Life) -> None:
    if life.lacks("account"):
        assert not life.world.other
        return
    before, mine = life.machines(), dict(life.user.env)
    life.user.env |= life.world.other
    try:
        for verb in ("up", "down"):
            one_line(life.run(verb, "-c", life.stack, "-y", check=None), f"belongs to the {life.cloud} account")
    finally:
        life.user.env = mine
    assert life.machines() == before
    life.is_true(*life.nodes)


@in_each
def test_a_lost_node_is_made_anew_and_a_third_joins(life: Life) -> None:
    before = life.incarnations()
    lost = life.nodes[-1]
    life.world.lose(life.stack, lost)
    until(lambda: lost not in life.machines(), "the machine is gone")
    life.is_true(*life.nodes)
    life.nodes = life.nodes if life.lacks("nodes") else ["n0", "n1", "n2"]
    life.grown(len(life.nodes))
    after = life.incarnations()
    assert list(after) == life.nodes and set(life.machines()) == set(life.nodes)
    assert {node for node in before if before[node] == after[node]} == set(before) - {lost}
    life.is_true(*life.nodes)


@in_each
def test_three_become_one_and_that_is_the_same(life: Life) -> None:
    if why := life.lacks("nodes"):
        one_line(life.run("up", "-c", life.stack, "--nodes", "3", "-y", check=None), why)
    before = life.incarnations()
    life.nodes = ["n0"]
    if not life.lacks("nodes"):
        life.grown(1)
    assert life.incarnations() == {"n0": before["n0"]} and set(life.machines()) == {"n0"}
    life.is_true("n0")


@in_each
def test_it_stops_or_is_refused(life: Life) -> None:
    stopped = life.run("stop", "-c", life.stack, "-y", check=None)
    if why := life.lacks("stop"):
        one_line(stopped, why)
        assert life.machines()["n0"].power == "up"
    else:
        assert stopped.code == 0, stopped.told()
        assert life.machines()["n0"].power == "stopped" and life.described().head.power == "stopped"
    life.is_true("n0")


@in_each
def test_it_starts_as_itself_at_the_address_that_the_description_tells(life: Life) -> None:
    before = life.described().head
    life.run("start", "-c", life.stack, "-y")
    head, machine = life.described().head, life.machines()["n0"]
    assert head.incarnation == before.incarnation and machine.power == head.power == "up"
    assert not machine.host or (head.host, head.port) == (machine.host, machine.port)
    if life.world.moves and not life.lacks("stop"):
        assert (head.host, head.port) != (before.host, before.port)
    life.is_true("n0")


@in_each
def test_it_ends_itself(life: Life) -> None:
    if life.world.answers:
        (life.user.clone / "t.yaml").write_text("run: echo here\n")
        asked = life.run("launch", "t.yaml", "-c", life.stack, "-i", "0", "--down", check=None)
        if life.lacks("end"):
            assert asked.code == 2 and life.machines(), asked.told()
            return
        assert asked.code == 0 and b"here" in asked.out, asked.told()
    elif life.lacks("end"):
        return
    else:
        life.world.end(life.stack, "n0")
    until(lambda: not life.machines(), "the machine is gone", SOON_S)
    assert life.whole_status() == "DOWN"


@in_each
def test_down_leaves_nothing(life: Life) -> None:
    life.run("down", "-c", life.stack, "-y")
    assert list(life.world.left(life.stack)) == [] and not life.machines()
    assert life.resources() == []
    assert life.whole_status() in ("DOWN", "")
