"""Removing what is left of a node."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from skyrig.fleet.local.files import remove_tree


def test_two_may_remove_a_node_at_once_and_there_need_be_none(tmp_path: Path) -> None:
    """As a `down` and the controller's own may, of which one goes on when its client is killed."""
    for inner in (tmp_path / "node" / f"{a}/{b}" for a in range(20) for b in range(20)):
        inner.mkdir(parents=True)
        (inner / "file").touch()
    (tmp_path / "node" / "0").chmod(0)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(remove_tree, tmp_path / "node") for _ in range(4)]:
            done.result()
    assert not (tmp_path / "node").exists()
    remove_tree(tmp_path / "node")
