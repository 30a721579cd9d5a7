"""Machine images on Google Cloud: what is asked beside the engine, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google_cloud import PROJECT, GoogleCloud

from skyrig.clouds import cloud
from skyrig.clouds.gcp import images, session
from skyrig.clouds.gcp.names import cluster_name, labels
from skyrig.cluster.description import ClusterDescription, Node, SshAccess
from skyrig.cluster.imagery import MadeImage
from skyrig.errors import BadInput

ZONE = "us-central1-a"
NAME = f"{cluster_name('torch-image')}-12345678"


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GoogleCloud]:
    for name in (*session.PROJECT_VARIABLES, *session.KEY_VARIABLES, "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    with GoogleCloud() as running:
        for name, value in running.env.items():
            monkeypatch.setenv(name, value)
        yield running


def builder(google: GoogleCloud, status: str) -> ClusterDescription:
    """A cluster of one machine that is in a state."""
    disk = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}/zones/{ZONE}/disks/boot"
    google.put(
        f"zones/{ZONE}/instances/{cluster_name('bld')}-n0-v1",
        id="77",
        status=status,
        labels=labels({"skyrig-stack": "bld", "skyrig-node": "n0"}),
        disks=[{"boot": False, "source": "x"}, {"boot": True, "source": disk}],
    )
    google.put(f"zones/{ZONE}/disks/boot", sizeGb="256", architecture="ARM64")
    node = Node(id="n0", rank=0, host="h", port=22, address="h", user="u", host_key="k", incarnation="77")
    return ClusterDescription("bld", "gcp", (node,), SshAccess("k"), "file:///r", region="us-central1")


def test_an_image_is_made_of_the_disk_of_a_stopped_machine(google: GoogleCloud) -> None:
    with pytest.raises(BadInput, match="machine 77 is running"):
        images.source(builder(google, "RUNNING"), PROJECT)
    found = images.source(builder(google, "TERMINATED"), PROJECT)
    assert found.id == f"projects/{PROJECT}/zones/{ZONE}/disks/boot"
    assert (found.size_gb, dict(found.facts)) == (256, {"arch": "arm64"})


def test_it_is_there_in_every_region_or_in_none(google: GoogleCloud) -> None:
    made = MadeImage("torch", "gcp", {"*": f"projects/{PROJECT}/global/images/{NAME}"}, account=PROJECT, size_gb=100)
    assert not images.is_there(made, "europe-west4")
    google.put(f"global/images/{NAME}", status="PENDING")
    assert not images.is_there(made, "europe-west4")
    google.put(f"global/images/{NAME}", status="READY")
    assert images.is_there(made, "europe-west4") and images.is_there(made, "us-central1")
    assert images.monthly(made) == pytest.approx(5.0)


def test_what_is_left_of_one_is_named_with_its_price_and_goes(google: GoogleCloud) -> None:
    tags = {"skyrig-stack": "torch-image", "skyrig-owner": "ada"}
    google.put(f"global/images/{NAME}", status="READY", labels=labels(tags), archiveSizeBytes=str(10 * 2**30))
    gcp, wanted = cloud.of("gcp"), {"name": NAME, "labels": labels(tags)}
    assert gcp.find("gcp:compute/image:Image", wanted, "us-central1") == f"projects/{PROJECT}/global/images/{NAME}"
    [left] = gcp.leftovers("torch-image", "us-central1")
    assert (left.kind, left.hourly, left.owner) == ("image", pytest.approx(10 * 0.05 / 730), "ada")
    gcp.remove("torch-image", "us-central1", [left])
    assert gcp.leftovers("torch-image", "us-central1") == []
