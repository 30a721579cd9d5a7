"""What fits a candidate in the shipped table, and in which order."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyrig.catalog import costs, egress, facts, instances, optimizer, prices, table
from skyrig.catalog import market as markets
from skyrig.catalog.market import Market, Reservation
from skyrig.catalog.offers import Offer
from skyrig.catalog.prices import Price
from skyrig.cluster import clouds
from skyrig.errors import BadInput
from skyrig.task.resources import of_plain

CLOUDS = ("aws", "gcp", "azure")
NAMES = sorted(
    {
        row.accelerator
        for cloud in CLOUDS
        for row in prices.rows(cloud)
        if row.accelerator and " " not in row.accelerator
    }
)


def of(resources: dict[str, Any]) -> list[Offer]:
    """Offers for the field `resources` on three clouds."""
    choice, _ = of_plain(resources, "test")
    return list(optimizer.rank(choice, 1, markets.shipped(dict.fromkeys(CLOUDS, ""))).offers)


def test_the_cheapest_comes_first_and_has_what_is_asked_for() -> None:
    found = of({"accelerators": "H100:8"})
    assert [each.hourly for each in found] == sorted(each.hourly or 0 for each in found)
    assert {(each.kind.accelerator, each.kind.accelerator_count) for each in found} == {("H100", 8)}
    assert {each.cloud for each in found} == set(CLOUDS)


def test_a_place_a_type_and_a_price_are_heeded() -> None:
    assert {(each.cloud, each.region) for each in of({"infra": "gcp/us-central1", "accelerators": "L4"})} == {
        ("gcp", "us-central1")
    }
    assert {each.kind.name for each in of({"instance_type": "p4d.24xlarge"})} == {"p4d.24xlarge"}
    assert all((each.hourly or 0) <= 1.0 for each in of({"accelerators": "L4", "max_hourly_cost": 1.0}))
    assert of({"accelerators": "L4", "max_hourly_cost": 0.01}) == []


def test_spot_is_offered_at_its_own_price_only_where_it_is_known() -> None:
    found = of({"accelerators": "A100:8", "use_spot": True})
    assert found
    for each in found:
        row = prices.find(each.cloud, each.region, each.kind.name)
        assert row is not None and each.spot and each.hourly == row.spot


def test_ordered_candidates_keep_their_order() -> None:
    found = of({"ordered": [{"accelerators": "H100:8"}, {"accelerators": "L4"}]})
    kinds = [each.kind.accelerator for each in found]
    assert kinds == ["H100"] * kinds.count("H100") + ["L4"] * kinds.count("L4") and {"H100", "L4"} == set(kinds)
    cheap = of({"any_of": [{"accelerators": "H100:8"}, {"accelerators": "L4"}]})
    assert cheap[0].kind.accelerator == "L4" and len(cheap) == len(found)


def test_a_cpu_node_has_no_accelerator_and_our_architecture() -> None:
    found = of({"cpus": "4+", "memory": "16+"})
    assert found and all(not each.kind.accelerator and each.kind.arch == "x86_64" for each in found)
    assert {each.kind.cpus >= 8 for each in of({})} == {True}
    assert all(each.kind.memory_gib >= 4 * each.kind.cpus for each in of({"memory": "4x"}))


def test_a_type_that_is_named_with_its_region_needs_no_price() -> None:
    unpriced = next(name for name in instances.of_cloud("aws") if prices.find("aws", "eu-north-1", name) is None)
    [found] = of({"infra": "aws/eu-north-1", "instance_type": unpriced})
    assert (found.kind.name, found.region, found.hourly) == (unpriced, "eu-north-1", None)


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True), st.sampled_from(NAMES), st.booleans())
def test_one_more_candidate_is_never_dearer(names: list[str], more: str, spot: bool) -> None:
    def least(kinds: list[str]) -> float:
        priced = [each.hourly for each in of({"accelerators": dict.fromkeys(kinds, 1), "use_spot": spot})]
        return min((price for price in priced if price is not None), default=float("inf"))

    assert least([*names, more]) <= least(names)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_type_says_what_it_has_and_where_that_is_from(cloud: str) -> None:
    for kind in instances.of_cloud(cloud).values():
        assert kind.source, kind.name
        known = kind.accelerator_count > 0 or not kind.accelerator
        assert known or "not found" in kind.source, kind.name
        assert kind.arch in ("x86_64", "arm64"), kind.name


@pytest.mark.parametrize("slices", ["tpu-v5litepod-8", "tpu-v6e-8", "tpu-v5e:4"])
def test_slices_are_offered_at_the_price_that_they_cost(slices: str) -> None:
    found = of({"accelerators": slices})
    assert found
    for each in found:
        whole = costs.hourly(each.cloud, each.region, each.kind.name, each.spot, 1, "public-outbound")
        assert (each.hourly or 0) + egress.hourly(each.cloud, "public-outbound", 1) == pytest.approx(whole)


def test_slices_of_several_hosts_are_had_whole() -> None:
    choice = of_plain({"accelerators": "tpu-v5litepod-16"}, "test")[0]
    market = markets.shipped(dict.fromkeys(CLOUDS, ""))
    assert optimizer.rank(choice, 4, market).offers[0].total(4) == pytest.approx(16 * 1.2)
    alone = optimizer.rank(choice, 1, market)
    assert not alone.offers and any("num_nodes 4" in each.reason for each in alone.rejected)


def test_every_price_has_its_day_and_its_source() -> None:
    assert all(each.as_of and each.source for each in of({"accelerators": "80GB+"}))


def test_facts_of_all_clouds_are_about_what_there_is() -> None:
    families, features = facts.common("families"), facts.common("features")
    named = {*families["families"], *families["with_accelerators"], *families["cpus"], *families["cpus_beside_memory"]}
    named |= {cloud for each in features["lacking"].values() for cloud in each["clouds"]}
    looked = {cloud for cloud in named if clouds.has("skyrig.clouds", cloud, "stock")}  # their table is what is there
    assert named - {"*"} - looked <= set(prices.shipped().clouds)
    for cloud, family in families["families"].items():
        assert [row for row in prices.rows(cloud) if re.fullmatch(family, row.instance_type) and not row.accelerator]
    priced = {row.accelerator for cloud in prices.shipped().clouds for row in prices.rows(cloud)} - {""}
    assert priced <= set(facts.common("accelerators")["accelerators"])
    assert {"made", "sources"} <= families.keys() & features.keys() & facts.common("regions").keys()


ANY = Price("oci", "*", "VM.GPU.A10.1", "A10", 1, 30, 240, 2.0, None, "2026", "somewhere")


def of_rows(rows: list[Price], resources: dict[str, Any], *, whole: bool = True) -> list[tuple[str, float | None]]:
    """Region and price of all offers in a market of these rows."""
    there = Market(table.of_rows(rows), {row.cloud: "" for row in rows}, whole=whole)
    found = optimizer.rank(of_plain(resources, "test")[0], 1, there).offers
    return [(each.region, each.hourly) for each in found]


def test_a_price_for_all_regions_holds_in_the_one_that_is_asked_for() -> None:
    assert of_rows([ANY], {"accelerators": "A10"}) == [("us-ashburn-1", 2.0)], "the usual one"
    assert of_rows([ANY], {"accelerators": "A10", "infra": "oci/us-phoenix-1"}) == [("us-phoenix-1", 2.0)]
    own = ANY._replace(region="us-phoenix-1", on_demand=1.5)
    assert of_rows([ANY, own], {"accelerators": "A10"}) == [("us-phoenix-1", 1.5), ("us-ashburn-1", 2.0)]
    assert of_rows([ANY, own], {"accelerators": "A10", "infra": "oci/us-phoenix-1"}) == [("us-phoenix-1", 1.5)]
    assert of_rows([ANY, own], {"accelerators": "A10", "infra": "oci/eu-frankfurt-1"}) == [("eu-frankfurt-1", 2.0)]
    spot = own._replace(on_demand=None, spot=0.5)  # says nothing of the price on demand
    assert of_rows([ANY, spot], {"accelerators": "A10", "infra": "oci/us-phoenix-1"}) == [("us-phoenix-1", 2.0)]


def test_a_price_for_all_regions_is_of_the_one_that_the_credentials_name() -> None:
    market = Market(table.of_rows([ANY]), {"oci": ""}, homes={"oci": "eu-frankfurt-1"})
    [offer] = optimizer.rank(of_plain({"accelerators": "A10"}, "test")[0], 1, market).offers
    assert offer.region == "eu-frankfurt-1"


def test_where_the_regions_of_a_cloud_are_known_a_price_for_all_is_one_for_each() -> None:
    everywhere = ANY._replace(cloud="aws", instance_type="own.large")
    here = ANY._replace(cloud="aws", instance_type="other.large", accelerator="L4", region="us-east-1")
    assert of_rows([everywhere, here], {"accelerators": "A10"}, whole=False) == [("us-east-1", 2.0)]
    assert len(of_rows([everywhere], {"accelerators": "A10"}, whole=False)) > 30
    with pytest.raises(BadInput, match="aws has no region us-esat-1"):
        of_rows([everywhere], {"accelerators": "A10", "infra": "aws/us-esat-1"}, whole=False)


def test_images_limit_the_regions_of_types_without_a_price_and_of_reservations() -> None:
    asked = {"instance_type": "p5.48xlarge", "image_id": {"us-east-1": "ami-1"}}
    held = Reservation("aws", "us-west-2", "", "p5.48xlarge", "cr-1", 8)
    market = markets.shipped(dict.fromkeys(CLOUDS, ""))._replace(reservations=(held,))
    found = optimizer.rank(of_plain(asked, "test")[0], 1, market).offers
    assert {(each.region, each.reservation) for each in found} == {("us-east-1", "")}
    unpriced = {**asked, "infra": "aws/af-south-1"}
    assert not optimizer.rank(of_plain(unpriced, "test")[0], 1, market).offers


@pytest.mark.parametrize(
    ("resources", "meant"),
    [
        ({"infra": "aws/us-esat-1"}, "us-east-1"),
        ({"infra": "*/us-centrall1"}, "us-central1"),
        ({"instance_type": "p5.48xlrage"}, "p5.48xlarge"),
        ({"infra": "azure", "instance_type": "standard_nd96isr_h100_v5"}, "Standard_ND96isr_H100_v5"),
        ({"infra": "gcp", "instance_type": "g6.xlarge"}, "aws has it"),
    ],
)
def test_a_slip_is_told_with_what_was_meant(resources: dict[str, Any], meant: str) -> None:
    with pytest.raises(BadInput) as told:
        of(resources)
    assert meant in str(told.value.hint)


def test_an_accelerator_that_nobody_has_is_told_with_what_was_meant() -> None:
    choice = of_plain({"accelerators": "H1000:8"}, "test")[0]
    ranking = optimizer.rank(choice, 1, markets.shipped(dict.fromkeys(CLOUDS, "")))
    assert not ranking.offers and "nobody has H1000:8: did you mean H100?" in [each.reason for each in ranking.rejected]
