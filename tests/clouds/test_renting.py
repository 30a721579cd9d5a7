"""What a task gets on a cloud: the machine in the stack's shape, and what is said where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from servers import KEYS
from user import User

from skyrig import fitting, renting, submitting
from skyrig.catalog import costs
from skyrig.catalog.refusals import Refusal
from skyrig.clouds.aws import session
from skyrig.clouds.gcp import session as google
from skyrig.cluster.autostop import Autostop
from skyrig.cluster.machine import Capacity
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput, EngineError, NoCapacity
from skyrig.submitting import RunOptions, task_request
from skyrig.task.model import Task
from skyrig.task.resources import of_plain


def task(**resources: Any) -> Task:
    """A task that asks for these resources."""
    return Task(name="it", choice=of_plain(resources, "test")[0])


@pytest.fixture(autouse=True)
def _clients_of_this_test() -> None:
    session.client.cache_clear()


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Somebody without any account."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    for name in ("GOOGLE_OAUTH_ACCESS_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", *google.KEY_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "none"))
    monkeypatch.setattr(google, "_PRODUCT", tmp_path / "none")  # of a machine that is Google's own


@pytest.mark.usefixtures("nobody")
def test_without_an_account_it_says_what_is_missing_and_offers_a_rehearsal() -> None:
    with pytest.raises(NoCapacity, match=r"H100:8 and no cloud is usable for that .`check` says why; `--infra local`"):
        fitting.shape_for(Shape(), task(accelerators="H100:8"))
    assert fitting.shape_for(Shape(), task(accelerators="H100:8", infra="local")).cloud == "local"
    assert fitting.shape_for(Shape(), task(cpus="2")).cloud == "local"


@pytest.mark.parametrize(
    ("asked", "has"),
    [
        ({"instance_type": "p4d.24xlarge"}, ("A100", 8)),
        ({"instance_type": "a2-highgpu-1g", "infra": "gcp"}, ("A100", 1)),
        ({"instance_type": "p4d.24xlarge", "infra": "local"}, ("A100", 8)),
        ({"instance_type": "m6i.large"}, ("", 0)),
        ({"instance_type": "p4d.24xlarge", "accelerators": "A100:4"}, ("A100", 4)),
        ({"instance_type": "never-heard-of"}, ("", 0)),
        ({}, ("", 0)),
    ],
)
def test_who_names_a_type_asks_for_its_accelerators(asked: dict[str, Any], has: tuple[str, int]) -> None:
    found = fitting.accelerators_of(task(**asked).resources)
    assert (found.name, found.count) == has
    assert task_request(task(**asked), RunOptions(), setup=False).accelerators == has[1]


@pytest.mark.usefixtures("aws_here")
def test_a_task_becomes_the_machine_of_its_first_offer() -> None:
    asked = task(accelerators="H100:8", network_tier="best", disk_size=500, labels={"team": "x"}, use_spot=True)
    shape = fitting.shape_for(Shape(), asked, nodes=2)
    machine = shape.machine
    assert (shape.cloud, machine.instance_type, str(machine.capacity)) == ("aws", "p5.48xlarge", "spot")
    assert (machine.network_tier, machine.disk_gb, machine.labels) == ("best", 500, (("team", "x"),))
    assert (shape.accelerators.name, shape.accelerators.count, len(shape.nodes)) == ("H100", 8, 2)


@pytest.mark.parametrize(("down", "why"), [(False, "cannot stop nodes"), (True, "nodes that cannot end themselves")])
def test_an_autostop_that_no_node_can_do_is_refused_before_anything_is_made(
    down: bool, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that is asked for beside the task, with a flag."""
    monkeypatch.setenv("LAMBDA_API_KEY", "k")
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    options = RunOptions(autostop=Autostop(5, down))
    for stack in (None, "stop-lambda"):
        with pytest.raises(NoCapacity, match=why):
            asked = task(accelerators="A10:1", infra="lambda")
            submitting.for_launch(evolve(asked, run="ls"), stack, options, print, lambda _: True)


@pytest.mark.usefixtures("aws_here")
def test_machines_that_will_do_are_kept() -> None:
    shape = fitting.shape_for(Shape(), task(accelerators="L4:1", infra="aws/us-east-2"))
    assert fitting.shape_for(shape, task(accelerators="L4:1")).machine == shape.machine
    assert fitting.shape_for(shape, task(accelerators="L4:1", infra="aws/us-west-2")).machine != shape.machine
    assert fitting.shape_for(shape, task(cpus="2+")) == fitting.shape_for(shape, task()) == shape
    assert fitting.shape_for(shape, task(accelerators="L4:8")).machine != shape.machine


@pytest.mark.usefixtures("aws_here")
def test_another_image_is_taken_by_a_cluster_that_is_down_alone() -> None:
    first = task(accelerators="L4:1", infra="aws/us-east-2", image_id="ami-11111111")
    up = fitting.shape_for(Shape(), first)
    other = task(accelerators="L4:1", infra="aws", image_id="ami-22222222")
    assert fitting.shape_for(up, other).machine.image == up.machine.image == "ami-11111111"
    down = evolve(up, power="down")
    assert fitting.shape_for(down, other).machine.image == "ami-22222222"
    assert fitting.shape_for(down, first).machine.image == "ami-11111111"
    assert fitting.shape_for(down, task(accelerators="L4:1")).machine.image == "ami-11111111", "none is asked for"


