"""Which price counts: the shipped one, the one that a cloud told, or the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from skyrig import renting
from skyrig.catalog import costs, egress, instances, own, prices, refreshed, sources
from skyrig.catalog.market import Reservation
from skyrig.catalog.own import OwnPrices
from skyrig.catalog.prices import Price
from skyrig.catalog.refreshed import Refreshed
from skyrig.cluster.machine import Capacity, Machine
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput

H100 = prices.find("aws", "us-east-1", "p5.48xlarge")
L4 = prices.find("aws", "us-east-1", "g6.xlarge")
assert H100 is not None and L4 is not None


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Somebody with a SKYRIG_HOME and refreshed prices of their own."""
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    monkeypatch.setenv(refreshed.FOLDER, str(tmp_path / "catalog"))
    monkeypatch.delenv(sources.FILE, raising=False)
    return tmp_path


def said(folder: Path, text: str) -> None:
    """The user's own prices say this."""
    (folder / "prices.yaml").write_text(text)
    sources.forget()


def test_a_refreshed_region_is_as_the_cloud_told_and_the_others_as_shipped(folder: Path) -> None:
    today = H100._replace(on_demand=30.0, spot=None, as_of="2026-11-22", source="the API")
    new = today._replace(instance_type="p9.48xlarge", accelerator="X100", cpus=4, memory_gib=8)
    types = {
        "p9.48xlarge": {"accelerator": "X100", "accelerator_count": 8, "cpus": 4, "memory_gib": 8, "arch": "arm64"}
    }
    zones = {"p9.48xlarge": {"us-east-1": ["us-east-1c", "us-east-1a"]}}
    refreshed.write("aws", Refreshed((today, new), types, zones), "2026-11-22")
    sources.forget()
    assert sources.find("aws", "us-east-1", "p5.48xlarge") == today
    assert sources.find("aws", "us-east-1", "g6.xlarge") is None, "the API no longer lists it there"
    elsewhere = {row for row in prices.rows("aws") if row.region != "us-east-1"}
    assert elsewhere and {row for row in sources.rows("aws") if row.region != "us-east-1"} == elsewhere
    assert sources.rows("gcp") == prices.rows("gcp")
    assert (instances.find("aws", "p9.48xlarge").arch, instances.find("aws", "p5.48xlarge").fabric) == ("arm64", "efa")
    assert refreshed.zones("aws", "us-east-1", "p9.48xlarge") == ("us-east-1c", "us-east-1a")
    assert refreshed.zones("aws", "us-east-1", "p5.48xlarge") == ()


def test_what_is_written_is_what_is_read(folder: Path) -> None:
    rows = tuple(row._replace(source='a "quoted", source') for row in prices.rows("azure"))
    refreshed.write("azure", Refreshed(rows, {}, {}), "2026-11-22")
    assert refreshed.rows("azure") == rows
    assert sorted(each.name for each in refreshed.folder().iterdir()) == ["azure.csv", "azure.json", "azure.zones.json"]


MINE = """
prices:
  - {cloud: aws, region: us-east-1, instance_type: p5.48xlarge, on_demand: 40, as_of: 2026-10-01}
  - {cloud: aws, instance_type: p4d.24xlarge, spot: 5}
  - {cloud: gcp, region: us-central1, instance_type: z9-secret, on_demand: 3, vcpus: 8, memory_gib: 32,
     accelerator: L4, count: 2}
discounts: {aws: 0.25, gcp: 0.5, gcp/a3-*: 0.1, gcp/a3-high*: 0.2, gcp/a3-highgpu-8g: 0.0}
reservations:
  - {id: cr-1, cloud: aws, region: us-east-1, zone: us-east-1a, instance_type: p5.48xlarge, nodes: 4}
"""


def test_own_prices_stand_above_all_and_discounts_above_list_prices(folder: Path) -> None:
    said(folder, MINE)
    mine = sources.find("aws", "us-east-1", "p5.48xlarge")
    assert mine is not None and (mine.on_demand, mine.spot, mine.as_of) == (40, H100.spot, "2026-10-01")
    assert sources.hourly("aws", "us-east-1", "g6.xlarge", spot=False) == pytest.approx(0.75 * (L4.on_demand or 0))
    assert {row.spot for row in sources.rows("aws") if row.instance_type == "p4d.24xlarge"} == {5}
    assert instances.find("gcp", "z9-secret").accelerator_count == 2
    assert costs.hourly("aws", "us-east-1", "p5.48xlarge", False, 2, "none") == pytest.approx(80.005)
    market = renting.market()
    assert market.reservations == (Reservation("aws", "us-east-1", "us-east-1a", "p5.48xlarge", "cr-1", 4),)
    assert mine in market.prices.rows("aws")


