"""Mounts on their way from a client over a real keeper to two nodes: what travels, what is said, and what arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import evolve
from keeper.keeper_cluster import Following, KeeperCluster

from skyrig.errors import ProtocolMismatch
from skyrig.launch import files
from skyrig.launch.files import Share
from skyrig.launch.job import CONVERTER, JobRequest, Scripts
from skyrig.launch.link import KeeperLink
from skyrig.launch.protocol import LINE_LIMIT, Message, ask

BIG = b"0123456789abcdef" * 40_000


class Line:
    """A link to the keeper's socket that counts what is written to it."""

    takes_mounts = True

    def __init__(self, cluster: KeeperCluster, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.desc = cluster.description()
        self.reader = reader
        self.writer = self
        self.written = 0
        self._writer = writer

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    async def ask(self, message: Message, payload: bytes | None = None) -> Message:
        return (await ask(self.reader, self, message, payload))[0]


class Watched:
    """Hears of a sync."""

    every_s = 1.0

    def __init__(self) -> None:
        self.shares: list[Share] = []

    def begins(self, shares: Any) -> None:
        self.shares = list(shares)

    def moves(self, progress: Any) -> None:
        pass

    def lines(self) -> list[str]:
        return [str(share) for share in self.shares]


class Client:
    """A client of a keeper, with a folder of its own; `written` is what its last sync put on the wire, in bytes."""

    def __init__(self, cluster: KeeperCluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.watched = Watched()
        self.notes: list[str] = []
        self.written = 0

    def bring(self, mounts: Mapping[str, str | None], workdir: str | None = None, **more: Any) -> JobRequest:
        sources = {target: self.folder / name if name else None for target, name in mounts.items()}
        request = JobRequest("job", 2, Scripts({"run.sh": "true"}), cpus=0.25, **more)

        async def bring(line: Line) -> JobRequest:
            return await files.bring(
                cast(KeeperLink, line),
                request,
                workdir=self.folder / workdir if workdir else None,
                mounts=sources,
                notify=self.notes.append,
                watcher=self.watched,
            )

        return asyncio.run(self._with(bring))

    async def _with(self, work: Callable[[Line], Awaitable[JobRequest]]) -> JobRequest:
        reader, writer = await asyncio.open_unix_connection(self.cluster.socket, limit=LINE_LIMIT)
        line = Line(self.cluster, reader, writer)
        done = await work(line)
        self.written = line.written
        writer.close()
        return done

    def run(self, request: JobRequest, script: str = "true") -> tuple[dict[str, Any], dict[int, bytes]]:
        """Submit it with another script; its last record, and the output of each rank."""
        request = evolve(request, run=Scripts({"run.sh": script}))
        record = self.cluster.ask(op="submit", request=CONVERTER.unstructure(request))["record"]
        following = Following(self.cluster, record["id"])
        following.join(60)
        return following.record, following.outputs()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeeperCluster]:
    made = KeeperCluster(tmp_path_factory.mktemp("c"), 2)
    yield made
    made.close()


@pytest.fixture
def client(cluster: KeeperCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """One with nothing in its folder yet."""
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "skyrig"))
    (tmp_path / "src").mkdir()
    return Client(cluster, tmp_path / "src")