def test_what_is_not_asked_for_is_settled_once(aws_here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(renting.SSH_FROM, "203.0.113.7/32")
    shape = fitting.shape_for(Shape(), task(accelerators="H100:8", infra="aws/us-east-1"))
    machine = renting.settled(shape).machine
    assert machine.account == "123456789012" and machine.zone.startswith("us-east-1")
    assert machine.ssh_from == ("203.0.113.7/32",)
    other = evolve(shape, machine=evolve(machine, zone="us-east-1f", ssh_from=("10.0.0.0/8",)))
    assert renting.settled(other).machine == other.machine
    assert renting.settled(Shape()) == Shape()


def test_a_bad_network_that_may_log_in_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(renting.SSH_FROM, "203.0.113.300")
    with pytest.raises(BadInput, match=r"SKYRIG_SSH_FROM: '203.0.113.300'"):
        renting.who_may_log_in()


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("creating EC2 Instance: operation error EC2: RunInstances, api error InsufficientInstanceCapacity: none",
         "has no p5.48xlarge in us-east-1a now .InsufficientInstanceCapacity.*--zone"),
        ("api error VcpuLimitExceeded: You have requested more vCPU capacity", "quota does not allow p5.48xlarge"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_by_its_code(said: str, means: str) -> None:
    shape = Shape(cloud="aws")
    shape = evolve(shape, machine=evolve(shape.machine, instance_type="p5.48xlarge", zone="us-east-1a"))
    with pytest.raises(NoCapacity, match=means):
        raise renting.refused(shape, EngineError(said)) or AssertionError("not told")
    assert renting.refused(shape, EngineError("something else")) is None


@pytest.mark.parametrize(
    ("cloud", "region", "kind", "flags"),
    [
        ("lambda", "us-east-1", "gpu_1x_a10", "another --region or --cloud;"),
        ("aws", "us-east-1", "p5.48xlarge", "another --zone, --region or --cloud, or with --use-spot;"),
        ("ssh", "ssh-lab", "2CPU--8GB", "`check ssh` says what is there; try another --region or --cloud;"),
    ],
)
def test_where_there_is_no_room_flags_are_named_that_the_cloud_knows(
    cloud: str, region: str, kind: str, flags: str
) -> None:
    shape = Shape(cloud=cloud)
    shape = evolve(shape, machine=evolve(shape.machine, instance_type=kind, region=region))
    told = renting.no_room(shape, Refusal("capacity", "Full", "region", "type"))
    assert flags in str(told)


@pytest.mark.usefixtures("aws_here")
def test_what_is_of_one_zone_or_region_does_not_go_along_to_another() -> None:
    asked = task(accelerators="L4:1", infra="aws")
    shape = fitting.shape_for(Shape(), asked)
    kept = evolve(shape.machine, zone="us-east-1a", capacity=Capacity("reservation", "cr-1"), image="ami-1")
    before = evolve(shape, machine=evolve(kept, account="123456789012", ssh_from=("10.0.0.0/8",)))
    found = fitting.others(before, before, asked)
    assert {(each.machine.zone, str(each.machine.capacity), each.machine.image) for each in found} == {
        ("", "on-demand", "")
    }
    assert {(each.machine.account, each.machine.ssh_from) for each in found} == {("123456789012", ("10.0.0.0/8",))}
    assert fitting.others(before, before, None) == []


@pytest.mark.usefixtures("aws_here")
def test_the_question_names_the_most_that_the_other_offers_cost() -> None:
    asked = task(accelerators="L4:1", infra="aws")
    shape = fitting.shape_for(Shape(), asked)
    others = fitting.others(Shape(), shape, asked)[1:]
    heard: list[str] = []
    with pytest.raises(BadInput, match="costs money"):
        renting.agree("it", shape, ["n0"], lambda question: bool(heard.append(question)), others)
    dearest = max(costs.of_shape(each) or 0.0 for each in others)
    assert f"(at most ${dearest:.2f}/h: where there is no capacity, the next of {len(others) + 1} offers" in heard[0]
    renting.agree("it", shape, ["n0"], lambda question: bool(heard.append(question)) or True)
    assert "at most" not in heard[1]
    unknown = evolve(shape, machine=evolve(shape.machine, region="nowhere-1"))
    renting.agree("it", shape, ["n0"], lambda question: bool(heard.append(question)) or True, [unknown])
    assert "(some at a price not known: " in heard[2]


def test_a_setup_that_cannot_reach_the_internet_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    person = User(tmp_path, "shut")
    person.env |= {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_CONFIG_FILE": str(tmp_path / "none")}
    said = {"cloud": "aws", "instanceType": "g6.xlarge", "region": "us-east-1", "egress": "none", "nodes": ["n0"]}
    config = {f"skyrig:{key}": value for key, value in said.items()}
    (person.clone / "stacks" / "Pulumi.shut.yaml").write_text(json.dumps({"config": config}))
    file = tmp_path / "task.yaml"
    file.write_text("resources: {accelerators: 'L4:1', infra: aws}\nsetup: pip install vllm\nrun: vllm --version\n")
    refused = person.run("launch", str(file), "-c", "shut", "-y", check=2)
    assert "setup runs `pip install vllm`, and nodes of shut have no way to the internet" in refused.told()
    assert not (person.home / "state").exists()
