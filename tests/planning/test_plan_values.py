"""The parts of plans: changes out of a preview, what differs from a plan, the price, the page."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from attrs import evolve

from skyrig.catalog import rights
from skyrig.catalog.refusals import Refusal
from skyrig.clouds import cloud as clouds
from skyrig.cluster.description import Fabric
from skyrig.failover import memory
from skyrig.failover.memory import Refused
from skyrig.failover.place import of_offer
from skyrig.planning import making, page
from skyrig.planning.plan import NoOffer, Plan, Price
from skyrig.stack import foreseen
from skyrig.stack.foreseen import ENGINE, OFFLINE, Change, Forecast
from skyrig.submitting import RunOptions
from skyrig.task.model import Task
from skyrig.task.resources import of_plain

URN = "urn:pulumi:it::skyrig::skyrig:index:Cluster$aws:ec2/instance:Instance::it-n0"


def step(does: str, urn: str = URN, custom: bool = True, **more: Any) -> dict[str, Any]:
    """One step of a preview."""
    state = {"custom": custom, "inputs": {"ami": "ami-1", **more.pop("inputs", {})}}
    return {"op": does, "urn": urn, ("oldState" if does == "delete" else "newState"): state, **more}


def test_groupings_and_what_stays_are_no_changes() -> None:
    steps = [
        step("same"),
        step("create", custom=False),
        step("create", "urn:pulumi:it::skyrig::pulumi:providers:aws::p"),
    ]
    assert list(foreseen.changes_in({"steps": [*steps, step("read")]})) == []


def test_a_replacement_is_one_change_with_its_reasons() -> None:
    steps = [step("create-replacement"), step("replace", replaceReasons=["ami"]), step("delete-replaced")]
    [change] = foreseen.changes_in({"steps": steps})
    assert (change.does, change.kind, change.name) == ("replace", "aws:ec2/instance:Instance", "it-n0")
    assert change.because == ("ami",) and change.is_node


def test_a_plan_holds_while_nothing_differs() -> None:
    [change] = foreseen.changes_in({"steps": [step("create")]})
    whole = Forecast((change,), ENGINE)
    assert foreseen.differences(whole, [change]) == []
    [other] = foreseen.changes_in({"steps": [step("create", inputs={"ami": "ami-2"})]})
    assert foreseen.differences(whole, [other]) and foreseen.differences(whole, [])
    offline = Forecast((evolve(change, digest=""),), OFFLINE)
    assert foreseen.differences(offline, [other]) == [] and foreseen.differences(offline, [])


@pytest.mark.parametrize(
    ("price", "hourly", "total"),
    [
        (Price(10.0, 0.5, 2), 10.5, 21.0),
        (Price(10.0, 0.5), 10.5, None),
        (Price(None, 0.5, 2), None, None),
        (Price(0.0, hours=3), 0.0, 0.0),
    ],
)
def test_the_price_of_all_of_it(price: Price, hourly: float | None, total: float | None) -> None:
    assert (price.hourly, price.total) == (hourly, total)


def test_what_a_task_says_is_not_shown_as_the_fabrics() -> None:
    fabric = Fabric("efa", {"FI_PROVIDER": "efa", "FI_EFA_USE_HUGE_PAGE": "0"})
    assert making._less(fabric, {"FI_PROVIDER", "HOME"}) == Fabric("efa", {"FI_EFA_USE_HUGE_PAGE": "0"})


def test_each_cloud_says_what_its_nodes_may_do() -> None:
    for cloud in ("aws", "gcp", "azure"):
        found = rights.of_nodes(cloud, ["s3://results"])
        assert len(found) > 1 and all(each.action and each.resource and each.reason for each in found)
        assert str(found[-1]).startswith("read and write on s3://results")
    assert rights.of_nodes("local") == ()


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Somebody without any account, whose scripts go where no other test's go."""
    monkeypatch.setenv("SKYRIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("skyrig.renting.missing", lambda: dict.fromkeys(clouds.known(), "no account"))
    monkeypatch.setattr("skyrig.stack.forecast._lacking", lambda cloud: "no account")


def plan_of(**resources: Any) -> Plan:
    """The plan of a task for two nodes."""
    task = Task(name="it", num_nodes=2, run="true", choice=of_plain(resources, "test")[0])
    return making.of_task(task, making.Question(stack="it", hours=3), RunOptions(), lambda line: None)


@pytest.mark.usefixtures("nobody")
def test_without_an_account_the_whole_catalog_is_ranked_and_counted_offline(capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(accelerators="H100:8", infra="aws", network_tier="best", ports=8000)
    said = json.loads(json.dumps(plan.to_json()))
    assert said["offer"]["cloud"] == "aws" and not said["offer"]["usable"]
    assert said["offer"] == said["offers"][0] and said["offer"]["accelerators"] == {"H100": 8}
    costs = [each["hourly_cost"] for each in said["offers"]]
    assert costs == sorted(costs) and len(costs) > 3
    assert said["changes"]["source"] == "offline" and said["changes"]["create"] > 10
    assert {each["name"]: each["does"] for each in said["changes"]["resources"]}["it-aws-main-n1-1"] == "create"
    assert said["fabric"]["kind"] == "efa" and said["fabric"]["env"]["FI_PROVIDER"] == "efa"
    assert said["cost"]["total"] == pytest.approx(3 * said["cost"]["hourly"])
    assert {"cloud": "aws", "usable": False, "missing": "no account"} in said["clouds"]
    assert any("FI_PROVIDER=efa" in path.read_text() for path in plan.scripts if path.name == "environment")

    page.show(plan)
    shown = capsys.readouterr().out
    for word in ("->", "p5.48xlarge", "counted offline", "open ports: 8000", "ec2:TerminateInstances", "Fabric: efa"):
        assert word in shown, shown
    assert max(map(len, shown.splitlines())) < 400


@pytest.mark.usefixtures("nobody")
def test_what_a_cloud_answers_in_another_form_is_counted_offline() -> None:
    plan = plan_of(accelerators="A100:8", infra="azure", use_spot=True)
    assert any("has a fabric (infiniband) that is not used" in note for note in plan.notes)
    changes = plan.to_json()["changes"]
    assert changes["source"] == "offline"
    assert "azure-native:compute:VirtualMachine" in {each["type"] for each in changes["resources"]}


@pytest.mark.usefixtures("nobody")
def test_nothing_fits() -> None:
    with pytest.raises(NoOffer) as refused:
        plan_of(accelerators="H100:8", infra="aws", max_hourly_cost=0.01)
    said = refused.value.to_json()
    assert said["offer"] is None and said["offers"] == [] and refused.value.exit_code == 3


def test_nodes_that_would_be_lost_stand_out(capsys: pytest.CaptureFixture[str], nobody: None) -> None:
    plan = plan_of()
    lost = Change("replace", "aws:ec2/instance:Instance", "it-n0", ("instanceType",))
    page.show(evolve(plan, forecast=Forecast((lost,), ENGINE)))
    assert "! it-n0: a node would be replaced (another instanceType), with all that is on it" in capsys.readouterr().out


def test_what_was_refused_lately_is_not_chosen(nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skyrig.stack.forecast._registered", lambda stack, shape: [])
    first = plan_of(accelerators="L4:1", infra="gcp").chosen
    assert first is not None
    place = of_offer(first)
    memory.add(Refused(Refusal("capacity", "STOCKOUT", "region", "type"), place, "", time.time()))
    then = plan_of(accelerators="L4:1", infra="gcp")
    assert then.chosen is not None and of_offer(then.chosen) != place
    assert any("STOCKOUT" in each.reason for each in then.ranking.rejected)
