"""Clusters on the user's own machines: a head that is reached from here, workers that it alone reaches."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from own_machines import OwnMachines, _public
from user import User, until

from skyrig.catalog import refusals
from skyrig.clouds import cloud as clouds
from skyrig.clouds.ssh import inventory, lending
from skyrig.errors import SkyrigError
from skyrig.fleet.ssh import asyncssh

pytestmark = pytest.mark.e2e

Person = Callable[..., User]
ALL = ("m0", "m1", "m2")

RUN = """\
num_nodes: 3
run: |
  cat >ring.py <<'END'
  import os, torch, torch.distributed as dist
  dist.init_process_group("gloo")
  sum = torch.tensor([float(dist.get_rank() + 1)])
  dist.all_reduce(sum)
  print("rank", dist.get_rank(), "of", dist.get_world_size(), "sum", sum.item(), flush=True)
  dist.destroy_process_group()
  END
  torchrun() { python3 -m torch.distributed.run "$@"; }
  torchrun --nnodes "$SKYPILOT_NUM_NODES" --node-rank "$SKYPILOT_NODE_RANK" --nproc-per-node 1 \\
    --master-addr "$(echo "$SKYPILOT_NODE_IPS" | head -n1)" --master-port 29511 ring.py
"""


@pytest.fixture
def whole(own: OwnMachines) -> Iterator[dict[str, Any]]:
    """The homes of all machines, which are as they were when the test has ended."""
    own.write(own.inventory())
    before = {name: own.home(name) for name in ALL}
    yield before
    for name in ALL:
        assert own.home(name) == before[name], name
        assert not own.nodes[name].pids("skyrig"), name
    own.write(own.inventory())


@pytest.fixture
def here(own: OwnMachines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has the inventory, and a SKYRIG_HOME of its own."""
    monkeypatch.setenv("SKYRIG_SSH_MACHINES", str(own.file))
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "here"))


def wanted(stack: str, node: str = "n0", region: str = "ssh-lab", **more: Any) -> dict[str, Any]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    return {
        "stack": stack, "node": node, "version": "main/1", "region": region, "instance_type": "", "is_head": True,
        "public_key": f"{_public(key)} skyrig-{stack}", "owner": "ada", "task": "", "managed": "", **more,
    }  # fmt: skip


def test_a_job_over_three_machines_and_then_nothing_is_left(
    own: OwnMachines, person: Person, whole: dict[str, Any]
) -> None:
    user = person("ring")
    (user.clone / "ring.yaml").write_text(RUN)
    words = ("-c", "ring", "--infra", "ssh/lab", "-i", "0", "--down", "-y")
    done = user.run("launch", "ring.yaml", *words, timeout=240)
    told = [line for line in done.lines if "sum 6.0" in line]
    assert len(told) == 3 and {line.partition(")")[0] + ")" for line in told} == {
        "(rank 0, n0)", "(rank 1, n1)", "(rank 2, n2)",
    }, done.told()  # fmt: skip
    until(lambda: not any(own.lease(name) for name in ALL), "the machines give themselves back", 60)
    assert user.json("status", "-c", "ring")["clusters"][0]["status"] == "DOWN"
    user.run("down", "-c", "ring", "-y")


@pytest.mark.soak
def test_the_next_pool_is_taken_where_one_is_full_and_plain_ssh_gets_through_the_gate(
    own: OwnMachines, person: Person, whole: dict[str, Any], here: None
) -> None:
    own.write(own.inventory(all=["m1"], more=["m2"]))
    theirs = wanted("theirs", region="ssh-all", is_head=False)
    lease = lending.create(theirs)
    try:
        user = person("mine")
        done = user.run("up", "-c", "mine", "--infra", "ssh", "--nodes", "1", "-y", timeout=240)
        assert b"no capacity (SshNoFreeMachine)" in done.err, done.told()
        lent = own.lease("m2")
        assert lent is not None and (lent["stack"], lent["node"]) == ("mine", "n0")
        config = user.home / "stacks" / "mine" / "ssh_config"
        ssh = ["ssh", "-F", str(config), "mine", "hostname"]
        assert subprocess.run(ssh, capture_output=True, text=True, timeout=60, check=True).stdout == "m2\n"
        through = ["ssh", "-F", str(config), "mine-gate-m0.skyrig", "hostname"]
        refused = subprocess.run(through, capture_output=True, text=True, timeout=60)
        assert refused.returncode != 0 or not refused.stdout, "the gate lets nobody in"
        [seen] = clouds.of("ssh").tagged("ssh-more").stacks
        assert (seen.stack, seen.machines, seen.account) == ("mine", 1, "lab-of-tests")
        user.run("down", "-c", "mine", "-y")
        user.run("down", "--by-tag", "-c", "theirs", "--infra", "ssh", "-y")
        assert own.lease("m1") is None, "a lease whose holder is gone is broken by that"
    finally:
        lending.delete({**theirs, "machine": lease, "id": lease["lease"]})


