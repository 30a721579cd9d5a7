"""Capacity that is missing: the real engine and SDKs, our verbs, and two clouds on loopback that say where."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from killing import killed_when
from two_clouds import AZURE, FULL, GOOGLE, GOOGLE_EAST, NO_QUOTA, NO_SKU, UP_S, Traveller, travelling
from user import Result, until

pytestmark = pytest.mark.e2e
CENTRAL = ("us-central1-a", "us-central1-b")
CENTRAL_IS_FULL = {zone: FULL.format(zone) for zone in CENTRAL}
NOTHING = {
    "central": NO_QUOTA.format("us-central1"),
    "east": FULL.format("us-east4-a"),
    "azure": NO_SKU.format("eastus"),
}
ALL_REFUSE = {"us-central1": NOTHING["central"], "us-east4": NOTHING["east"], "azure": NOTHING["azure"]}


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Traveller]:
    with travelling(tmp_path) as found:
        yield found


def table(said: Result) -> list[list[str]]:
    """Place and outcome of each attempt in the table that was shown."""
    lines = said.told().splitlines()
    [head] = [number for number, line in enumerate(lines) if line.startswith("#  CLOUD/ZONE")]
    outcome, took = lines[head].index("OUTCOME"), lines[head].index("TOOK")
    rows = []
    for number, line in enumerate(lines[head + 1 :], 1):
        if not line.startswith(f"{number} "):
            break
        rows.append([line.split()[1], line[outcome:took].strip()])
    return rows


def config(person: Traveller) -> str:
    """The stack's config in the clone."""
    return (person.clone / "stacks" / "Pulumi.trip.yaml").read_text()


def journal(person: Traveller) -> dict[str, Any] | None:
    """What is written down of attempts that go on."""
    file = person.home / "stacks" / "trip" / "attempts.json"
    found: dict[str, Any] | None = json.loads(file.read_bytes()) if file.exists() else None
    return found


def test_two_zones_and_a_cloud_are_full_and_the_next_one_is_taken(person: Traveller) -> None:
    person.refuses(CENTRAL_IS_FULL)
    up = person.run(*person.up(GOOGLE, AZURE), timeout=UP_S)
    full = "no capacity (does not have enough resources available to fulfill the request)"
    assert person.tried() == [*CENTRAL, "eastus"]
    assert table(up) == [*([f"gcp/{zone}", full] for zone in CENTRAL), ["azure/eastus", "up"]]
    assert person.google.left() == [] and person.google.machines == {}
    assert len(person.manager.machines) == 2 and all("azure-native:" in each for each in person.left())
    assert "region: eastus" in config(person) and "us-central1" not in config(person)
    assert journal(person) is None


@pytest.mark.soak
def test_nobody_has_it_every_reason_is_told_nothing_is_left_and_waiting_helps(person: Traveller) -> None:
    person.refuses(ALL_REFUSE)
    words = person.up(GOOGLE, GOOGLE_EAST, AZURE)
    refused = person.run(*words, check=3, timeout=UP_S)
    [error] = [line for line in refused.told().splitlines() if line.startswith("no cloud has the machines now")]
    assert "after 4 attempts" in error and "-r tries again" in error
    for said in (
        "g2-standard-4 in gcp/us-central1-a: no quota (quotaExceeded)",
        "g2-standard-4 in gcp/us-central1-b: no quota",
        "g2-standard-4 in gcp/us-east4-a, gcp/us-east4-b: no capacity (does not have enough",
        "Standard_NC4as_T4_v3 in azure/eastus: no capacity (SkuNotAvailable)",
    ):
        assert said in error
    assert person.tried() == ["us-central1-a", "us-east4-a", "us-east4-b", "eastus"]  # the quota is of the region
    nothing_is_left(person)
    assert "cloud: local" not in config(person) and "azure" not in config(person) and "power: down" in config(person)
    person.log.write_text("")

    person.env["SKYRIG_RETRY_S"] = "0.5"
    with (person.home.parent / "rounds.log").open("wb") as out:
        waiting = person.start(*words, "-r", stdout=out)
        log = person.home.parent / "rounds.log"
        until(lambda: "round 2 begins in" in log.read_text() or waiting.poll() is not None, "round 2", UP_S)
        nothing_is_left(person)
        person.refuses({key: said for key, said in ALL_REFUSE.items() if key != "azure"})
        assert waiting.wait(UP_S) == 0, log.read_text()
    assert person.tried()[:3] == ["us-east4-a", "us-east4-b", "eastus"]  # the quota is remembered
    assert person.tried()[-1] == "eastus" and len(person.manager.machines) == 2 and person.google.left() == []


