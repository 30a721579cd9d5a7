"""The life of a machine image on Google Cloud: the real engine and SDK, and a cloud on loopback."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gcp_account import GcpUser
from google_cloud import PROJECT, GoogleCloud

sys.path.insert(0, str(Path(__file__).parents[1] / "images"))
import image_world
from image_world import NAME

pytestmark = [pytest.mark.e2e, pytest.mark.soak]
DISK = "zones/us-central1-a/disks/boot"


@pytest.fixture(scope="module")
def google() -> Iterator[GoogleCloud]:
    with GoogleCloud() as running:
        yield running


def test_an_image_outlives_its_disk_is_there_everywhere_and_leaves_nothing(google: GoogleCloud, tmp_path: Path) -> None:
    person = GcpUser(tmp_path, f"img{time.monotonic_ns() % 100000}", google)
    before, where = google.left(), google.put(DISK, sizeGb="100")
    source = {"id": f"projects/{PROJECT}/{DISK}", "size_gb": 100, "facts": [["arch", "x86_64"]]}
    wanted = {"name": NAME, "cloud": "gcp", "region": "us-central1", "account": PROJECT, "digest": "d1"}
    made = image_world.call(person, "make", **wanted, made_of=source)
    google.end(where)
    [image] = [each for each in google.left() if each not in before]
    assert made["ids"] == {"*": f"projects/{PROJECT}/{image}"} and image.startswith("global/images/torch-image-")
    image_world.nothing_changes(person)
    assert image_world.call(person, "copy", name=NAME, region="europe-west4") == made, "it is there already"
    assert person.json("status")["clusters"] == []
    image_world.call(person, "delete", name=NAME)
    assert google.left() == before
