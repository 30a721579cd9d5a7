"""What a subscription of Azure is found to have with nothing known of any stack: a Resource Manager on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure_stack import ACCOUNT, fill, home, network
from manager import Manager

from skyrig.clouds import cloud
from skyrig.cluster import owner
from skyrig.recovery import reclaiming, tagged
from skyrig.stack.sweep import LeftBehind


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))


def owned(manager: Manager, stack: str, whose: str) -> None:
    """Give all of a stack that owner."""
    for path, thing in manager.things.items():
        if path.startswith(home(stack).lower()) and thing.get("tags"):
            thing["tags"] = {**thing["tags"], "skyrig-owner": whose}


def bucket(manager: Manager, stack: str) -> None:
    """A group of a bucket of the stack, with its storage account."""
    tags = {"skyrig-stack": stack, "skyrig-owner": "ada"}
    manager.put(home(f"{stack}-data"), tags=tags)
    manager.put(f"{home(f'{stack}-data')}/providers/Microsoft.Storage/storageAccounts/stored", tags=tags)


def test_groups_are_told_stack_by_stack(manager: Manager) -> None:
    fill(manager, "one", "n0", "n1")
    fill(manager, "two", "n0")
    bucket(manager, "one")
    manager.put(home("other"), tags={})
    found = {each.stack: each for each in cloud.of("azure").tagged(None).stacks}
    assert set(found) == {"one", "two"}
    one = found["one"]
    assert (one.machines, one.region, one.owner, one.account) == (2, "eastus", "ada", ACCOUNT)
    assert one.kept == ("storage account stored",) and one.hourly > 100 and one.since is not None
    assert cloud.of("azure").tagged("westus").stacks == ()


def test_one_goes_and_others_stay(manager: Manager) -> None:
    for stack, whose in (("mine", owner.here()), ("theirs", "bob@lab")):
        fill(manager, stack, "n0")
        owned(manager, stack, whose)
    bucket(manager, "mine")
    found = tagged.find("azure", (), print)
    assert {each.seen.stack: each.state for each in found} == {"mine": "lost", "theirs": "theirs"}
    reclaiming.reclaim(reclaiming.chosen(found, None), print, lambda question: True)
    there = {each.split("/")[4] for each in manager.things if "/resourcegroups/" in each}
    assert there == {"skyrig-theirs", "skyrig-mine-data"}


def test_what_stays_is_named_with_its_price(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(manager, "held", "n0")
    owned(manager, "held", owner.here())
    manager.locked.add(network("held", "natGateways/gateway").lower())
    monkeypatch.setattr(reclaiming, "_PAUSES_S", (0.0, 0.0))
    with pytest.raises(LeftBehind, match=r"still there, at \$0\.0[0-9]+/h: held on azure/eastus: .*NAT gateway"):
        reclaiming.reclaim(tagged.find("azure", (), print), print, lambda question: True)


def test_a_group_that_nobody_may_look_into_is_told(manager: Manager) -> None:
    fill(manager, "shut", "n0")
    fill(manager, "open", "n0")
    manager.denied.add("skyrig-shut/resources")
    told = cloud.of("azure").tagged(None)
    assert [each.stack for each in told.stacks] == ["open"]
    assert told.unseen[0].startswith("skyrig-shut: azure: list of")
