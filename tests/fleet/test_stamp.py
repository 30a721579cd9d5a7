"""The stamp of a workdir: it holds as long as nobody changed what was brought, and no longer."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve
from fleet_servers import Keys, Serve, free_port
from fleet_trees import ODD_NAMES, Bench, Thing, Tree, file

from skyrig.errors import NodeLost
from skyrig.fleet.place import Place
from skyrig.fleet.pool import Pool
from skyrig.fleet.spread import Load, Means, spread, standing
from skyrig.fleet.stamp import Stamp
from skyrig.fleet.target import Target

TREE: Tree = {name: file(os.fsencode(name)) for name in ODD_NAMES} | {
    "a": file(b"one"),
    "b": file(b"b"),
    "d": Thing(),
    "d/e": Thing(),
    "d/e/f": file(b"f", 0o755),
    "l": Thing(0, link="a"),
}


def holds(bench: Bench, tree: Tree = TREE) -> bool:
    """Whether the stamp says that `tree` stands."""
    return Stamp(str(bench.state)).holds(bench.manifest(tree).digest, str(bench.target))


def test_what_was_brought_stands_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert not holds(bench)
    bench.bring(TREE)
    assert holds(bench)
    assert not holds(bench, TREE | {"a": file(b"two")})
    (bench.target / "d" / "of a job").write_text("beside ours")
    assert holds(bench)


def _same_length_and_times(root: Path) -> None:
    found = (root / "a").stat()
    (root / "a").write_bytes(b"two")
    os.utime(root / "a", ns=(found.st_atime_ns, found.st_mtime_ns))


def _another_file(root: Path) -> None:
    (root / "x").write_bytes(b"one")
    (root / "x").replace(root / "a")


def _folder_behind_a_link(root: Path) -> None:
    (root / "d").rename(root / "elsewhere")
    (root / "d").symlink_to("elsewhere")


def _another_link(root: Path) -> None:
    (root / "l").unlink()
    (root / "l").symlink_to("b")


CHANGES: dict[str, Callable[[Path], object]] = {
    "same length and times": _same_length_and_times,
    "another file": _another_file,
    "gone": lambda root: (root / "b").unlink(),
    "mode of a file": lambda root: (root / "b").chmod(0o600),
    "mode of a folder": lambda root: (root / "d").chmod(0o700),
    "folder behind a link": _folder_behind_a_link,
    "another link": _another_link,
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_it_ends_that_and_is_put_right(tmp_path: Path, change: str) -> None:
    bench = Bench(tmp_path)
    bench.bring(TREE)
    CHANGES[change](bench.target)
    assert not holds(bench)
    bench.bring(TREE)
    assert {name: thing for name, thing in bench.there().items() if not name.startswith("elsewhere")} == TREE
    deadline = time.monotonic() + 10
    while not holds(bench) and time.monotonic() < deadline:  # times that were too young are learnt by a later run
        bench.bring(TREE)
    assert holds(bench)


def test_a_workdir_on_its_way_to_another_one_does_not_stand(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.bring(TREE)
    (bench.target / "in the way").mkdir()
    (bench.target / "in the way" / "foreign").touch()
    with pytest.raises(Exception, match="a folder with files on the node"):
        bench.bring(TREE | {"added": file(b"x"), "in the way": file(b"y")})
    assert not holds(bench), "`added` is there, and does not belong to it"


def test_nodes_are_asked_and_none_is_trusted(serve: Serve, keys: Keys, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serve() as target, Pool(keys.credentials, deadline_s=2) as pool:
            bench = Bench(tmp_path)
            manifest = bench.manifest(TREE)
            place, other = (
                Place(f"{tmp_path}/n/{name}", f"{tmp_path}/n/{name}.json", name == "f") for name in ("w", "f")
            )
            single = bench.manifest({"f": file(b"one file")})
            loads = [Load(manifest, place), Load(single, other)]
            await spread(pool, [target], bench.store, loads, python="python3", means=Means(f"{tmp_path}/n/incoming"))

            async def stand(digest: str, python: str = "python3", *more: Target) -> list[bool]:
                brought = [(digest, place), (single.digest, other)]
                return (await standing(pool, [target, *more], brought, python=python))[target.id]

            assert await stand(manifest.digest) == [True, True]
            assert await stand(bench.manifest({}).digest) == [False, True]
            assert await stand(manifest.digest, "no-such-python") == [False, False]
            with pytest.raises(NodeLost):
                await stand(manifest.digest, "python3", evolve(target, id="closed", port=free_port()))
            (tmp_path / "n" / "w" / "a").write_bytes(b"two")
            assert await stand(manifest.digest) == [False, True]

    asyncio.run(asyncio.wait_for(scenario(), 60))
