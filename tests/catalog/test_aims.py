"""More than the price of an hour: estimates of hours, inputs that lie elsewhere, capacity that one has already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import skyrig as sky
from skyrig import renting
from skyrig.catalog import facts, optimizer, prices
from skyrig.catalog import market as markets
from skyrig.catalog.aims import Aim, Inputs, by_kind
from skyrig.catalog.market import Market, Reservation
from skyrig.catalog.offers import Offer
from skyrig.cluster.machine import Capacity
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput
from skyrig.task import reading
from skyrig.task.resources import of_plain

WORLD = markets.of_file(Path(__file__).with_name("cases") / "prices.csv")
OURS = Market(prices.shipped(), dict.fromkeys(("aws", "azure", "gcp"), ""))
HOURS = {"H100:8": 2.0, "A100:8": 3.5, "default": 6}
EITHER = {"infra": "aws", "accelerators": {"H100": 8, "A100": 8, "V100": 8}}


def first(resources: dict[str, Any], aim: Aim | None = None, market: Market = OURS, nodes: int = 1) -> Offer:
    """The best offer."""
    return optimizer.rank(of_plain(resources, "test")[0], nodes, market, aim).offers[0]


def test_the_least_is_paid_for_all_hours_or_the_least_hours_are_taken() -> None:
    cost, time = first(EITHER, Aim("cost", by_kind(HOURS))), first(EITHER, Aim("time", by_kind(HOURS)))
    assert (cost.kind.accelerator, cost.total(1)) == ("A100", pytest.approx(3.5 * 21.9576))
    assert (time.kind.accelerator, time.total(2)) == ("H100", pytest.approx(2 * 2.0 * 55.04))
    assert first(EITHER, Aim("time")) == first(EITHER)
    with pytest.raises(BadInput, match="minimize 'space': cost or time"):
        first(EITHER, Aim("space"))


def test_what_has_no_estimate_comes_after_what_has() -> None:
    found = optimizer.rank(of_plain(EITHER, "test")[0], 1, OURS, Aim("cost", by_kind({"H100:8": 100}))).offers
    kinds = [each.kind.accelerator for each in found]
    assert kinds[0] == "H100" and kinds == sorted(kinds, key=lambda name: name != "H100")
    assert {each.hours for each in found} == {100, None}


def test_hours_may_be_by_type_by_one_accelerator_and_by_slice() -> None:
    hours = by_kind({"g6.xlarge": 3, "l4": 4, "tpu-v5litepod-8:1": 5})
    found = {each.kind.name: each.hours for each in optimizer.rank(
        of_plain({"accelerators": "L4", "infra": "aws"}, "test")[0], 1, OURS, Aim(hours=hours)).offers}  # fmt: skip
    assert found["g6.xlarge"] == 3 and found["g6.4xlarge"] == 4
    assert first({"accelerators": "tpu-v5litepod-8"}, Aim(hours=hours)).hours == 5


def test_inputs_that_lie_elsewhere_cost_their_egress_once() -> None:
    asked = {"accelerators": "A100:8"}
    aws, gcp = facts.of("aws", "egress"), facts.of("gcp", "egress")
    near = first(asked, Aim(inputs=Inputs("s3://data", 10_000)))
    assert (near.cloud, near.egress) == ("aws", 0)
    far = first(asked, Aim(inputs=Inputs("gs://data", 10)))
    assert (far.cloud, far.egress) == ("aws", pytest.approx(10 * gcp["internet_per_gb"]))
    assert far.total(2) == pytest.approx(2 * 21.9576 + 10 * gcp["internet_per_gb"])
    assert first(asked, Aim(inputs=Inputs("gs://data", 10_000))).cloud == "gcp"
    here = first({**asked, "infra": "aws"}, Aim(inputs=Inputs("s3://data", 10, "us-west-2")))
    assert (here.region, here.egress) == ("us-west-2", 0)
    other = first({**asked, "infra": "aws/us-east-1"}, Aim(inputs=Inputs("s3://data", 10, "us-west-2")))
    assert other.egress == pytest.approx(10 * aws["between_regions_per_gb"])


@pytest.mark.parametrize(
    ("url", "cloud"),
    [("s3://b/p", "aws"), ("gs://b", "gcp"), ("https://a.blob.core.windows.net/c", "azure"), ("r2://b", "")],
)
def test_where_inputs_lie(url: str, cloud: str) -> None:
    assert Inputs(url, 1).cloud == cloud
    assert (Inputs(url, 1).egress("lambda", "us-east-1") > 0) == bool(cloud)


P5 = Reservation("aws", "us-west-2", "us-west-2b", "p5.48xlarge", "cr-0123456789abcdef0", 2, 1.5)


@pytest.mark.parametrize(
    ("resources", "nodes", "there", "taken"),
    [
        ({"accelerators": "H100:8"}, 2, P5, True),
        ({"accelerators": "H100:8", "infra": "*/us-west-2"}, 1, P5, True),
        ({"accelerators": "H100:8", "infra": "aws/us-west-2/us-west-2b"}, 1, P5, True),
        ({"instance_type": "p5.48xlarge"}, 1, P5, True),
        ({"any_of": [{"accelerators": "L4"}, {"accelerators": "H100:8"}]}, 1, P5, True),
        ({"accelerators": "H100:8"}, 1, P5._replace(zone=""), True),
        ({"accelerators": "H100:8"}, 3, P5, False),
        ({"accelerators": "H100:8", "infra": "aws/us-west-2/us-west-2a"}, 1, P5, False),
        ({"accelerators": "H100:8", "infra": "aws/us-east-1"}, 1, P5, False),
        ({"accelerators": "H100:8", "infra": "gcp"}, 1, P5, False),
        ({"accelerators": "H100:8", "use_spot": True}, 1, P5, False),
        ({"accelerators": "H100:8", "max_hourly_cost": 1.0, "any_of": [{}, {"max_hourly_cost": 99}]}, 1, P5, True),
        ({"accelerators": "L4"}, 1, P5, False),
        ({"accelerators": "L4"}, 1, P5._replace(instance_type="no.such"), False),
        ({"ordered": [{"accelerators": "L4"}, {"accelerators": "H100:8"}]}, 1, P5, False),
    ],
)
def test_a_reservation_that_fits_comes_first(
    resources: dict[str, Any], nodes: int, there: Reservation, taken: bool
) -> None:
    found = optimizer.rank(of_plain(resources, "test")[0], nodes, OURS._replace(reservations=(there,))).offers
    if not taken:
        assert found and not found[0].reservation
        return
    best = found[0]
    assert (best.reservation, best.hourly, best.zone or "us-west-2b") == (there.id, 1.5, "us-west-2b")
    assert not any(each.reservation for each in list(found)[1:])


def test_the_cheapest_of_several_reservations_is_first_and_becomes_the_capacity() -> None:
    dear = P5._replace(id="cr-00000000000000001", hourly=2.0)
    market = OURS._replace(reservations=(dear, P5))
    task = reading.loads("resources: {accelerators: H100:8}", "text").only()
    ranking = renting.ranking(task, market)
    assert [each.reservation for each in ranking.offers[:3]] == [P5.id, dear.id, ""]
    shape = renting.shape_of(Shape(), ranking.offers[0], task)
    assert (shape.machine.capacity, shape.machine.zone) == (Capacity("reservation", P5.id), "us-west-2b")
    kept = evolve(shape, machine=evolve(shape.machine, capacity=Capacity("spot")))
    assert renting.shape_of(kept, ranking.offers[2], task).machine.capacity == Capacity()


def test_the_hours_of_a_task_file_count() -> None:
    task = reading.loads(
        "resources: {infra: aws, accelerators: {H100: 8, A100: 8}}\ninputs: {gs://data: 100}\n"
        "config: {skyrig: {hours: {'H100:8': 1, default: 6}}}", "text"
    ).only()  # fmt: skip
    best = renting.ranking(task, OURS).offers[0]
    assert (best.kind.accelerator, best.hours, best.egress) == ("H100", 1, pytest.approx(12))
    assert renting.ranking(task, WORLD, minimize="time").offers[0].kind.accelerator == "H100"


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        ("{default: 0}", "a number of hours above 0 is wanted"),
        ("{default: soon}", "a number is wanted"),
        ("{'H100:many': 2}", "ACCELERATOR:COUNT, an instance type or default is wanted"),
        ("[2]", "a mapping"),
    ],
)
def test_wrong_hours_are_told_with_their_place(hours: str, said: str) -> None:
    with pytest.raises(BadInput, match=r"text:2:\d+") as told:
        reading.loads(f"run: x\nconfig: {{skyrig: {{hours: {hours}}}}}", "text")
    assert said in str(told.value)


def test_a_program_estimates_seconds() -> None:
    seconds = {"H100": 7200, "A100": 3 * 3600}
    task = sky.Task(run="x", resources=sky.Resources(accelerators={"H100": 8, "A100": 8}))
    task.set_time_estimator(lambda asked: seconds[next(iter(asked.accelerators or {}))])
    assert task.value.config.hours == {"H100:8": 2.0, "A100:8": 3.0}
    assert renting.ranking(task.value, OURS, minimize="time").offers[0].kind.accelerator == "H100"
    task.set_resources(sky.Resources(accelerators="A100:8"))
    assert task.value.config.hours == {"A100:8": 3.0}
    with pytest.raises(BadInput, match="above 0"):
        task.set_time_estimator(lambda _: -1)
    assert task.value.config.hours == {"A100:8": 3.0}
