"""The life of a cluster on Azure and what goes wrong there: our verbs, the real engine and SDK, and an echo in the
provider's place that keeps what it makes in a Resource Manager on loopback, which our verbs ask too."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure_stack import ACCOUNT, home, machine
from killing import killed_when
from manager import Manager, serve
from servers import plugins
from user import BIN, User

from skyrig.catalog import prices

pytestmark = [pytest.mark.e2e, pytest.mark.soak]
REGION, KIND = "eastus", "Standard_NC4as_T4_v3"
LONG_S = 300.0


class AzureUser(User):
    """A user whose Azure is on loopback."""

    def __init__(self, folder: Path, stack: str, manager: Manager) -> None:
        super().__init__(folder, stack)
        self.manager = manager
        self.env |= {
            "ARM_SUBSCRIPTION_ID": ACCOUNT,
            "AZURE_CONFIG_DIR": str(folder / "no-az"),
            "ECHO_SUBSCRIPTION": ACCOUNT,
            "SKYRIG_AZURE_LOOPBACK": manager.address,
            "SKYRIG_SSH_FROM": "203.0.113.7/32",
            "PATH": f"{BIN}:{plugins(folder / 'plugins')}:{os.environ['PATH']}",
        }

    def up(self, nodes: int, **more: Any) -> Any:
        """An up of so many small GPU nodes that was agreed to."""
        return self.run(*self.words(nodes), "-y", timeout=LONG_S, **more)

    def words(self, nodes: int) -> list[str]:
        """The same as words, without the agreement."""
        return ["up", "--infra", f"azure/{REGION}", "-t", KIND, "--nodes", str(nodes)]

    def machines(self) -> dict[str, str]:
        """Power of the stack's machines that are there, by node id."""
        within = f"{home(self.stack)}/".lower()
        there = {path: power for path, power in self.manager.machines.items() if path.startswith(within)}
        return {path.rpartition("/")[2].partition("-")[0]: power for path, power in there.items()}

    def vm_id(self, node: str) -> str:
        """Azure's own id of the machine of a node."""
        return str(self.manager.things[machine(self.stack, node).lower()]["properties"]["vmId"])

    def status(self) -> dict[str, str]:
        """Status by node, as the verbs tell it."""
        [cluster] = self.json("status", "-c", self.stack)["clusters"]
        return {node["name"]: node["status"] for node in cluster["nodes"]}

    def mine(self) -> list[str]:
        """Paths of what there is of the stack."""
        return [path for path in self.manager.things if path.startswith(home(self.stack).lower())]

    def pulumi(self, *words: str) -> str:
        """A plain engine command in the clone; what it said."""
        command = [str(BIN / "pulumi"), *words, "-s", self.stack, "--non-interactive"]
        return subprocess.run(
            command, cwd=self.clone, env=self.env, capture_output=True, timeout=300, check=True, text=True
        ).stdout


@pytest.fixture(scope="module")
def manager() -> Iterator[Manager]:
    found = Manager(subscriptions={ACCOUNT}, polls=0)
    server = serve(found)
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory, manager: Manager) -> AzureUser:
    """Somebody with a cluster of two small GPU nodes, which they were asked about."""
    made = AzureUser(tmp_path_factory.mktemp("azure"), "azlife", manager)
    refused = made.run(*made.words(2), check=2, timeout=LONG_S)
    assert "costs money" in refused.told() and not manager.things
    up = made.up(2)
    assert f"{KIND} in {REGION}, $" in up.told()
    return made


@pytest.fixture
def another(tmp_path: Path, manager: Manager) -> AzureUser:
    """Somebody else, in a stack of their own."""
    return AzureUser(tmp_path, f"azfault{time.monotonic_ns() % 1000000}", manager)


def test_it_is_there_as_it_was_asked_for(person: AzureUser) -> None:
    assert person.machines() == {"n0": "running", "n1": "running"}
    nodes = json.loads(person.pulumi("stack", "output", "--json"))["cluster"]["nodes"]
    assert [node["incarnation"] for node in nodes] == [person.vm_id("n0"), person.vm_id("n1")]
    [cluster] = person.json("status", "-c", person.stack)["clusters"]
    price = prices.hourly("azure", REGION, KIND, spot=False)
    assert price and cluster["hourly_cost"] > 2 * price


