"""A node cut off from the head: its own supervisor ends its rank within the lease, before anybody replaces it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from user import User, until

from bench import record
from faults.cut import Cut, Direction
from faults.node import FaultyNode
from skyrig.launch.keeper.rank import LEASE_S

pytestmark = pytest.mark.e2e

ATTEMPTS = 3
STILL_S = 5.0
"""A cut of three seconds that took this long was none of three seconds."""
SLACK_S = 1.5
"""For a busy machine: a witness beats 20 times a second where it gets the processor."""

BEATING = """\
run: |
  exec python3 -u -c '
  import os, time
  name = os.path.join(os.environ["WITNESS"], os.environ["SKYRIG_NODE_ID"])
  with open(name, "a", buffering=1) as file:
      while time.monotonic() < float(os.environ["UNTIL"]):
          file.write("%s %s\\n" % (os.environ["WHO"], time.monotonic()))
          time.sleep(0.05)
  '
"""


class Stillness:
    """How long a block took (`cut_s`), and the longest time for which this process got no processor amid it."""

    def __init__(self) -> None:
        self.cut_s = self.longest_s = 0.0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Stillness:
        self._started = time.monotonic()
        self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.cut_s = time.monotonic() - self._started
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        before = time.monotonic()
        while not self._over.wait(0.05):
            now = time.monotonic()
            self.longest_s, before = max(self.longest_s, now - before), now


@pytest.fixture
def witness(user: User) -> Iterator[Path]:
    """A folder that nodes and host share, where ranks say when they were at work."""
    folder = user.home / "stacks" / user.stack / "records" / f"witness-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    yield folder


def beats(witness: Path, node: FaultyNode) -> dict[str, tuple[float, float]]:
    """When each job was at work on a node: first and last beat, monotonic seconds, one clock for all namespaces."""
    seen: dict[str, tuple[float, float]] = {}
    path = witness / node.id
    for line in path.read_text().splitlines() if path.exists() else []:
        who, moment = line.split()
        seen[who] = (seen.get(who, (float(moment), 0.0))[0], float(moment))
    return seen


def beating(tmp_path: Path, witness: Path, who: str, nodes: int, seconds: float) -> list[str]:
    """Words of a command that runs a job of witnesses."""
    task = tmp_path / f"{who}.yaml"
    task.write_text(f"num_nodes: {nodes}\n{BEATING}")
    envs = (f"WITNESS={witness}", f"WHO={who}", f"UNTIL={time.monotonic() + seconds}")
    return ["exec", str(task), *(word for env in envs for word in ("-e", env)), "-n", who]


def partition(
    user: User, nodes: list[FaultyNode], tmp_path: Path, witness: Path, seconds: float, ways: list[Direction]
) -> dict[str, float]:
    """Cut the nodes but the head, each in its way, for `seconds`; a job runs there before, and another one after.
    Returns how long after the cut each node's rank was at work, and when it was called lost, in seconds."""
    others = nodes[1 : 1 + len(ways)]
    first = user.start(*beating(tmp_path, witness, "first", len(others) + 1, 600), "-c", user.stack)
    until(lambda: all("first" in beats(witness, node) for node in nodes[: len(others) + 1]), "all ranks at work")
    with ExitStack() as cuts:
        begun = time.monotonic()
        for node, way in zip(others, ways, strict=True):
            cuts.enter_context(Cut(node, nodes, way))
        told = first.communicate(timeout=2 * LEASE_S + 20)[0].decode()
        declared = time.monotonic()
        assert first.returncode == 4, told
        assert "lost node n" in told
        for node in others:
            last = beats(witness, node)["first"][1]
            assert last < begun + LEASE_S + SLACK_S, f"{node.id} worked {last - begun:.1f} s after its cut"
            assert last <= declared, f"{node.id} was declared lost {last - declared:.1f} s before its rank ended"
        time.sleep(max(0.0, begun + seconds - 5 - time.monotonic()))  # the length of the partition is what is tested
        second = user.start(*beating(tmp_path, witness, "second", len(others) + 1, 3600), "-c", user.stack)
        time.sleep(max(0.0, begun + seconds - time.monotonic()))
    try:
        until(lambda: all("second" in beats(witness, node) for node in others), "the next job at work", 60)
        for node in others:
            seen = beats(witness, node)
            assert seen["first"][1] < seen["second"][0], f"two at work at once on {node.id}: {seen}"
            assert {process.variable("WHO") for process in node.ranks()} == {"second"}
    finally:
        user.run("cancel", "-c", user.stack, "--all", "-y")
        second.communicate(timeout=30)
    worked = {f"{node.id}_worked_s": round(beats(witness, node)["first"][1] - begun, 2) for node in others}
    return {**worked, "called_lost_s": round(declared - begun, 2)}


def test_a_cut_off_node_ends_its_rank_before_another_one_works(
    user: User, nodes: list[FaultyNode], tmp_path: Path, witness: Path
) -> None:
    partition(user, nodes, tmp_path, witness, 12.0, ["both", "out"])


@pytest.mark.soak
@pytest.mark.parametrize("way", ["both", "out", "in"])
def test_a_minute_of_partition(
    user: User, nodes: list[FaultyNode], tmp_path: Path, witness: Path, way: Direction
) -> None:
    found = partition(user, nodes, tmp_path, witness, 60.0, [way, way])
    record.write(f"partition-{way}", {"lease_s": LEASE_S, **found}, counts={"cut_s": 60, "cut_nodes": 2})


def test_a_short_cut_harms_no_job(user: User, nodes: list[FaultyNode], tmp_path: Path, witness: Path) -> None:
    """That can be told only where this machine has not stood still itself, as one that others share may: then the cut
    is made again."""
    for attempt in range(ATTEMPTS):
        name = f"short{attempt}"
        job = user.start(*beating(tmp_path, witness, name, 3, 9), "-c", user.stack)
        until(lambda name=name: all(name in beats(witness, node) for node in nodes), "all ranks at work")  # type: ignore[misc]
        with Stillness() as stillness, Cut(nodes[1], nodes):
            time.sleep(3)  # the length of the cut is what is tested
        told = job.communicate(timeout=60)[0].decode()
        if job.returncode == 0:
            return
        assert stillness.cut_s > STILL_S or stillness.longest_s > STILL_S / 5, told
    pytest.fail(f"this machine stood still amid each of {ATTEMPTS} cuts")
