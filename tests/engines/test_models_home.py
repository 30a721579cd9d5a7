"""Models that training has made, brought home from real nodes over SSH."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve
from keeper_cluster import KeeperCluster

from skyrig import models, places
from skyrig.cluster.description import ClusterDescription, SshAccess
from skyrig.launch import records
from skyrig.launch.job import JobRecord, JobStatus
from skyrig.models import Found


class Trained:
    """A cluster whose job 1 ended well with rank 0 on its second node, and what was said of its models."""

    def __init__(self, cluster: KeeperCluster) -> None:
        self.cluster = cluster
        key = (cluster.folder / "client").read_text()
        self.description = evolve(cluster.description(), ssh=SshAccess("", key))
        self.folder = cluster.nodes[1].home / "sky_models"
        self.lines: list[str] = []
        self.ended(1, "n1")

    def ended(self, number: int, node: str, status: JobStatus = JobStatus.SUCCEEDED) -> None:
        """A job ended."""
        job = places.made(self.cluster.records / str(number))
        records.write(job, JobRecord(number, f"u{number}", "train", status, 1, 1.0, nodes=(node,)))

    def made(self, name: str, text: str, at: int) -> None:
        """A model was made at a moment."""
        for file, content in (("config.json", "{}"), ("deep/weights", text)):
            path = self.folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
            os.utime(path, (at, at))

    def newest(self, cluster: ClusterDescription | None = None) -> Path | None:
        """What `serve` would take."""
        return models.newest("c", self.lines.append, cluster or self.description)

    def here(self) -> list[str]:
        """All that lies in the folder of models, but its lock."""
        return sorted(each.name for each in places.models("c").iterdir() if each.name != ".lock")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeeperCluster]:
    """The nodes of this file's tests."""
    made = KeeperCluster(tmp_path_factory.mktemp("c"), 2)
    yield made
    made.close()


@pytest.fixture
def trained(cluster: KeeperCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "skyrig"))
    for node in cluster.nodes:
        if (node.home / "sky_models").exists():
            (node.home / "sky_models").rename(tmp_path / node.home.name)
    return Trained(cluster)


def test_the_newest_model_comes_home_and_comes_once(trained: Trained) -> None:
    trained.made("first", "one", 1000)
    trained.made("second", "two", 2000)
    (trained.folder / ".half.123").mkdir()
    (trained.folder / "no model").mkdir()
    found = trained.newest()
    assert found is not None and found.name == "second"
    assert (found / "config.json").read_text() == "{}"
    assert (found / "deep" / "weights").read_text() == "two"
    assert len(trained.lines) == 2
    assert trained.newest() == found
    assert len(trained.lines) == 2, "what is here is not brought again"
    trained.made("first", "three", 3000)
    newer = trained.newest()
    assert newer is not None and (newer.name, (newer / "deep" / "weights").read_text()) == ("first", "three")
    assert found.exists(), "a service that was made of it may be made anew"


def test_only_the_newest_few_stay(trained: Trained) -> None:
    for number in range(models.KEPT + 2):
        trained.made("m", str(number), 1000 + number)
        trained.newest()
    assert len(trained.here()) == models.KEPT
    found = trained.newest()
    assert found is not None and (found / "deep" / "weights").read_text() == str(models.KEPT + 1)


def test_without_jobs_that_ended_well_no_node_is_asked(trained: Trained) -> None:
    trained.made("m", "x", 1000)
    trained.ended(1, "n1", JobStatus.FAILED)
    assert trained.newest() is None
    trained.ended(2, "n0")
    assert trained.newest() is None, "rank 0 was on another node"
    trained.ended(3, "n1")
    assert trained.newest() is not None


def test_a_cluster_that_does_not_answer_leaves_what_is_here(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    trained.made("m", "x", 1000)
    found = trained.newest()
    monkeypatch.setattr(models, "_PATIENCE_S", 0.3)
    away = tuple(evolve(node, port=1) for node in trained.description.nodes)
    assert trained.newest(evolve(trained.description, nodes=away)) == found is not None
    assert "newest model that is here" in trained.lines[-1]
    assert models.newest("c", trained.lines.append) == found, "a cluster that is gone"


def test_a_large_model_stays_where_it_is(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "LARGEST", 100)
    trained.made("m", "x" * 200, 1000)
    assert trained.newest() is None
    assert "serve --model ~/sky_models/m" in trained.lines[-1]
    assert not list(places.models("c").glob("*"))


def test_half_a_copy_never_counts(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    trained.made("m", "x" * 3_000_000, 1000)
    whole = models._unpack

    def cut(archive: Path, folder: Path, model: Found) -> None:
        with archive.open("r+b") as file:
            file.truncate(1_000_000)
        whole(archive, folder, model)

    monkeypatch.setattr(models, "_unpack", cut)
    assert trained.newest() is None
    assert "did not arrive whole" in trained.lines[-1]
    assert trained.here() == []


def test_nothing_lands_outside_the_folder(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("../out", "/tmp/out-of-the-folder", "a/../../out", "inside"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    models._unpack(tmp_path / "a.tar", tmp_path / "to" / "m", Found("m", "a1", 5.0, 1, "n0"))
    assert sorted(each.name for each in (tmp_path / "to").rglob("*")) == [".skyrig.json", "inside", "m"]
    assert not Path("/tmp/out-of-the-folder").exists()


@pytest.mark.parametrize(
    ("name", "mark"), [("..", "a"), ("a/b", "a"), (".x", "a"), ("m", "../a"), ("", "a"), ("m", "")]
)
def test_a_node_is_not_believed_about_names(name: str, mark: str) -> None:
    assert models._place("c", Found(name, mark, 1.0, 1, "n0")) is None
