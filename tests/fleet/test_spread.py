"""From the head to other nodes: real SSH, a bare Python there, the workdir of each exact afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve
from fleet_servers import Keys, Serve, free_port
from fleet_trees import ODD_NAMES, Bench, Thing, Tree, file, read_tree, sha

from skyrig.errors import NodeLost, SkyrigError
from skyrig.fleet.blobs import Changes
from skyrig.fleet.content import Manifest
from skyrig.fleet.fanout import run
from skyrig.fleet.place import Place
from skyrig.fleet.pool import Pool
from skyrig.fleet.spread import Load, Means, SpreadFailed, spread
from skyrig.fleet.target import Target


def oldest_python() -> str:
    """An old Python from 3.8 on where there is one; the receiver promises to run on all of them."""
    installed = sorted(Path.home().glob(".pyenv/versions/3.[89].*/bin/python3"))
    installed += [Path(found) for minor in range(8, 20) if (found := shutil.which(f"python3.{minor}"))]
    for found in installed:
        if subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(found)
    return sys.executable


PYTHON = oldest_python()


class Head:
    """The head's store, and nodes that are folders on one SSH server."""

    def __init__(self, folder: Path, target: Target, pool: Pool) -> None:
        self.bench = Bench(folder)
        self.nodes = folder / "nodes"
        self.target = target
        self.pool = pool

    async def spread(self, tree: Tree, node: str = "n1", python: str = PYTHON) -> Changes | SkyrigError:
        return await self.send(self.bench.manifest(tree), node, python)

    async def send(self, manifest: Manifest, node: str, python: str = PYTHON) -> Changes | SkyrigError:
        home = self.nodes / node
        loads = [Load(manifest, Place(f"{home}/sky_workdir", f"{home}/.skyrig/workdir.json"))]
        target = evolve(self.target, id=node)
        means = Means(f"{home}/.skyrig/incoming")
        return (await spread(self.pool, [target], self.bench.store, loads, python=python, means=means))[node]

    def there(self, node: str = "n1") -> Tree:
        return read_tree(self.nodes / node / "sky_workdir")


def test_a_node_gets_the_workdir_and_then_only_what_changed(serve: Serve, keys: Keys, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            head = Head(tmp_path, target, pool)
            tree: Tree = {name: file(os.fsencode(name)) for name in ODD_NAMES}
            tree |= {"d": Thing(), "d/large": file(os.urandom(900_001)), "d/l": Thing(0, link="../plain.txt")}
            tree |= {".env": file(b"K=1", 0o600), "run.sh": file(b"#!", 0o755), "copy": file(b"plain.txt")}
            assert await head.spread(tree) == Changes(len(tree) - 1, 0, 0)
            assert head.there() == tree
            assert [path for path in (head.nodes / "n1/.skyrig/incoming").rglob("*") if path.is_file()] == []
            assert await head.spread(tree) == Changes(0, 0, len(tree) - 1)
            (head.nodes / "n1/sky_workdir/result").write_bytes(b"of a job")
            del tree["copy"]
            assert await head.spread(tree | {"run.sh": file(b"#!2", 0o755)}) == Changes(1, 1, len(tree) - 2)
            assert head.there() == tree | {"run.sh": file(b"#!2", 0o755), "result": file(b"of a job")}

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_only_missing_contents_travel(serve: Serve, keys: Keys, tmp_path: Path) -> None:
    """A blob that the node does not need may even be gone from the head's store."""

    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            head = Head(tmp_path, target, pool)
            await head.spread({"a": file(b"a"), "b": file(b"b")})
            manifest = head.bench.manifest({"a": file(b"a"), "b": file(b"2")})
            head.bench.store.discard(sha(b"a"))
            assert await head.send(manifest, "n1") == Changes(1, 0, 1)
            (head.nodes / "n1/sky_workdir/a").write_bytes(b"changed by a job")
            refused = await head.send(manifest, "n1")
            assert isinstance(refused, SkyrigError)
            assert "have not arrived" in str(refused)

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_many_nodes_at_once_each_with_its_own_end(serve: Serve, keys: Keys, tmp_path: Path) -> None:
    """One node is dead, one has a folder in the way; the others are not held up by them."""

    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials, deadline_s=0.5) as pool:
            head = Head(tmp_path, target, pool)
            manifest = head.bench.manifest({"a": file(b"a"), "b": file(b"b" * 300_000)})
            (head.nodes / "n2/sky_workdir/a").mkdir(parents=True)
            (head.nodes / "n2/sky_workdir/a/result").touch()
            ends = await asyncio.gather(*(head.send(manifest, f"n{number}") for number in range(4)))
            dead = await spread(
                pool,
                [evolve(target, id="dead", port=free_port()), evolve(target, id="n9")],
                head.bench.store,
                [Load(manifest, Place(f"{head.nodes}/n9/w", f"{head.nodes}/n9/s"))],
                python=PYTHON,
                means=Means(f"{head.nodes}/n9/i"),
            )
            assert [ends[number] for number in (0, 1, 3)] == [Changes(2, 0, 0)] * 3
            assert isinstance(ends[2], SpreadFailed)
            assert "node n2 could not take the files: 'a' is a file here, but a folder" in str(ends[2])
            assert isinstance(dead["dead"], NodeLost)
            assert dead["n9"] == Changes(2, 0, 0)

    asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.parametrize(
    ("python", "reason"),
    [
        ("/no/such/python", "such file|not found"),
        ("~/no python's/x", "such file|not found"),
        ("false", "no reason given"),
    ],
)
def test_a_node_without_python_says_so(serve: Serve, keys: Keys, tmp_path: Path, python: str, reason: str) -> None:
    async def scenario() -> Changes | SkyrigError:
        async with serve() as target, Pool(keys.credentials) as pool:
            return await Head(tmp_path, target, pool).spread({"a": file(b"a" * 3_000_000)}, python=python)

    end = asyncio.run(asyncio.wait_for(scenario(), 30))
    assert isinstance(end, SpreadFailed)
    with pytest.raises(SpreadFailed, match=reason):
        raise end


