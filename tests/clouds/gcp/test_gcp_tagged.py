"""What a project of Google Cloud is found to have with nothing known of any stack: real HTTP, a server in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google_cloud import PROJECT, GoogleCloud

from skyrig.clouds import cloud
from skyrig.clouds.cloud import TaggedStack
from skyrig.clouds.gcp import session
from skyrig.clouds.gcp.names import account_email, cluster_name, described, labels, role_id
from skyrig.cluster import owner
from skyrig.errors import SkyrigError
from skyrig.recovery import reclaiming, tagged

REGION, ZONE = "us-central1", "us-central1-a"


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[GoogleCloud]:
    for name in (*session.PROJECT_VARIABLES, *session.KEY_VARIABLES, "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    with GoogleCloud() as running:
        for name, value in running.env.items():
            monkeypatch.setenv(name, value)
        yield running


def fill(google: GoogleCloud, stack: str, whose: str) -> str:
    """A cluster of one node with its network, firewall, router, role and account; the beginning of their names."""
    name, said = cluster_name(stack), labels({"skyrig-stack": stack, "skyrig-owner": whose})
    here: dict[str, Any] = {"region": f"https://x/regions/{REGION}"}
    made = "2026-11-20T10:00:00.000-07:00"
    google.put(f"zones/{ZONE}/instances/{name}-n0-v1", id="1", status="RUNNING", labels=said, creationTimestamp=made,
               machineType="https://x/machineTypes/g2-standard-4")  # fmt: skip
    google.put(f"regions/{REGION}/addresses/{name}-head", labels=said, users=["x"], **here)
    google.put(f"regions/{REGION}/routers/{name}-router", description=described(said), nats=[{"name": "x"}], **here)
    google.put(f"global/networks/{name}-main", description=described(said))
    google.put(f"global/firewalls/{name}-ssh", description=described(said))
    google.put(f"roles/{role_id(name)}", "iam", title=f"Ends machines of {name}")
    google.put(f"serviceAccounts/{account_email(name, PROJECT)}", "iam", displayName=f"Nodes of {name}")
    return name


def test_things_are_told_stack_by_stack(google: GoogleCloud) -> None:
    fill(google, "dev", "ada@lab")
    odd = fill(google, "My.Cluster", "bob@lab")
    google.put(f"zones/{ZONE}/instances/theirs-123abc-n0", status="RUNNING", labels={"team": "x"}, id="9",
               machineType="https://x/machineTypes/g2-standard-4")  # fmt: skip
    google.things["storage/b/kept-1"] = {"name": "kept-1", "labels": labels({"skyrig-stack": "dev"})}
    found = {each.stack: each for each in cloud.of("gcp").tagged(None).stacks}
    assert set(found) == {"dev", odd}  # a label does not say what the stack is called in full
    dev = found["dev"]
    kinds = ["instance", "NAT gateway", "address", "firewall rule", "network", "custom role", "service account"]
    assert [each.kind for each in dev.left] == kinds
    assert (dev.region, dev.owner, dev.account, dev.machines) == (REGION, "ada_lab", PROJECT, 1)
    assert dev.since == 1795194000.0 and dev.hourly > 0 and dev.kept == ("gs://kept-1",)
    assert cloud.of("gcp").tagged("europe-west4").stacks == ()


def test_what_was_named_goes_with_all_that_hangs_on_it(google: GoogleCloud) -> None:
    fill(google, "My.Cluster", owner.here())
    fill(google, "dev", "bob@lab")
    found = tagged.find("gcp", ["My.Cluster"], print)
    assert {each.seen.stack: each.state for each in found} == {"My.Cluster": "lost", "dev": "theirs"}
    reclaiming.reclaim(reclaiming.chosen(found, None), print, lambda question: True)
    left = [each for each in google.left() if cluster_name("dev") not in each and "skyrig_dev" not in each]
    assert left == []
    assert [each.stack for each in cloud.of("gcp").tagged(None).stacks] == ["dev"]


def test_what_does_not_answer_is_told_and_not_taken_for_gone(google: GoogleCloud) -> None:
    fill(google, "dev", owner.here())
    google.silent = {ZONE}
    told = cloud.of("gcp").tagged(None)
    assert any(f"instances of zones/{ZONE} cannot be listed now" in each for each in told.unseen)
    assert [each.machines for each in told.stacks] == [0]
    with pytest.raises(SkyrigError, match="cannot be listed now"):
        cloud.of("gcp").tagged(REGION)


def test_owners_of_one_name_are_told_apart() -> None:
    left = (cloud.Leftover("instance", "a", owner="ada"), cloud.Leftover("instance", "b", owner="bob"),
            cloud.Leftover("network", "c"))  # fmt: skip
    seen = TaggedStack("dev", "gcp", REGION, left=left, kept=("gs://x",))
    apart = {each.owner: ([one.id for one in each.left], each.kept) for each in cloud.by_owner(seen)}
    assert apart == {"ada": (["a"], ()), "bob": (["b"], ()), "": (["c"], ("gs://x",))}