@pytest.mark.soak
def test_what_is_no_refusal_stops_at_once_and_its_remains_go_before_another_place_is_tried(person: Traveller) -> None:
    person.refuses({CENTRAL[0]: "Error 400: Invalid value for field 'resource.networkInterfaces[0]'"})
    failed = person.run(*person.up(GOOGLE, AZURE), check=5, timeout=UP_S)
    assert "Invalid value for field" in failed.told() and person.tried() == [CENTRAL[0]]
    assert person.google.left() and journal(person) is None
    up = person.run(*person.up(AZURE), timeout=UP_S)
    assert "trip: half-made at gcp/us-central1-a g2-standard-4: removing that before azure/eastus" in up.told()
    assert person.google.left() == [] and len(person.manager.machines) == 2


@pytest.mark.soak
def test_interrupted_while_it_waits_nothing_is_left(person: Traveller) -> None:
    person.refuses(ALL_REFUSE)
    log = person.home.parent / "rounds.log"
    with log.open("wb") as out:
        waiting = person.start(*person.up(AZURE), "-r", stdout=out)
        until(lambda: "round 2 begins in" in log.read_text() or waiting.poll() is not None, "the first pause", UP_S)
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(60) == 130, log.read_text()
    nothing_is_left(person)


@pytest.mark.soak
@pytest.mark.parametrize("moment", ["the second attempt makes machines", "the first is removed"])
@pytest.mark.parametrize("then", ["up", "down", "pulumi destroy"])
def test_a_client_that_is_killed_leaves_nothing_that_the_next_command_does_not_remove(
    person: Traveller, moment: str, then: str
) -> None:
    person.refuses({CENTRAL[0]: CENTRAL_IS_FULL[CENTRAL[0]]})
    words = person.up(GOOGLE, AZURE)
    person.env |= {"ECHO_LATE_S": "4", "ECHO_LATENCY_S": "delete=0.5"}
    killed_when(
        person, words, {"the first is removed": removing, "the second attempt makes machines": second}[moment](person)
    )
    for name in ("ECHO_LATE_S", "ECHO_LATENCY_S"):
        del person.env[name]
    assert person.google.left() and journal(person) is not None
    [cluster] = person.json("status", "-c", person.stack)["clusters"]
    assert cluster["status"] == "INIT" and f"`down -c {person.stack}` removes what is there" in cluster["reason"]
    person.refuses(CENTRAL_IS_FULL)
    if then == "up":
        up = person.run(*words, timeout=UP_S)
        assert "was cut off: removing what was made" in up.told() and "passed over: " in up.told()
        assert [row[0] for row in table(up)] == [f"gcp/{CENTRAL[0]}", f"gcp/{CENTRAL[1]}", "azure/eastus"]
        assert len(person.manager.machines) == 2 and person.google.left() == [] and journal(person) is None
        return
    if then == "down":
        person.run("down", "-c", person.stack, "-y", timeout=UP_S)
        assert journal(person) is None
    else:
        person.pulumi("destroy", "--yes", "--skip-preview")
    nothing_is_left(person)
    assert [each["status"] for each in person.json("status", "-c", person.stack)["clusters"]] == ["DOWN"]


def second(person: Traveller) -> Any:
    """Whether machines of the second zone are being made."""
    return lambda: any(f"zones/{CENTRAL[1]}/instances/" in each for each in person.google.left())


def removing(person: Traveller) -> Any:
    """Whether the first attempt has been refused and is being removed."""

    def begun() -> bool:
        attempts = (journal(person) or {"attempts": []})["attempts"]
        deleted = [call for call in person.asked() if call["op"] == "delete"]
        return [each["outcome"] for each in attempts] == ["refused"] and bool(deleted)

    return begun


def nothing_is_left(person: Traveller) -> None:
    """On either cloud."""
    assert person.google.left() == [] and person.google.machines == {}
    assert person.on_azure() == [] and person.manager.machines == {}
