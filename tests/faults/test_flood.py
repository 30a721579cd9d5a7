"""Much output, slow readers and full disks: the job is never held up, and what is missing is marked."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from user import User, until

from faults.fill import SmallDisk
from faults.node import FaultyNode

pytestmark = pytest.mark.e2e

MARK = re.compile(r"\[skyrig\] (\d+) bytes of output are missing here \((.*)\)")
FLOOD = """\
num_nodes: {nodes}
run: |
  [ "$SKYPILOT_NODE_RANK" = {rank} ] || exit 0
  begun=$EPOCHREALTIME
  yes "$(printf '%0199d' 7)" | head -c {size}
  echo "printed in $(awk "BEGIN {{print $EPOCHREALTIME - $begun}}") s"
  exit 3
"""


def flood(tmp_path: Path, size: int, *, rank: int = 0) -> str:
    """A task file: the given rank prints `size` bytes as fast as it can, says how long that took, and fails with 3."""
    task = tmp_path / "flood.yaml"
    task.write_text(FLOOD.format(nodes=rank + 1, rank=rank, size=size))
    return str(task)


def test_a_fast_printer_is_not_held_up_by_a_slow_follower(user: User, nodes: list[FaultyNode], tmp_path: Path) -> None:
    size = 300_000_000  # more than a rank's log keeps: the cut is marked
    client = user.start("exec", flood(tmp_path, size), "-c", user.stack)
    assert client.stdout is not None
    keeper = until(nodes[0].keeper, "the keeper")
    peak, begun = 0, time.monotonic()
    while nodes[0].ranks() or time.monotonic() < begun + 3:  # the pipe is read at 1 MB/s, far slower than printed
        client.stdout.read(50_000)
        time.sleep(0.05)
        peak = max(peak, keeper.rss_kib)
        assert time.monotonic() < begun + 60, "the job is held up"
    until(lambda: user.jobs()[-1]["status"] == "FAILED", "the keeper has taken all", 60)
    peak = max(peak, keeper.rss_kib)
    client.kill()
    client.communicate()
    told = user.run("logs", "-c", user.stack, "--tail", "2000", check=3).out.decode()
    found = re.search(r"printed in ([\d.]+) s", told)
    assert found, told[-500:]
    print(f"{size / float(found[1]) / 1e6:.0f} MB/s; the keeper's peak {peak} KiB")
    assert size / float(found[1]) > 40e6, f"{size} bytes took {found[1]} s"
    assert [int(count) > 0 for count, _ in MARK.findall(told)] == [True]
    assert peak < 400_000


@pytest.mark.parametrize("full", ["n1", "n0"], ids=["on the node", "on the head"])
def test_a_full_log_disk_costs_output_and_nothing_else(
    user: User, nodes: list[FaultyNode], tmp_path: Path, full: str
) -> None:
    node = next(node for node in nodes if node.id == full)
    with SmallDisk(node, node.home / ".skyrig" / "jobs", 4 << 20):
        begun = time.monotonic()
        done = user.run("exec", flood(tmp_path, 20_000_000, rank=1), "-c", user.stack, check=3)
        assert time.monotonic() - begun < 30
        told = done.out.decode()
        marks = MARK.findall(told)
        assert marks, told[-500:]
        assert all("No space left on device" in why or "disk" in why for _, why in marks), marks
        kept = sum(len(line) - len("(rank 1, n1) ") + 1 for line in told.splitlines() if "0007" in line)
        lost = sum(int(count) for count, _ in marks)
        assert abs(kept + lost - 20_000_000) < 2000, f"kept {kept}, said to be lost {lost}"
        assert b"exited with code 3" in done.err