def test_what_stopped_is_seen_stays_and_starts_again_as_itself(person: AzureUser, manager: Manager) -> None:
    before = {node: person.vm_id(node) for node in ("n0", "n1")}
    manager.switch(machine(person.stack, "n1"), "deallocated")
    manager.drop(machine(person.stack, "n0"))
    assert person.status() == {"n0": "DOWN", "n1": "STOPPED"}
    up = person.run("up", "-y", timeout=LONG_S)
    assert "n1 stopped and stays so" in up.told() and "$" in up.told()
    assert person.machines() == {"n0": "running", "n1": "deallocated"}
    assert person.vm_id("n0") != before["n0"] and person.vm_id("n1") == before["n1"]
    person.run("start", "-y", timeout=LONG_S)
    assert person.machines() == {"n0": "running", "n1": "running"} and person.vm_id("n1") == before["n1"]
    nodes = json.loads(person.pulumi("stack", "output", "--json"))["cluster"]["nodes"]
    assert [bool(node["boot"]) for node in nodes] == [False, True]
    person.pulumi("preview", "--expect-no-changes", "--refresh")


def test_another_subscription_changes_nothing(person: AzureUser, manager: Manager) -> None:
    manager.switch(machine(person.stack, "n1"), "deallocated")
    person.run("up", "-y", timeout=LONG_S)
    there, other = sorted(manager.things), ACCOUNT.replace("1", "9")
    manager.subscriptions = {ACCOUNT, other}
    person.env["ARM_SUBSCRIPTION_ID"] = other
    try:
        for verb in (["up", "-y"], ["down", "-y"], ["status", "--refresh"]):
            refused = person.run(*verb, check=2, timeout=LONG_S)
            assert f"belongs to the azure account {ACCOUNT}" in refused.told()
        assert person.status()["n1"] == "STOPPED"  # what cannot be asked is not gone
    finally:
        person.env["ARM_SUBSCRIPTION_ID"] = ACCOUNT
    assert sorted(manager.things) == there


def test_down_names_what_stays_with_its_price(person: AzureUser, manager: Manager) -> None:
    """The state is lost: what is there is found by the group and its tags. One address is locked by somebody."""
    state = json.loads(person.pulumi("stack", "export"))
    kept = [each for each in state["deployment"]["resources"] if each["type"] == "pulumi:pulumi:Stack"]
    state["deployment"] |= {"resources": [{**each, "outputs": {}} for each in kept], "pending_operations": []}
    file = person.home.parent / "state.json"
    file.write_text(json.dumps(state))
    person.pulumi("stack", "import", "--file", str(file))
    address = f"{home(person.stack)}/providers/Microsoft.Network/publicIPAddresses/gateway".lower()
    manager.locked.add(address)
    down = person.run("down", "-y", check=5, timeout=LONG_S)
    assert f"{person.stack} has left on azure in {REGION}, at $0.0050/h: address skyrig-azlife/gateway" in down.told()
    assert person.mine() == [home(person.stack).lower(), address]
    manager.locked.clear()
    person.run("down", "-y", timeout=LONG_S)
    assert person.mine() == []


def test_no_capacity_for_the_second_of_two_leaves_nothing_that_is_paid_for(another: AzureUser) -> None:
    said = 'Code="ZonalAllocationFailed" Message="Allocation failed. We do not have sufficient capacity"'
    another.env["ECHO_FAIL"] = f"n1-v1-machine:create:{said}:1.0"
    up = another.up(2, check=3)
    assert f"azure has no {KIND} in {REGION} now (ZonalAllocationFailed)" in up.told()
    assert "try another --zone, --region or --cloud" in up.told()
    assert another.mine() == [] and another.machines() == {}


def test_an_engine_killed_while_it_makes_machines_makes_none_twice_and_a_killed_destroy_goes_on(
    another: AzureUser,
) -> None:
    another.env["SKYRIG_LINGER_S"] = "60"
    killed_when(another, [*another.words(2), "-y"], lambda: len(another.machines()) == 2)
    another.env["SKYRIG_LINGER_S"] = "0"
    before = {node: another.vm_id(node) for node in ("n0", "n1")}
    up = another.run("up", "-y", timeout=LONG_S)
    assert "was being made when an earlier run was cut off" in up.told() and "is taken over" in up.told()
    assert {node: another.vm_id(node) for node in ("n0", "n1")} == before
    assert another.machines() == {"n0": "running", "n1": "running"}
    another.env["ECHO_LATENCY_S"] = "delete=1"
    killed_when(another, ["down", "-y"], lambda: len(another.machines()) < 2)
    assert another.mine()
    another.run("down", "-y", timeout=LONG_S)
    assert another.mine() == []
