"""Keepers of other versions: an older one is replaced without ending jobs, a newer one is worked with."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from attrs import evolve
from foreign_jobs import COUNTING, Followed, counted, follow, request, until
from foreign_nodes import ROOT, Lab

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import ProtocolMismatch
from skyrig.launch import client, protocol
from skyrig.launch.link import keeper
from skyrig.launch.runtime import code

MakeLab = Callable[..., Lab]
As = Callable[..., object]


class Version:
    """Skyrig as another version of it: `release`, with `note` in its code."""

    def __init__(self, folder: Path, release: str, note: str) -> None:
        self.release = release
        self.package = folder / "skyrig"
        shutil.copytree(ROOT / "skyrig", self.package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "templates" / "serve", folder / "templates" / "serve")
        with (self.package / "errors.py").open("a") as file:
            file.write(f"\n# {note}\n")
        init = self.package / "__init__.py"
        init.write_text(init.read_text().replace(f'"{code.RELEASE}"', f'"{release}"'))
        self.build = code.digest(code.files(self.package))

    @contextmanager
    def used(self) -> Iterator[None]:
        """This process is a client of that version."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(code, "files", partial(code.files, self.package))
            patch.setattr(code, "build", lambda: self.build)
            patch.setattr(code, "RELEASE", self.release)
            yield


async def running(desc: ClusterDescription, said: list[str]) -> tuple[str, str]:
    """Release and build of the keeper that this client meets."""
    async with keeper(desc, prepare=True, notify=said.append) as link:
        hello = await link.hello()
        return hello["release"], hello["build"]


def test_a_newer_client_replaces_the_keeper_while_a_job_runs_and_an_older_one_does_not(
    lab_of: MakeLab, tmp_path: Path
) -> None:
    lab = lab_of(seed=True)
    desc = lab.description("upgrade")
    old, this = Version(tmp_path / "old", "0.0.9", "of old"), (code.RELEASE, code.build())
    seen, said = Followed(), list[str]()

    async def scenario() -> None:
        with old.used():
            job = asyncio.create_task(follow(desc, request(COUNTING.format(count=100, pause=0.05), 1), seen=seen))
            await until(lambda: b"line 9 of 0" in seen.out.getvalue())
            assert await running(desc, said) == ("0.0.9", old.build)
        before = lab.head.pids("launch.keeper serve")
        assert await running(desc, said) == this
        assert lab.head.pids("launch.keeper serve") != before
        await job
        with old.used():
            said.append("an older client")
            assert await running(desc, said) == this
            assert len(await client.queue(desc)) == 1

    asyncio.run(scenario())
    assert (seen.code, sorted(seen.lines)) == (0, counted(100, 1))
    said = [line for line in said if " kB of " not in line]  # progress, which a slow machine adds
    assert said[0] == "the keeper on n0 is of an older Skyrig; it is replaced, jobs go on"
    assert "kB" in said[1], "only our own code was sent"
    assert said[2:] == ["an older client"]
    kept = sorted(path.name for path in lab.head.path(".skyrig/layers").iterdir() if path.is_dir())
    assert len(kept) <= 4, "the interpreter, the packages, this code, and at most the code before it"


def test_of_two_builds_of_one_release_the_later_one_stays(lab_of: MakeLab, tmp_path: Path) -> None:
    lab = lab_of(seed=True)
    desc = lab.description("builds")
    first, second = (Version(tmp_path / name, code.RELEASE, name) for name in ("first", "second"))
    third = Version(tmp_path / "third", code.RELEASE, "third")
    said: list[str] = []
    for version, expected in ((first, first), (second, second), (first, second), (third, third), (second, third)):
        with version.used():
            assert asyncio.run(running(desc, said))[1] == expected.build
    with second.used():
        asyncio.run(running(desc, said))
    layers = {path.name for path in lab.head.path(".skyrig/layers").iterdir() if path.is_dir()}
    assert f"skyrig-{code.RELEASE}-{third.build}" in layers
    assert f"skyrig-{code.RELEASE}-{first.build}" not in layers, "what nobody uses is removed"


def test_on_the_local_cloud_a_keeper_older_than_the_code_on_disk_starts_again(lab_of: MakeLab, tmp_path: Path) -> None:
    lab = lab_of(seed=True)
    desc, said, this = lab.description("changed"), list[str](), code.build()
    asyncio.run(running(desc, said))
    local = evolve(desc, isolation="namespaces")
    before = lab.head.pids("launch.keeper serve")
    other = Version(tmp_path / "other", code.RELEASE, "a clone whose code the head does not have")
    with other.used():
        assert asyncio.run(running(local, said)) == (code.RELEASE, this)
        assert lab.head.pids("launch.keeper serve") == before
    lab.head.run('for file in "$HOME"/.skyrig/layers/skyrig-*/skyrig/errors.py; do echo "# changed" >>"$file"; done')
    seen = Followed()

    async def scenario() -> None:
        job = asyncio.create_task(follow(desc, request(COUNTING.format(count=60, pause=0.05), 1), seen=seen))
        await until(lambda: b"line 9 of 0" in seen.out.getvalue())
        with Version(tmp_path / "changed", code.RELEASE, "changed").used():
            _, build = await running(local, said)
            assert build not in (this, other.build)
            await job  # within: this process is one client of one version at a time

    asyncio.run(scenario())
    assert lab.head.pids("launch.keeper serve") != before
    assert (seen.code, sorted(seen.lines)) == (0, counted(60, 1))


def test_another_major_version_is_one_line(lab_of: MakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = lab_of(seed=True)
    desc = lab.description("major")
    asyncio.run(running(desc, []))
    monkeypatch.setattr(protocol, "MAJOR", protocol.MAJOR + 1)
    with pytest.raises(ProtocolMismatch) as caught:
        asyncio.run(client.queue(desc))
    assert "\n" not in str(caught.value) and caught.value.hint


@pytest.mark.parametrize(("away", "fits"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_one_minor_apart_works_both_ways(away: int, fits: bool) -> None:
    if fits:
        protocol.check_version(protocol.MAJOR, protocol.MINOR + away)
    else:
        with pytest.raises(ProtocolMismatch):
            protocol.check_version(protocol.MAJOR, protocol.MINOR + away)
