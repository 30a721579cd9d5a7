"""A plan for a cloud and what an up then does: the real engine and SDK, with Google Cloud on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from two_clouds import GOOGLE, UP_S, Traveller, travelling

pytestmark = [pytest.mark.e2e, pytest.mark.soak]


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Traveller]:
    with travelling(tmp_path) as found:
        yield found


def test_an_up_does_what_its_plan_said_and_the_plan_did_nothing(person: Traveller, tmp_path: Path) -> None:
    task, kept = tmp_path / "task.yaml", tmp_path / "kept.plan"
    task.write_text(yaml.safe_dump({"num_nodes": 2, "resources": GOOGLE, "run": "hostname"}))
    said = person.run("plan", str(task), "-c", person.stack, "--save", str(kept), "--json", timeout=UP_S)
    plan = json.loads(said.out)
    assert plan["changes"]["source"] == "engine" and plan["offer"]["usable"], said.told()
    assert plan["offer"]["zone"] == "us-central1-a" and plan["ssh_from"] == ["203.0.113.7/32"]
    assert person.asked() == [] and not (person.home / "state").exists()
    assert not (person.clone / "stacks" / f"Pulumi.{person.stack}.yaml").exists()

    up = person.run("up", "--plan", str(kept), "-y", timeout=UP_S)
    made = {(call["type"], call["name"]) for call in person.asked() if call["op"] == "create"}
    wanted = {(each["type"], each["name"]) for each in plan["changes"]["resources"] if each["does"] == "create"}
    assert made == {each for each in wanted if not each[0].startswith("pulumi-python:dynamic/")}, up.told()
    assert f"{person.stack}: {len(wanted)} made" in up.told()
