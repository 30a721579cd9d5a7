"""What holds of every choice, against a second way of choosing that is written here."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyrig.catalog import market as markets
from skyrig.catalog import optimizer, prices
from skyrig.catalog.ranking import Ranking
from skyrig.task import reading
from skyrig.task.resources import of_plain

CASES = Path(__file__).with_name("cases")
MARKET = markets.of_file(CASES / "prices.csv")
ROWS = list(csv.DictReader((CASES / "prices.csv").open(encoding="utf-8")))
SOLD = sorted(
    {(row["accelerator"], row["count"]) for row in ROWS if row["accelerator"] and " " not in row["accelerator"]}
)
CLOUDS = sorted({row["cloud"] for row in ROWS})
WITHOUT = {"spot": {"lambda", "fluidstack"}, "nodes": {"runpod"}, "disk_tier": {"lambda", "runpod", "fluidstack"}}

WISHES = st.fixed_dictionaries(
    {"accelerators": st.sampled_from([f"{name}:{count}" for name, count in SOLD])},
    optional={
        "use_spot": st.booleans(),
        "infra": st.sampled_from([*CLOUDS, *sorted({f"{row['cloud']}/{row['region']}" for row in ROWS})]),
        "cpus": st.sampled_from(["4", "8+", "16+", "100+"]),
        "memory": st.sampled_from(["64+", "4x", "8x", "200+", "1600"]),
        "max_hourly_cost": st.sampled_from([0.3, 1.0, 5.0, 20.0, 60.0]),
        "disk_tier": st.sampled_from(["high", "best"]),
    },
)


CPU_WISHES = st.fixed_dictionaries(
    {},
    optional={
        "use_spot": st.booleans(),
        "infra": st.sampled_from([*CLOUDS, "aws/us-east-1", "gcp/us-east4", "lambda/us-west-1", "nebius/us-central1"]),
        "cpus": st.sampled_from(["2", "4", "4+", "8", "8+", "16+", "30+"]),
        "memory": st.sampled_from(["8+", "16", "16+", "32+", "2x", "4x", "7x"]),
        "max_hourly_cost": st.sampled_from([0.05, 0.2, 0.5, 2.0]),
    },
)
FAMILIES = {
    "aws": ("m6i.", "m6id.", "m7i.", "r6i.", "r6id.", "r7i.", "c6i.", "c6id.", "c7i."),
    "gcp": ("n2-", "n4-"),
    "oci": ("VM.Standard.",),
    "azure": ("Standard_D2s_v5", "Standard_D4s_v5", "Standard_D8s_v5", "Standard_F4s_v2"),
}
ON_ARM64 = ("GH200", "GB200", "GB300", "T4g")


def rank(resources: dict[str, Any], nodes: int = 1) -> Ranking:
    """The ranking for the field `resources`."""
    return optimizer.rank(of_plain(resources, "test")[0], nodes, MARKET)


def feasible(wish: dict[str, Any], nodes: int) -> list[tuple[float, str, str, str]]:
    """Price and place of every row of the table that has what is wished for."""
    name, _, count = wish.get("accelerators", "").partition(":")
    spot = wish.get("use_spot", False)
    cloud, _, region = wish.get("infra", "").partition("/")
    found = []
    for row in ROWS:
        price = row["spot_usd_hour" if spot else "on_demand_usd_hour"]
        cores, memory = float(row["vcpus"]), float(row["memory_gib"])
        barred = (
            (spot and row["cloud"] in WITHOUT["spot"])
            or (nodes > 1 and row["cloud"] in WITHOUT["nodes"])
            or (wish.get("disk_tier") == "high" and row["cloud"] in WITHOUT["disk_tier"])
        )
        kind = (row["accelerator"], row["count"]) == (name, count) if name else bare(row, wish)
        if (
            kind
            and cloud in ("", row["cloud"])
            and region in ("", row["region"])
            and price
            and float(price) <= wish.get("max_hourly_cost", float("inf"))
            and amount(wish.get("cpus", "0+"), cores, cores)
            and amount(wish.get("memory", "0+"), memory, cores)
            and not barred
        ):
            found.append((float(price), row["cloud"], row["region"], row["instance_type"]))
    return found


def bare(row: dict[str, str], wish: dict[str, Any]) -> bool:
    """Whether a row is of a type that tasks without accelerators get, with the amounts that they get unasked."""
    cloud, cores, memory = row["cloud"], float(row["vcpus"]), float(row["memory_gib"])
    if cloud in FAMILIES:
        family = not row["accelerator"] and row["instance_type"].startswith(FAMILIES[cloud])
    else:
        family = row["accelerator"] not in ON_ARM64
    least = {"lambda": 30}.get(cloud, 8) if "memory" not in wish else {"oci": 8}.get(cloud, 0)
    return family and ("cpus" in wish or cores >= least) and ("memory" in wish or memory >= 4 * cores)


def amount(asked: str, there: float, cores: float) -> bool:
    """Whether so much is enough."""
    if asked[-1] == "x":
        return there >= float(asked[:-1]) * cores
    return there >= float(asked[:-1]) if asked[-1] == "+" else there == float(asked)


@given(WISHES | CPU_WISHES, st.sampled_from([1, 2]))
@settings(max_examples=200, deadline=None)
def test_all_that_is_feasible_is_offered_and_the_cheapest_first(wish: dict[str, Any], nodes: int) -> None:
    offers = list(rank(wish, nodes).offers)
    there = [(each.hourly, each.cloud, each.region, each.kind.name) for each in offers]
    assert sorted(there) == sorted(feasible(wish, nodes))
    assert [each.hourly for each in offers] == sorted(each.hourly or 0 for each in offers)


@given(st.lists(WISHES | CPU_WISHES, min_size=1, max_size=3), WISHES | CPU_WISHES)
@settings(max_examples=60, deadline=None)
def test_one_more_candidate_is_never_dearer(wishes: list[dict[str, Any]], more: dict[str, Any]) -> None:
    fewer, all_of_them = rank({"any_of": wishes}).offers, rank({"any_of": [*wishes, more]}).offers
    assert not fewer or (all_of_them and (all_of_them[0].total(1) or 0) <= (fewer[0].total(1) or 0))
    assert len(all_of_them) == len(fewer) + len(rank(more).offers)


@given(st.lists(WISHES | CPU_WISHES, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_ordered_is_kept(wishes: list[dict[str, Any]]) -> None:
    one_by_one = [str(offer) for wish in wishes for offer in rank(wish).offers]
    assert [str(offer) for offer in rank({"ordered": wishes}).offers] == one_by_one


@given(
    st.one_of(WISHES, st.lists(WISHES, min_size=2, max_size=2).map(lambda each: {"any_of": each})),
    st.sampled_from([1, 2]),
)
@settings(max_examples=60, deadline=None)
def test_every_row_is_offered_or_its_reason_told(wish: dict[str, Any], nodes: int) -> None:
    accounted_for(rank(wish, nodes))


@pytest.mark.parametrize("case", sorted(CASES.glob("*.yaml")), ids=lambda case: case.stem)
def test_every_row_is_accounted_for_in_the_cases(case: Path) -> None:
    task = reading.load(case).only()
    if "bad-request" not in case.with_suffix(".json").read_text():
        accounted_for(optimizer.rank(task.choice, task.num_nodes, MARKET))


@pytest.mark.parametrize(
    "resources",
    [
        {},
        {"infra": "oci"},
        {"accelerators": "A10"},
        {"accelerators": "tpu-v5litepod-8"},
        {"accelerators": "RTXPRO6000:1"},
        {"instance_type": "p5.48xlarge"},
    ],
    ids=str,
)
def test_every_row_of_the_shipped_table_is_accounted_for(resources: dict[str, Any]) -> None:
    """Also prices for all regions, prices of TPU chips, and types with an unknown number of accelerators."""
    market = markets.shipped(dict.fromkeys(prices.shipped().clouds, ""))
    rows = list(csv.DictReader(prices.FILE.open(encoding="utf-8")))
    accounted_for(optimizer.rank(of_plain(resources, "test")[0], 1, market), rows)


def accounted_for(ranking: Ranking, rows: list[dict[str, str]] = ROWS) -> None:
    """Every row of the table is among the offers, or else a rejection holds for it and no offer is rejected too."""
    offered = {(each.cloud, each.region, each.kind.name) for each in ranking.offers}
    whole = {each.cloud for each in ranking.rejected if not each.instance_type}
    whole_type = {(each.cloud, each.instance_type) for each in ranking.rejected
                  if each.instance_type and not each.region and not each.regions}  # fmt: skip
    placed = {(each.cloud, region, each.instance_type) for each in ranking.rejected
              for region in (each.regions or (each.region,)) if each.instance_type and region}  # fmt: skip
    assert not offered & placed
    assert not {(cloud, name) for cloud, _, name in offered} & whole_type
    for row in rows:
        place = (row["cloud"], row["region"], row["instance_type"])
        told = row["cloud"] in whole or (row["cloud"], row["instance_type"]) in whole_type or place in placed
        assert place in offered or told, place
    assert all(each.reason for each in ranking.rejected)


_ALL = """
import hashlib, sys
from pathlib import Path
from skyrig.catalog import market, optimizer
from skyrig.task import reading
cases = Path(sys.argv[1])
there = market.of_file(cases / "prices.csv")
said = hashlib.sha256()
for name in sys.argv[2:]:
    task = reading.load(cases / f"{name}.yaml").only()
    ranking = optimizer.rank(task.choice, task.num_nodes, there)
    said.update(repr([str(each) for each in ranking.offers]).encode() + repr(ranking.rejected).encode())
