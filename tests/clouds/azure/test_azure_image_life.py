"""The life of a machine image on Azure: the real engine and SDK, and a Resource Manager on loopback."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure_stack import ACCOUNT, fill, home, machine
from manager import Manager, serve
from test_azure_life import AzureUser

sys.path.insert(0, str(Path(__file__).parents[1] / "images"))
import image_world
from image_world import NAME

pytestmark = [pytest.mark.e2e, pytest.mark.soak]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Manager]:
    """Resource Manager with one subscription."""
    found = Manager(subscriptions={ACCOUNT})
    found.said[f"/subscriptions/{ACCOUNT}"] = {"displayName": "lab", "state": "Enabled"}
    server = serve(found)
    yield found
    server.shutdown()
    server.server_close()


def test_a_version_outlives_its_machine_gets_a_region_and_leaves_nothing(cloud: Manager, tmp_path: Path) -> None:
    person = AzureUser(tmp_path, f"img{time.monotonic_ns() % 100000}", cloud)
    fill(cloud, "bld", "n0")
    source = {"id": machine("bld", "n0"), "size_gb": 100, "facts": [["arch", "x86_64"], ["generation", "V2"]]}
    wanted = {"name": NAME, "cloud": "azure", "region": "eastus", "account": ACCOUNT, "digest": "d1"}
    made = image_world.call(person, "make", **wanted, made_of=source)
    cloud.drop(home("bld"))
    version = made["ids"]["eastus"]
    assert version.startswith(f"{home('torch-image')}/providers/Microsoft.Compute/galleries/skyrig_torch_image/images/")
    assert version.lower() in cloud.things
    image_world.nothing_changes(person)
    copied = image_world.call(person, "copy", name=NAME, region="westeurope")
    assert copied["ids"] == {"eastus": version, "westeurope": version}
    image_world.nothing_changes(person)
    image_world.call(person, "delete", name=NAME)
    assert [path for path in cloud.things if "torch" in path] == []
