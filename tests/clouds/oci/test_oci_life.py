"""The life of a cluster on Oracle Cloud by our verbs, as far as tests/conformance does not tell it: the real engine and
SDK, and a cloud on loopback."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from killing import killed_when
from oci_account import START_S, OciUser
from oracle_cloud import ZONES, OracleCloud

pytestmark = [pytest.mark.e2e, pytest.mark.soak]


@pytest.fixture
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciUser]:
    """Somebody in a stack of their own on a cloud of their own."""
    with OracleCloud() as running:
        yield OciUser(tmp_path_factory.mktemp("oci"), f"life{time.monotonic_ns() % 1000000}", running)


def test_it_is_there_and_nothing_changes_where_nothing_was_changed(person: OciUser) -> None:
    refused = person.run(*person.up(2)[:-1], check=2)
    assert "costs money" in refused.told() and person.oracle.left() == []
    up = person.run(*person.up(2), timeout=START_S)
    assert f"VM.GPU.A10.1 in {ZONES[0]}, $" in up.told()
    assert sorted(person.oracle.instances(person.stack)) == ["n0", "n1"] and person.oracle.calls == []
    done = person.pulumi("preview", "--expect-no-changes", "--refresh")
    assert done.returncode == 0, done.stdout + done.stderr
    person.run("down", "-y", timeout=START_S)
    assert person.oracle.left() == [] and person.oracle.unsigned == []


def test_a_zone_without_room_for_the_second_is_left_for_the_next_one_whole(person: OciUser) -> None:
    refuses = person.home.parent / "refuses.json"
    refuses.write_text(json.dumps({ZONES[0]: "500-InternalError, Out of host capacity."}))
    person.env["SKYRIG_ECHO_REFUSES"] = str(refuses)
    up = person.run(*person.up(2), timeout=START_S)
    assert "Out of host capacity" in up.told() and f"in {ZONES[1]}" in up.told()
    assert sorted(person.oracle.instances(person.stack)) == ["n0", "n1"]
    person.run("down", "-y", timeout=START_S)
    assert person.oracle.left() == []


def test_an_engine_killed_while_it_makes_or_deletes_leaves_nothing_twice_or_behind(person: OciUser) -> None:
    person.env["ECHO_LATE_S"] = "5"
    killed_when(person, person.up(2), lambda: person.oracle.instances(person.stack))
    del person.env["ECHO_LATE_S"]
    before = dict(person.oracle.instances(person.stack))
    up = person.run("up", "-y", timeout=START_S)
    assert "was being made when an earlier run was cut off" in up.told()
    after = person.oracle.instances(person.stack)
    assert sorted(after) == ["n0", "n1"] and before.items() <= after.items()
    everything = person.oracle.left()
    assert len(everything) == len(set(everything))
    person.run("down", "-y", timeout=START_S)
    assert person.oracle.left() == []


def test_down_names_what_stays_with_its_price(person: OciUser) -> None:
    up = person.run(*person.up(1, "VM.Standard.E4.Flex$_4_16"), timeout=START_S)
    assert "VM.Standard.E4.Flex$_4_16 in" in up.told() and "$0.07" in up.told()
    [instance] = person.oracle.instances(person.stack).values()
    name = person.oracle.things[instance]["displayName"]
    volume = person.oracle.put("/bootVolumes/ocid1.v", displayName=f"{name} (Boot Volume)", sizeInGBs=730, vpusPerGB=10)
    person.oracle.stuck = {volume}
    down = person.run("down", "-y", check=5, timeout=START_S)
    assert f"boot volume {volume} ($0.0425/h)" in down.told()
    person.oracle.stuck = set()
    person.run("down", "-y", timeout=START_S)
    assert person.oracle.left() == []