@pytest.mark.parametrize(
    "said", ['{"missing": ["zz"]}', "{", "[]", '{"changes": [1]}', '{"passed": 1}', '{"child": "n7"}', '{"lost": 1}']
)
def test_a_node_that_speaks_nonsense_fails_alone(asyncssh_serve: Serve, keys: Keys, tmp_path: Path, said: str) -> None:
    async def scenario() -> Changes | SkyrigError:
        async with asyncssh_serve() as target, Pool(keys.credentials) as pool:
            wrapper = tmp_path / "python"
            wrapper.write_text(f"#!/bin/sh\nprintf '%s\\n' 'skyrig-receiver {said}'\ncat >/dev/null\n")
            wrapper.chmod(0o755)
            return await Head(tmp_path, target, pool).spread({"a": file(b"a")}, python=str(wrapper))

    with pytest.raises(SpreadFailed, match="node n1 does not speak as a far end does"):
        raise asyncio.run(asyncio.wait_for(scenario(), 30))  # type: ignore[misc]


def test_noise_of_the_shell_and_home_folders(keys: Keys, serve: Serve, tmp_path: Path) -> None:
    """A node whose shell prints a lot at every login, and the places that are used when none are given."""

    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            head = Head(tmp_path, target, pool)
            home = Path((await run(pool, target, 'printf %s "$HOME"')).stdout.decode())
            wrapper = home / "a python's"
            wrapper.write_text(f'#!/bin/sh\necho "Welcome!"; head -c 5000000 /dev/zero; echo; exec {PYTHON} "$@"\n')
            wrapper.chmod(0o755)
            manifest = head.bench.manifest({"a": file(b"a")})
            ends = await spread(pool, [target], head.bench.store, [Load(manifest)], python="~/a python's")
            assert isinstance(ends[target.id], Changes)
            assert read_tree(home / "sky_workdir") == {"a": file(b"a")}
            assert (home / ".skyrig/workdir.json").exists()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_node_lost_while_it_receives_is_named(serve: Serve, keys: Keys, tmp_path: Path) -> None:
    """The connection is cut in the middle; the next spread finishes the work."""

    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials) as pool:
            head = Head(tmp_path, target, pool)
            tree: Tree = {f"f{number}": file(os.urandom(2_000_000)) for number in range(8)}
            manifest = head.bench.manifest(tree)
            task = asyncio.create_task(head.send(manifest, "n1"))
            incoming = head.nodes / "n1/.skyrig/incoming"
            while not any(incoming.glob("*/*")):  # noqa: ASYNC110 - it is another process that writes
                await asyncio.sleep(0.005)
            await pool.drop("n1")
            lost = await asyncio.wait_for(task, 10)
            assert isinstance(lost, NodeLost)
            assert lost.node_id == "n1"
            assert "lost node n1 while its files were sent" in str(lost)
            assert await head.send(manifest, "n1") == Changes(8, 0, 0)
            assert head.there() == tree

    asyncio.run(asyncio.wait_for(scenario(), 60))