def test_of_two_who_race_each_gets_another_machine_and_a_third_one_none(
    own: OwnMachines, whole: dict[str, Any], here: None
) -> None:
    own.write(own.inventory(pair=["m1", "m2"]))
    asked = [wanted(f"s{number}", region="ssh-pair", is_head=False) for number in range(3)]

    def create(given: dict[str, Any]) -> dict[str, Any] | SkyrigError:
        try:
            return lending.create(given)
        except SkyrigError as error:
            return error

    with ThreadPoolExecutor(max_workers=3) as pool:
        made = list(pool.map(create, asked))
    got = [(given, each) for given, each in zip(asked, made, strict=True) if isinstance(each, dict)]
    [missed] = [each for each in made if isinstance(each, SkyrigError)]
    assert {each["way"]["name"] for _, each in got} == {"m1", "m2"}
    assert refusals.kind("ssh", missed.message) == "capacity" and missed.message.count("is leased to cluster s") == 2
    for given, each in got:
        assert lending.find(given) == each["lease"]
        assert lending.create(given)["lease"] == each["lease"], "a run that was cut off goes on with its own"
        read = lending.read({**given, "machine": None, "id": each["lease"]})
        assert read["way"]["name"] == each["way"]["name"] and read["boot"]
    [left] = clouds.of("ssh").leftovers(got[0][0]["stack"], "ssh-pair")[:1]
    clouds.of("ssh").remove(got[0][0]["stack"], "ssh-pair", clouds.of("ssh").leftovers(got[0][0]["stack"], ""))
    assert left.kind == "machine" and not clouds.of("ssh").leftovers(got[0][0]["stack"], "")
    lending.delete({**got[1][0], "machine": got[1][1], "id": got[1][1]["lease"]})
    assert lending.read({**got[1][0], "machine": got[1][1], "id": got[1][1]["lease"]}) == {}


def test_who_has_another_host_key_is_refused(own: OwnMachines, whole: dict[str, Any], here: None) -> None:
    said = own.inventory(lab=["m0"])
    said["pools"]["lab"]["machines"]["m0"]["host_key"] = _public(asyncssh.generate_private_key("ssh-ed25519"))
    own.write(said)
    with pytest.raises(SkyrigError, match="another host key than the pinned one") as refused:
        lending.create(wanted("mine"))
    assert refusals.kind("ssh", refused.value.message) == "", "no capacity is another matter"
    [machine] = [each for each in clouds.of("ssh").check("ssh-lab", None) if each.what == "machine lab/m0"]
    assert not machine.ok and "another host key" in machine.said
    assert inventory.read().pools[0].machines[0].name == "m0"


@pytest.mark.soak
def test_mingpt_learns_on_three_machines(own: OwnMachines, person: Person, whole: dict[str, Any]) -> None:
    """The command that the example names, as on a local cluster."""
    user = person("mingpt")
    user.run("up", "-c", "mingpt", "--infra", "ssh/lab", "--nodes", "3", "-y", timeout=240)
    done = user.run("train", "-c", "mingpt", "--", "--steps", "40", timeout=1200)
    assert any("below it: more than letter frequencies was learnt" in line for line in done.lines), done.told()
    print(*(line for line in done.lines if " loss " in line), sep="\n")
    user.run("down", "-c", "mingpt", "-y")
    for name in ALL:  # what a job itself writes elsewhere in a home stays there: it is its user's
        own.nodes[name].run('rm -rf "$HOME/runs"')
