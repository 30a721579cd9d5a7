"""What the sampler of a node costs: CPU of its process a period, over a while.

python -m bench.sampling [SECONDS] [PERIOD_S]
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from skyrig.launch import nodeside


def main(seconds: float, period_s: float) -> int:
    """Run it for so long, twice: as on a machine, and as on a local node; print a line each."""
    for own in (False, True):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command, stdin = nodeside.program("sampling", {"period_s": period_s, "own": own})
        with subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S602  (our own words)
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(stdin)
            process.stdin.flush()
            first = json.loads(process.stdout.readline())
            started = _cpu_of(process.pid)
            begin = time.monotonic()
            while time.monotonic() < begin + seconds:
                process.stdout.readline()
            spent, wall = _cpu_of(process.pid) - started, time.monotonic() - begin
            process.stdin.close()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        start_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime - spent
        share, size = 100 * spent / wall, after.ru_maxrss // 1024
        print(
            f"own={own}: {share:.3f} % of a core every {period_s} s over {wall:.0f} s, "
            f"{1000 * start_s:.0f} ms to start, {size} MiB; says {sorted(first)}"
        )
    return 0


def _cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main(*(float(each) for each in (sys.argv[1:] or ["60"])), *([] if len(sys.argv) > 2 else [5.0])))
