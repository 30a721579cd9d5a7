"""Capacity that is missing: the real engine and SDKs, our verbs, and two clouds on loopback that say where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from killing import killed_when
from two_clouds import AZURE, FULL, GOOGLE, GOOGLE_EAST, NO_QUOTA, NO_SKU, UP_S, Traveller, travelling

pytestmark = pytest.mark.e2e


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Traveller]:
    with travelling(tmp_path) as found:
        yield found


def test_two_zones_and_a_cloud_are_full_and_the_next_one_is_taken(person: Traveller) -> None:
    person.refuses({zone: FULL.format(zone) for zone in ("us-central1-a", "us-central1-b")})
    up = person.run(*person.up(GOOGLE, AZURE), timeout=UP_S)
    assert person.tried() == ["us-central1-a", "us-central1-b", "eastus"]
    rows = [line.split() for line in up.told().splitlines() if line[:2] in ("1 ", "2 ", "3 ")]
    assert [row[1] for row in rows] == ["gcp/us-central1-a", "gcp/us-central1-b", "azure/eastus"]
    assert ["no capacity (does not have" in " ".join(row) for row in rows] == [True, True, False]
    assert rows[2][3:6] == ["Standard_NC4as_T4_v3", rows[2][4], "up"]
    assert person.google.left() == [] and person.google.machines == {}
    assert len(person.manager.machines) == 2 and all("azure-native:" in each for each in person.left())
    print(up.told(), up.seconds)
    config = (person.clone / "stacks" / "Pulumi.trip.yaml").read_text()
    assert "region: eastus" in config and "us-central1" not in config
    assert not (person.home / "stacks" / "trip" / "attempts.json").exists()
