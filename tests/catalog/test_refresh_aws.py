"""Prices of AWS out of recorded answers, which botocore's own models of the APIs check."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber
from price_lists import recorded

from skyrig import refreshing
from skyrig.catalog import facts, instances, prices, refreshed, sources
from skyrig.clouds.aws import pricing, session
from skyrig.errors import SkyrigError

REGION = "us-west-2"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}

FILTERS = [
    {"Type": "TERM_MATCH", "Field": name, "Value": value}
    for name, value in {
        "operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used",
        "operation": "RunInstances", "regionCode": REGION,
    }.items()
]  # fmt: skip


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Stubber]]:
    """Clients that give recorded answers and refuse all else; those of other regions refuse everything."""
    monkeypatch.delenv(sources.FILE, raising=False)
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    monkeypatch.setenv(refreshed.FOLDER, str(tmp_path / "catalog"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    clients: dict[tuple[str, str], Any] = {}
    for place in (("ec2", REGION), ("pricing", "us-east-1"), ("ec2", "us-east-1"), ("ec2", "eu-west-9")):
        clients[place] = boto3.client(place[0], region_name=place[1], **KEYS)
    monkeypatch.setattr(session, "client", lambda service, region: clients[service, region])
    stubs = {f"{service} {region}": Stubber(client) for (service, region), client in clients.items()}
    for stub in stubs.values():
        stub.activate()
    yield stubs
    sources.forget()


def answers(aws: dict[str, Stubber]) -> None:
    """One region's answers, in the order in which it is asked."""
    ec2, listing = aws[f"ec2 {REGION}"], aws["pricing us-east-1"]
    token = {"NextToken": "page-2"}
    spot = {"ProductDescriptions": ["Linux/UNIX"], "StartTime": ANY}
    zones = {"LocationType": "availability-zone"}
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("describe_instance_types", "instance-types", {}),
        ("describe_spot_price_history", "spot", spot),
        ("describe_instance_type_offerings", "offerings", zones),
    ]
    for method, name, given in asked:
        ec2.add_response(method, recorded(f"aws/{name}-1.json"), given)
        ec2.add_response(method, recorded(f"aws/{name}-2.json"), {**given, **token})
    for number, more in ((1, {}), (2, token)):
        page = recorded(f"aws/products-{number}.json")
        page["PriceList"] = [json.dumps(each) for each in page["PriceList"]]
        listing.add_response("get_products", page, {"ServiceCode": "AmazonEC2", "Filters": FILTERS, **more})


def refresh(*regions: str) -> list[str]:
    """The lines of a refresh."""
    lines: list[str] = []
    refreshing.refresh(["aws"], regions, lines.append)
    return lines


def test_a_region_has_the_types_zones_and_prices_that_its_apis_say(aws: dict[str, Stubber]) -> None:
    answers(aws)
    assert refresh(REGION) == ["aws: 6 prices of 1 region (they were of 2026)"]
    for stub in aws.values():
        stub.assert_no_pending_responses()
    today = {row.instance_type: row for row in sources.rows("aws") if row.as_of == date.today().isoformat()}
    assert {name: (row.on_demand, row.spot) for name, row in today.items()} == {
        "g6.xlarge": (0.82, 0.31),
        "p5.48xlarge": (55.04, 16.1),
        "g6f.large": (0.202, None),
        "m7g.2xlarge": (0.3264, 0.12),
        "p4de.24xlarge": (27.447, None),
        "g7e.2xlarge": (3.3632, None),
    }
    assert (today["g6f.large"].accelerator, today["g6f.large"].accelerator_count) == ("L4", 0.125)
    assert (today["p4de.24xlarge"].accelerator, today["p4de.24xlarge"].cpus) == ("A100-80GB", 96)
    assert instances.find("aws", "m7g.2xlarge").arch == "arm64"
    zones = tuple(f"{REGION}{letter}" for letter in "cab")
    assert refreshed.zones("aws", REGION, "g6.xlarge") == zones, "the cheapest for spot first"
    assert {row.region for row in prices.rows("aws")} == {row.region for row in sources.rows("aws")}


def test_the_regions_are_those_of_the_account_and_one_that_refuses_is_told(aws: dict[str, Stubber]) -> None:
    regions = [{"RegionName": name} for name in (REGION, "eu-west-9")]
    aws["ec2 us-east-1"].add_response("describe_regions", {"Regions": regions}, {"AllRegions": False})
    aws["ec2 eu-west-9"].add_client_error("describe_instance_types", "UnauthorizedOperation", "not you")
    answers(aws)
    assert refresh() == [
        "aws: 6 prices of 1 region (they were of 2026)",
        "aws: eu-west-9 did not answer: aws: types of eu-west-9 is not allowed: not you",
    ]


def test_without_any_region_nothing_is_changed(aws: dict[str, Stubber]) -> None:
    aws[f"ec2 {REGION}"].add_client_error("describe_instance_types", "AuthFailure", "who?")
    with pytest.raises(SkyrigError, match="no prices came from aws"):
        refresh(REGION)
    assert not refreshed.table("aws").exists()


def test_types_are_read_as_the_catalog_has_them() -> None:
    listed = json.loads(gzip.decompress((files("moto") / "ec2/resources/instance_types.json.gz").read_bytes()))
    known = {name for name in facts.of("aws", "types")["types"] if name in listed}
    assert len(known) > 50
    for name in known:
        kind, seen = instances.find("aws", name), pricing.described(listed[name])
        had = (kind.accelerator or seen.accelerator, kind.accelerator_count, kind.cpus, kind.memory_gib, kind.arch)
        told = (seen.accelerator, seen.accelerator_count, seen.cpus, seen.memory_gib, seen.arch)
        if name.startswith("dl1."):
            assert told[1] in (0, 8), "EC2 lists its Gaudis as GPUs or not at all"
        else:
            assert told == had, name
