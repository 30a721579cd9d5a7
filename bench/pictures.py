"""What pictures of jobs cost: reading a log of a million lines, and the sampler on a node.

    python -m bench.pictures [SECONDS]

Both are CPU time: the sampler's over so many seconds (60), as on a machine and as on a local node.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from bench import record
from skyrig.launch import nodeside
from skyrig.plots.gathering import Gathering

LINES = 1_000_000
_BLOCK = 1 << 18
_PERIOD_S = 5.0


def main(seconds: float = 60.0) -> int:
    """Measure, print, and write down."""
    told = {
        "read_all_metrics_cpu_s": _read(b"(rank 0, n0) step %d/9 loss %.3f tokens/s 12\n" % (n, 1 / n) for n in _all()),
        "read_one_in_ten_cpu_s": _read(
            b"(rank 0, n0) step %d loss %.3f\n" % (n, 1 / n) if n % 10 == 0 else
            b"(rank 0, n0) a line %d that tells of something else, at some length\n" % n
            for n in _all()
        ),
    }  # fmt: skip
    for name, own in (("machine", False), ("local_node", True)):
        share, start_s = _sampler(seconds, own=own)
        told |= {f"sampler_{name}_percent_of_a_core": share, f"sampler_{name}_start_cpu_s": start_s}
    print(json.dumps(told, indent=2))
    record.write("pictures", told, counts={"lines": LINES, "period_s": _PERIOD_S, "seconds": seconds})
    return 0


def _all() -> Iterable[int]:
    return range(1, LINES + 1)


def _read(lines: Iterable[bytes]) -> float:
    """Seconds of CPU that a log takes to be read, given in blocks as it comes."""
    data = b"".join(lines)
    begin = time.process_time()
    found = Gathering()
    for at in range(0, len(data), _BLOCK):
        found.write(data[at : at + _BLOCK])
    found.end()
    assert found.training().curve("loss") is not None
    return round(time.process_time() - begin, 2)


def _sampler(seconds: float, *, own: bool) -> tuple[float, float]:
    """Percent of a core that the node's program takes, and the seconds of CPU of its start."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command, stdin = nodeside.program("sampling", {"period_s": _PERIOD_S, "own": own})
    with subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(stdin)
        process.stdin.flush()
        process.stdout.readline()
        started, begin = _cpu_of(process.pid), time.monotonic()
        while time.monotonic() < begin + seconds:
            process.stdout.readline()
        spent, wall = _cpu_of(process.pid) - started, time.monotonic() - begin
        process.stdin.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return round(100 * spent / wall, 3), round(whole - spent, 3)


def _cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(*(float(each) for each in sys.argv[1:2])))
