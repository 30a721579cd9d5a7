"""Local nodes with buckets attached stop and go like any other, and never take a bucket's content with them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mounting_store import Home, Store, until

from skyrig.launch.mounting.mount import mounted

sys.path.insert(0, str(Path(__file__).parents[1] / "local"))
from local_programs import LocalPrograms

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0 or not Path("/dev/fuse").exists(),
    reason="needs Linux, root and /dev/fuse",
)


class PlainNode:
    """A local node of level `plain`."""

    def __init__(self, programs: LocalPrograms) -> None:
        self.programs = programs
        self.state = programs.start("buckets", 0, "plain")
        self.folder = programs.stack("buckets") / "n0"
        self.home = Home.__new__(Home)
        self.home.folder, self.home.shown = self.folder / "home", []
        self.home.env = {
            **os.environ,
            "HOME": str(self.home.folder),
            "SKYRIG_NODE_LOCK": str(self.folder / "alive.lock"),
        }

    def stop(self) -> float:
        """Take it down; how many seconds that took."""
        began = time.monotonic()
        self.programs.run("stop", {"folder": str(self.folder)})
        return time.monotonic() - began


@pytest.fixture
def node(tmp_path: Path) -> Iterator[PlainNode]:
    """A node that runs; nothing of it stays, and nothing stays mounted."""
    made = PlainNode(LocalPrograms(tmp_path))
    yield made
    made.programs.stop_all("buckets")
    assert not [place for place in mounted() if place.startswith(str(tmp_path))]


@pytest.mark.parametrize("trouble", ["none", "killed", "no server"])
@pytest.mark.parametrize("mode", ["MOUNT", "MOUNT_CACHED"])
def test_down_leaves_the_bucket_alone(store: Store, node: PlainNode, mode: str, trouble: str) -> None:
    bucket = store.bucket(f"kept-{mode.lower().replace('_', '-')}-{trouble.replace(' ', '-')}")
    plan = store.mount("~/data", bucket.name, mode)
    place = node.home.attached(store, plan)
    (place / "sub").mkdir()
    (place / "sub" / "f").write_text("f")
    (place / "g").write_text("g")
    assert node.home.ask("flush", deadline_s=20)["left"] == []
    if trouble == "killed":
        node.home.kill(plan)
    if trouble == "no server":
        store.stop()
    try:
        took = node.stop()
    finally:
        if trouble == "no server":
            store.start()
    assert took < 8 and not node.folder.exists()
    assert (bucket / "sub" / "f").read_text() == "f" and (bucket / "g").read_text() == "g"


def test_a_node_that_was_switched_off_keeps_what_was_not_up(store: Store, node: PlainNode) -> None:
    bucket, plan = store.bucket("off"), store.mount("~/data", "off", "MOUNT_CACHED")
    place = node.home.attached(store, plan)
    assert list(place.iterdir()) == []
    which: dict[str, Any] = {"folder": str(node.folder), "incarnation": node.state["incarnation"]}
    with store.gone():
        (place / "f").write_text("not up")
        node.programs.run("halt", which)
        assert str(place) not in mounted() and list(place.iterdir()) == []
        assert node.home.look()["~/data"]["dirty"] == {"f": 6}
    node.programs.run("resume", which)
    node.home.attached(store, plan)
    until(lambda: (bucket / "f").exists(), "the file")
    assert (bucket / "f").read_text() == "not up"
