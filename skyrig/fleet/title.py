"""What `ps` and `pkill -f` see of our own lasting processes on a node: no word of theirs is `python`.

People end what they left running by `pkill -f python`. Whoever does that in a job must not hit node, keeper and
supervisor, which are processes of the same user. (The supervisor, one file that is alone on its node, has its own copy
of `shown_as`.)
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def shown_as(words: Sequence[str]) -> None:
    """Let this process be seen under these words, less those that hold `python`, and as a program called skyrig. Linux
    reads both from the process itself; where that is not so, or there is no room, everything stays as it is."""
    if sys.platform != "linux":
        return
    try:
        mine = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        shown = Path("/proc/self/cmdline").read_bytes()
    except OSError:
        return  # no /proc: then nobody sees anything
    start, room = int(mine[45]), int(mine[46]) - int(mine[45])
    line = os.fsencode("\0".join(word for word in words if "python" not in word.lower()))
    if not len(line) < room == len(shown) or ctypes.string_at(start, room) != shown:
        return
    ctypes.memset(start, 0, room)
    ctypes.memmove(start, line, len(line))
    Path("/proc/self/comm").write_text("skyrig")