def fill(folder: Path, tree: Mapping[str, bytes]) -> None:
    for name, data in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_the_wire_carries_each_byte_once_and_then_what_changed(client: Client) -> None:
    fill(client.folder, {"w/big": BIG, "w/x": b"x", "d/big": BIG, "d/y": b"y", "one": BIG})
    mounts = {"~/w1/d": "d", "~/w1/d2": "d", "~/w1/one": "one"}
    first = client.bring(mounts, workdir="w")
    assert len(BIG) < client.written < len(BIG) + 5000
    assert client.watched.lines() == [
        "files: 2 of 2 changed, 640.0 kB",
        "files of ~/w1/d: 2 of 2 changed, 640.0 kB",
        "files of ~/w1/d2: 2 of 2 changed, 640.0 kB",
        "files of ~/w1/one: 1 of 1 changed, 640.0 kB",
    ]
    assert [share.own for share in client.watched.shares] == [len(BIG) + 1, 1, 0, 0]
    assert [(mount.target, mount.is_file) for mount in first.mounts] == [
        ("~/w1/d", False),
        ("~/w1/d2", False),
        ("~/w1/one", True),
    ]
    assert client.bring(mounts, workdir="w").mounts == first.mounts
    assert client.written < 5000
    assert {line.partition(": ")[2] for line in client.watched.lines()} == {"nothing changed"}
    fill(client.folder, {"d/y": b"another"})
    client.bring(mounts, workdir="w")
    assert client.watched.lines()[:2] == ["files: nothing changed", "files of ~/w1/d: 1 of 2 changed, 7 B"]
    fill(client.folder, {"d/y": b"y"})
    client.bring(mounts, workdir="w")
    assert client.watched.lines()[1] == "files of ~/w1/d: nothing to send, the cluster has the contents"


def test_files_arrive_and_what_jobs_did_to_them_is_undone(client: Client) -> None:
    fill(client.folder, {"d/sub/a": b"a\n", "d/b": b"b\n", "d/gone": b"gone\n", "d/theirs": b"-\n", "one": b"one\n"})
    (client.folder / "d" / "b").chmod(0o755)
    (client.folder / "d" / "link").symlink_to("sub/a")
    (client.folder / "here").symlink_to("one")
    mounts = {"~/w2/d": "d", "~/w2/deep/one": "here", "~/w2/empty": None}
    look = "cd ~/w2; cat d/link deep/one; stat -c '%a %F %n' d/b d/link deep/one empty; ls d; "
    record, said = client.run(client.bring(mounts), look + "echo mine >d/theirs; echo mine >d/b; echo new >d/new")
    assert record["status"] == "SUCCEEDED"
    there = b"a\none\n755 regular file d/b\n777 symbolic link d/link\n644 regular file deep/one\n755 directory empty\n"
    assert said == dict.fromkeys((0, 1), there + b"b\ngone\nlink\nsub\ntheirs\n")
    (client.folder / "d" / "gone").unlink()
    (client.folder / "d" / "theirs").unlink()
    _, said = client.run(client.bring(mounts), look + "cat d/b")
    assert said == dict.fromkeys((0, 1), there + b"b\nlink\nnew\nsub\ntheirs\nb\n")


def test_a_mount_inside_the_workdir_and_one_over_it(client: Client) -> None:
    fill(client.folder, {"w/data/x": b"of the workdir\n", "w/train": b"t\n", "d/x": b"of the mount\n", "e/y": b"y\n"})
    mounts = {"~/sky_workdir/data": "d", "~/sky_workdir/data/e": "e"}
    look = "cd ~/sky_workdir; cat data/x; find . -type f | sort"
    found = b"of the mount\n./data/e/y\n./data/x\n./train\n"
    for _ in range(2):
        assert client.run(client.bring(mounts, workdir="w"), look)[1] == dict.fromkeys((0, 1), found)
    assert client.run(client.bring({}, workdir="w"), look)[1][0] == found.replace(b"of the mount", b"of the workdir")
    assert client.run(client.bring(mounts, workdir="w"), look)[1] == dict.fromkeys((0, 1), found)


def test_what_a_workdir_lets_go_to_a_mount_stays(client: Client) -> None:
    """The same file by workdir alone, then by a mount too: the workdir's sync no longer wants it, and leaves it."""
    fill(client.folder, {"w/shared/x": b"the same\n", "w/shared/old": b"old\n"})
    mounts = {"~/sky_workdir/shared": "w/shared"}
    look = "cat ~/sky_workdir/shared/*"
    for given in (mounts, {}, mounts, mounts, {}):
        assert client.run(client.bring(given, workdir="w"), look)[1] == dict.fromkeys((0, 1), b"old\nthe same\n")


