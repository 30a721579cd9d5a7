"""Start of the keeper: `python -I -m skyrig.launch.keeper ensure [--fresh]` on the head.

`ensure` prints one JSON line {"socket": PATH, "build": DIGEST} once a keeper answers there, starting one if none does;
with `--fresh` a keeper of another build than this code's is asked to leave first. The keeper runs under a watch process
that starts it again when it dies (skyrig.standing); jobs go on meanwhile under their supervisors' leases.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from skyrig import standing
from skyrig.fleet.title import shown_as
from skyrig.launch.runtime import code
from skyrig.standing import ANSWERS_DEADLINE_S, Standing

_PRIORITY = -10
"""Its nice value, of -20 to 19: four to ten times the share of a process at 0, and still below what a system itself
needs (udev has -17, auditd -4)."""


def _keeper() -> Standing:
    home = Path.home() / ".skyrig"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Standing(home, "keeper", "skyrig.launch.keeper")


def running_build(path: Path) -> str:
    """Build of the keeper that answers at `path`; "" where it does not say."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(ANSWERS_DEADLINE_S)
        try:
            asking.connect(str(path))
            asking.sendall(json.dumps({"op": "hello", "digest": ""}).encode() + b"\n")
            answer = json.loads(asking.makefile("rb").readline())
        except (OSError, ValueError):
            return ""
    return str(answer.get("build", ""))


def ensure(*, fresh: bool) -> None:
    """Start a keeper unless one answers (`fresh`: one of this build), and print where."""
    keeper = _keeper()
    path = standing.ensure(keeper, outdated=lambda: fresh and running_build(keeper.socket()) != code.build())
    print(json.dumps({"socket": str(path), "build": code.build()}), flush=True)


def go_first() -> None:
    """Come before what jobs do on this machine, where that is allowed: ranks may keep every processor of it busy, and
    their leases run out if a keeper that was started again waits for its turn."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)
        Path("/proc/self/autogroup").write_text(str(_PRIORITY))  # where Linux shares by sessions first


def serve() -> None:
    """Be the keeper, until TERM."""
    go_first()
    standing_keeper = _keeper()
    home, path = standing_keeper.home, standing_keeper.socket()
    locks = [standing.hold(standing_keeper.lock, wait=True), *layer_lock()]
    code.build()  # of the code as it is now, which is the code that is about to be loaded
    import asyncio
    import logging

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    from skyrig.launch.keeper import door
    from skyrig.launch.keeper.keeper import Keeper

    async def main() -> None:
        leaving = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leaving.set)
        keeper = Keeper(home)
        waking = asyncio.create_task(keeper.wake_up())
        path.unlink(missing_ok=True)
        server = await door.listen(keeper, path)
        code.mark_served(home)
        told = asyncio.create_task(leaving.wait())
        chores = asyncio.create_task(keeper.run_chores())
        caring = asyncio.create_task(keeper.caretaker.run())
        waiting: set[asyncio.Task[Any]] = {waking, chores, caring, told}
        while not told.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        server.close()
        await _until_answered(door.answering)
        os._exit(0)  # not through the loop's own end: cancelled flows have nothing to say to supervisors

    standing.end_with_node()
    asyncio.run(main())
    del locks
    os._exit(1)


async def _until_answered(answering: Collection[object]) -> None:
    """Wait until nobody is being answered, for ANSWERS_DEADLINE_S at most."""
    import asyncio

    deadline = time.monotonic() + ANSWERS_DEADLINE_S
    while answering and time.monotonic() < deadline:  # noqa: ASYNC110  (an event would be one more thing to keep)
        await asyncio.sleep(0.01)


def layer_lock() -> list[IO[str]]:
    """The lock that keeps our code's layer from being removed, where the code lies in one (on foreign heads)."""
    layer = Path(code.__file__).parents[3]
    if layer.parent.name != "layers":
        return []
    lock = layer.with_name(f"{layer.name}.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_SH)
    return [lock]


def main(words: list[str]) -> None:
    """Run one command."""
    shown_as(["skyrig.launch.keeper", *words])
    if words == ["serve"]:
        serve()
    elif words in (["ensure"], ["ensure", "--fresh"]):
        ensure(fresh=len(words) > 1)
    else:
        sys.exit("usage: python -I -m skyrig.launch.keeper ensure [--fresh]")


if __name__ == "__main__":
    main(sys.argv[1:])
