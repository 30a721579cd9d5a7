"""Run on a node (stdlib only, Python 3.8): kills the training processes of a job's rank there that wait for a node
which is lost, so that their launcher starts others.

A machine that goes without a word leaves its peers waiting for minutes, and torch's agents look after their own
processes alone. Those that are meant belong to a round of more nodes (torch tells them in GROUP_WORLD_SIZE) than
`given["nodes"]`, which are left; `given["folder"]` is the job's below the node's home.
"""

import contextlib
import os
import signal

given = globals()["given"]
mark = b"SKYRIG_RANK_DIR=" + os.fsencode(os.path.expanduser(given["folder"])) + b"/rank-"  # noqa: PTH111
waiting = []
for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:  # noqa: PTH112, PTH208
    try:
        with open(f"/proc/{int(entry)}/environ", "rb") as file:  # noqa: PTH123
            known = file.read().split(b"\0")
    except (OSError, ValueError):
        continue  # no process, one that has ended, or another user's
    sizes = [item.partition(b"=")[2] for item in known if item.startswith(b"GROUP_WORLD_SIZE=")]
    ours = any(item.startswith(mark) for item in known)
    if ours and sizes and sizes[0].isdigit() and int(sizes[0]) > given["nodes"]:
        waiting.append(int(entry))
for pid in waiting:
    with contextlib.suppress(OSError):  # it has ended meanwhile
        os.kill(pid, signal.SIGKILL)