print(said.hexdigest())
"""


def test_the_order_does_not_hang_on_the_process() -> None:
    names = ("cpus-at-least", "any-of-times-candidates", "candidates-set-cheapest", "tie-t4-two-clouds")
    said = {
        subprocess.run([sys.executable, "-c", _ALL, str(CASES), *names], env={**os.environ, "PYTHONHASHSEED": seed},
                       capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1 and len(said.pop().strip()) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize(
    ("resources", "cloud", "said"),
    [
        ({"accelerators": "H100:3"}, "aws", "no H100:3"),
        ({"accelerators": "H100:8", "max_hourly_cost": 30}, "aws", "p5.48xlarge is over max_hourly_cost 30"),
        ({"accelerators": "H100:8", "use_spot": True}, "lambda", "has no spot machines"),
        ({"accelerators": "L4:1", "cpus": "500+"}, "gcp", "g2-standard-4 has 4 cores, not 500+"),
        ({"accelerators": "H1000:8"}, "gcp", "nobody has H1000:8: did you mean H100?"),
    ],
)
def test_the_nearest_miss_of_a_cloud_is_told(resources: dict[str, Any], cloud: str, said: str) -> None:
    assert rank(resources).nearest_miss(cloud) == said


def test_several_threads_may_look_at_offers() -> None:
    offers, found = rank({"accelerators": "80GB+"}).offers, []
    looking = [threading.Thread(target=lambda: found.append([str(each) for each in offers])) for _ in range(6)]
    for each in looking:
        each.start()
    for each in looking:
        each.join()
    assert len(found) == 6 and all(each == found[0] for each in found) and len(found[0]) > 100
