"""What a refusal says of other places, by the codes of the clouds; and how long it is remembered."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from attrs import evolve

from skyrig.catalog import facts, instances, refusals
from skyrig.catalog.offers import Offer
from skyrig.catalog.ranking import Ranking
from skyrig.catalog.refusals import Refusal
from skyrig.failover import memory, place
from skyrig.failover.memory import Memory, Refused
from skyrig.failover.place import Place
from skyrig.task.resources import Resources

AT = {
    "aws": Place("aws", "us-east-1", "us-east-1a", "g6.xlarge"),
    "gcp": Place("gcp", "us-central1", "us-central1-a", "g2-standard-4"),
    "azure": Place("azure", "eastus", "", "Standard_NC24ads_A100_v4"),
}
"""Where each cloud refuses."""

OF_THE_TYPE = "other zone"
OF_THE_FAMILY = "other type, other zone"
OF_THE_REGION = "other type, other family, without accelerators, other zone"
SAID = [
    ("aws", "api error InsufficientInstanceCapacity: We currently do not have sufficient g6.xlarge capacity",
     "capacity", ""),
    ("aws", "api error VcpuLimitExceeded: You have requested more vCPU capacity than your current vCPU limit",
     "quota", OF_THE_FAMILY),
    ("aws", "api error MaxSpotInstanceCountExceeded: Max spot instance count exceeded", "quota", OF_THE_REGION),
    ("aws", "api error AddressLimitExceeded: The maximum number of addresses", "quota", OF_THE_REGION + ", paid"),
    ("aws", "api error OptInRequired: You are not subscribed to this service", "permission", OF_THE_REGION + ", paid"),
    ("gcp", "The zone 'projects/p/zones/us-central1-a' does not have enough resources available to fulfill the request",
     "capacity", ""),
    ("gcp", "Error 403: Quota 'NVIDIA_L4_GPUS' exceeded.  Limit: 1.0 in region us-central1., quotaExceeded",
     "quota", OF_THE_FAMILY),
    ("gcp", "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally., quotaExceeded", "quota",
     "other type, other family, other zone, other region"),
    ("gcp", "Compute Engine API has not been used in project 12 before or it is disabled: SERVICE_DISABLED",
     "permission", OF_THE_REGION + ", other region, paid"),
    ("gcp", "This API method requires billing to be enabled. Please enable billing on project #1", "permission",
     OF_THE_REGION + ", other region, paid"),
    ("azure", 'Code="SkuNotAvailable" Message="The requested VM size is currently not available in location"',
     "capacity", OF_THE_TYPE),
    ("azure", 'Code="ZonalAllocationFailed" Message="Allocation failed."', "capacity", ""),
    ("azure", 'Code="OperationNotAllowed" Message="... exceeding approved standardNCADSA100v4Family Cores quota',
     "quota", OF_THE_FAMILY),
    ("azure", 'Code="OperationNotAllowed" Message="... exceeding approved Total Regional Cores quota', "quota",
     OF_THE_REGION),
    ("azure", 'Code="ReadOnlyDisabledSubscription" Message="The subscription is disabled', "permission",
     OF_THE_REGION + ", other region, paid"),
]  # fmt: skip
"""Cloud, what it says, the kind of that, and which other places refuse as well."""


def others(at: Place) -> dict[str, Place]:
    """Places that differ from a place of AT in one thing."""
    kinds = {
        "aws": ("g6.2xlarge", "p5.48xlarge", "c6i.2xlarge"),
        "gcp": ("g2-standard-12", "a3-highgpu-8g", "n2-standard-8"),
        "azure": ("Standard_NC48ads_A100_v4", "Standard_ND96isr_H100_v5", "Standard_D8s_v5"),
    }[at.cloud]
    return {
        "other type": evolve(at, instance_type=kinds[0]),
        "other family": evolve(at, instance_type=kinds[1]),
        "without accelerators": evolve(at, instance_type=kinds[2]),
        "other zone": evolve(at, zone="zone-x"),
        "other region": evolve(at, region="region-x", zone="zone-x"),
        "paid": evolve(at, paid="on-demand" if at.paid == "spot" else "spot"),
    }


@pytest.mark.parametrize(("cloud", "said", "kind", "too"), SAID, ids=[f"{each[0]}-{each[1][:40]}" for each in SAID])
def test_a_code_says_which_other_places_refuse_too(cloud: str, said: str, kind: str, too: str) -> None:
    refusal = refusals.find(cloud, "something that is no refusal", said)
    assert refusal is not None and refusal.kind == kind
    at = evolve(AT[cloud], paid="spot" if "Spot" in said else "on-demand")
    assert place.covers(refusal, at, at) and not place.covers(refusal, at, evolve(at, cloud="elsewhere"))
    found = {name for name, other in others(at).items() if place.covers(refusal, at, other)}
    assert found == {name for name in too.split(", ") if name}


def test_every_scope_in_the_data_is_one_and_belongs_to_a_code() -> None:
    for cloud in AT:
        said = facts.of(cloud, "refusals")
        codes = [code for kind in refusals.KINDS for code in said[kind]]
        assert set(said["scopes"]) <= set(codes)
        assert all(where in refusals.WHERE and what in refusals.WHAT for where, what in said["scopes"].values())
        for number, code in enumerate(codes):  # the first that is in a message counts, so no general one comes before
            earlier = [each for each in codes[:number] if each in code]
            assert not earlier or said["scopes"].get(earlier[0]) == said["scopes"].get(code), (cloud, code, earlier)


def refused(kind: str = "capacity", where: str = "zone", age: float = 0.0, account: str = "me") -> Refused:
    return Refused(Refusal(kind, "Code", where, "type"), AT["gcp"], account, time.time() - age)


@pytest.mark.parametrize(("kind", "kept"), memory.KEPT_S.items())
def test_a_refusal_is_believed_for_a_while_by_its_kind(kind: str, kept: float) -> None:
    assert "Code" in Memory((refused(kind, age=kept - 5),)).reason(AT["gcp"], "me")
    assert Memory((refused(kind, age=kept + 5),)).reason(AT["gcp"], "me") == ""


def test_it_is_said_with_its_age_and_counts_for_its_account_alone() -> None:
    known = Memory((refused(age=180),))
    assert known.reason(AT["gcp"], "me") == "no capacity 3 min ago (Code)"
    assert known.reason(AT["gcp"]) and not known.reason(AT["gcp"], "you")
    assert not known.reason(evolve(AT["gcp"], paid="spot"), "me")


def test_a_new_round_forgets_capacity_that_was_missing_before_it_and_nothing_else() -> None:
    known = Memory((refused(age=30), refused("quota", age=30)))
    assert [each.refusal.kind for each in known.since(time.time() - 10).refused] == ["quota"]
    assert known.since(time.time() - 60).refused == known.refused


def test_it_is_kept_for_other_processes_and_a_ranking_is_had_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    assert memory.read() == Memory()
    memory.add(refused(age=7200), refused(where="region"))
    memory.add(refused("quota", where="region"))
    assert [each.refusal.kind for each in memory.read().refused] == ["capacity", "quota"]
    kind = instances.find("gcp", "g2-standard-4")
    here, there = (Offer(kind, region, "", False, 1.0, Resources()) for region in ("us-central1", "us-east1"))
    ranking = Ranking(1, (here, there)).without(memory.refusing())
    assert ranking.offers == (there,)
    assert [each.reason for each in ranking.rejected] == ["no quota 0 s ago (Code)"]
    (tmp_path / "refusals.json").write_text("{")
    assert memory.read() == Memory()