def test_ignored_files_stay_here_and_all_of_it_ignored_is_said(client: Client) -> None:
    fill(
        client.folder, {"d/.gitignore": b"*.ckpt\n", "d/a": b"a", "d/a.ckpt": b"c", "s/.skyignore": b"*\n", "s/a": b""}
    )
    client.bring({"~/w3/d": "d", "~/w3/s": "s"})
    assert [share.of_files for share in client.watched.shares] == [2]
    assert len(client.notes) == 1
    assert "file_mounts.~/w3/s: all of" in client.notes[0]


def test_setup_runs_again_for_what_it_uses(client: Client) -> None:
    fill(client.folder, {"w/train.py": b"1", "w/requirements.txt": b"torch\n", "d/a": b"a"})
    setup = Scripts({"setup.sh": "bash $SKYRIG_RANK_DIR/user.sh", "user.sh": "cat requirements.txt"}, entry="setup.sh")

    def notes(**more: Any) -> list[str]:
        request = client.bring({"~/w4/d": "d"}, workdir="w", setup=setup, **more)
        record = client.cluster.ask(op="submit", request=CONVERTER.unstructure(request))["record"]
        following = Following(client.cluster, record["id"])
        following.join(60)
        assert following.record["status"] == "SUCCEEDED"
        return [line for line in following.kept.decode().splitlines() if "setup" in line.partition("|")[2][:6]]

    skipped = "setup skipped on n0, n1: nothing changed (--force-setup runs it)"
    assert notes() == []
    fill(client.folder, {"w/train.py": b"2"})
    assert [line.partition("|")[2] for line in notes()] == [skipped]
    fill(client.folder, {"w/requirements.txt": b"numpy\n", "d/a": b"b"})
    why = "setup runs again on n0, n1: requirements.txt changed, ~/w4/d changed"
    assert [line.partition("|")[2] for line in notes()] == [why]
    assert [line.partition("|")[2] for line in notes(env={"SKYPILOT_TASK_ID": "mine"})] == [skipped]


def test_a_setup_that_patches_what_was_brought_is_not_skipped(client: Client) -> None:
    fill(client.folder, {"w/config": b"plain\n"})
    patching = "echo patched >~/sky_workdir/config"
    setup = Scripts({"setup.sh": "bash $SKYRIG_RANK_DIR/user.sh", "user.sh": patching}, entry="setup.sh")
    for _ in range(2):
        request = client.bring({}, workdir="w", setup=setup)
        _, said = client.run(request, "cat ~/sky_workdir/config")
        assert [said[rank] for rank in (0, 1)] == [b"patched\n"] * 2


def test_a_place_that_cannot_be_written_fails_before_setup(client: Client) -> None:
    fill(client.folder, {"one": b"1"})
    client.run(client.bring({"~/w5": "one"}))
    record, _ = client.run(client.bring({"~/w5/x": "one"}))
    assert record["status"] == "FAILED_SETUP"
    assert "could not take the files: ~/w5/x cannot be written: " in record["reason"]
    assert "\n" not in record["reason"]


def test_many_nodes_by_the_same_spread(client: Client) -> None:
    """Every node of the cluster has the mounts, also those that the job is not placed on."""
    fill(client.folder, {"d/a": b"a"})
    request = evolve(client.bring({"~/w6/d": "d"}), num_nodes=1)
    client.run(request)
    assert all((node.home / "w6/d/a").read_bytes() == b"a" for node in client.cluster.nodes)


def test_an_older_keeper_is_told_by_what_it_says(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(client.folder, {"d/a": b"a"})
    monkeypatch.setattr(Line, "takes_mounts", False)
    assert client.bring({}, workdir="d").manifest
    with pytest.raises(ProtocolMismatch, match="knows no file_mounts"):
        client.bring({"~/w7": "d"})
    hello = client.cluster.ask(op="hello", digest="")
    assert hello["mounts"] is True


def test_the_request_of_an_older_client_has_no_mounts(cluster: KeeperCluster) -> None:
    data = cluster.request("true")
    del data["mounts"]
    record = cluster.ask(op="submit", request=data)["record"]
    assert cluster.ended(record["id"])["status"] == "SUCCEEDED"
    assert CONVERTER.structure(data, JobRequest).mounts == ()