@pytest.mark.parametrize(
    ("cloud", "instance_type", "share"),
    [("aws", "g6.xlarge", 0.25), ("gcp", "n2-standard-8", 0.5), ("gcp", "a3-megagpu-8g", 0.1),
     ("gcp", "a3-highgpu-4g", 0.2), ("gcp", "a3-highgpu-8g", 0.0), ("oci", "BM.GPU.H100.8", 0.0)],
)  # fmt: skip
def test_the_most_specific_discount_holds(folder: Path, cloud: str, instance_type: str, share: float) -> None:
    said(folder, MINE)
    assert own.read(folder / "prices.yaml").discount(cloud, instance_type) == share


def test_a_price_for_one_region_of_a_cloud_with_one_price_for_all(folder: Path) -> None:
    said(folder, "prices: [{cloud: oci, region: eu-frankfurt-1, instance_type: BM.GPU.H100.8, on_demand: 60}]")
    assert sources.hourly("oci", "eu-frankfurt-1", "BM.GPU.H100.8", spot=False) == 60
    assert sources.hourly("oci", "us-ashburn-1", "BM.GPU.H100.8", spot=False) == 80


WRONG: Mapping[str, tuple[str, str]] = {
    "an unknown field": ("price: []", r"prices.yaml:1:1: price: unknown field; did you mean prices\?"),
    "an unknown cloud": ("prices:\n  - {cloud: awss, instance_type: x, spot: 1}", r":2:6: .*cloud: 'awss'.* aws\?"),
    "a price that is no number": ("prices: [{cloud: aws, instance_type: x, spot: a}]", r":1:41: .*spot: a number"),
    "no type": ("prices: [{cloud: aws, spot: 1}]", r":1:10: prices\[0\]: instance_type is wanted"),
    "no price": ("prices: [{cloud: aws, instance_type: x}]", "on_demand or spot is wanted"),
    "a type that nobody knows": ("prices: [{cloud: aws, instance_type: p55, spot: 1}]", r":1:10: p55 is not an"),
    "a discount in percent": ("discounts: {aws: 20}", r":1:13: discounts.aws: 20 is out of range"),
    "a discount of nothing known": ("discounts: {foo/x: 0.1}", r":1:13: discounts.foo/x: CLOUD or CLOUD/TYPES"),
    "a reservation of no nodes": (
        "reservations: [{id: a, cloud: aws, region: r, instance_type: x, nodes: 0}]",
        r"reservations\[0\].nodes: 0 is out of range",
    ),
    "a reservation of a type that nobody knows": (
        "reservations: [{id: a, cloud: aws, region: us-east-1, instance_type: p5.48xlage, nodes: 1}]",
        r"prices.yaml:1:16: p5.48xlage is not an instance type of aws",
    ),
    "no YAML": ("prices: [", "no YAML"),
    "two documents": ("prices: []\n---\nprices: []", "one document is wanted"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_its_place(folder: Path, case: str) -> None:
    text, told = WRONG[case]
    said(folder, text)
    with pytest.raises(BadInput, match=told) as error:
        sources.rows("aws")
    assert error.value.exit_code == 2


def test_a_file_that_is_named_must_be_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sources.FILE, str(folder / "none.yaml"))
    with pytest.raises(BadInput, match="SKYRIG_PRICES: no file"):
        sources.rows("aws")


_ROWS: Any = st.lists(
    st.builds(
        lambda region, kind, price: H100._replace(region=region, instance_type=kind, on_demand=price),
        st.sampled_from(["r1", "r2", "r3"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from([1.0, 2.0]),
    ),
    unique_by=lambda row: (row.region, row.instance_type),
)


@given(_ROWS, _ROWS)
def test_a_merge_has_each_type_of_a_region_once_and_out_of_one_source(shipped: list[Price], fresh: list[Price]) -> None:
    found = sources.merged(shipped, fresh)
    assert len({(row.region, row.instance_type) for row in found}) == len(found)
    told = {row.region for row in fresh}
    assert [row for row in found if row.region in told] == fresh
    assert [row for row in found if row.region not in told] == [row for row in shipped if row.region not in told]
    assert sources.laid_over(found, OwnPrices(), ()) == found


def test_the_example_of_the_documentation_is_one(folder: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "catalog.md").read_text().split("```yaml\n")[1].split("```")[0]
    said(folder, text)
    assert sources.hourly("aws", "us-east-1", "p5.48xlarge", spot=False) == 38.5
    assert instances.find("gcp", "x9-early-8g").accelerator == "X9"
    assert len(renting.market().reservations) == 1


def test_capacity_of_ones_own_costs_what_is_said_of_it(folder: Path) -> None:
    where = "cloud: aws, region: us-east-1, zone: us-east-1a, instance_type: p5.48xlarge"
    said(folder, f"reservations: [{{id: cr-1, {where}, nodes: 2, hourly: 1.5}}]")
    machine = Machine("p5.48xlarge", "us-east-1", "us-east-1a", Capacity("reservation", "cr-1"))
    shape = Shape(cloud="aws", machine=machine)
    assert costs.of_shape(shape) == pytest.approx(2 * 1.5 + egress.hourly("aws", "nat", 2))
    other = evolve(shape, machine=evolve(machine, capacity=Capacity("reservation", "cr-2")))
    assert (costs.of_shape(other) or 0) > 100
