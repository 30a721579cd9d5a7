"""Start of the steward: `python -I -m skyrig.serve.steward ensure [--fresh]` on the head.

`ensure` prints one JSON line {"socket": PATH, "build": DIGEST} once a steward answers there, starting one if none does;
with `--fresh` one of another build than this code's is asked to leave first. Replicas and requests go on meanwhile: the
former are the keeper's jobs, the latter HAProxy's. A steward with no service to care for ends by itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from skyrig import standing
from skyrig.fleet.title import shown_as
from skyrig.launch.keeper.__main__ import layer_lock, running_build
from skyrig.launch.runtime import code
from skyrig.standing import NOT_NEEDED, Standing

IDLE_S = 30.0
"""How long a steward without a service waits for one, in seconds."""

_LOOK_S = 1.0


def standing_steward() -> Standing:
    """The steward of this head."""
    home = Path.home() / ".skyrig"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Standing(home, "steward", "skyrig.serve.steward")


def ensure(*, fresh: bool) -> None:
    """Start a steward unless one answers (`fresh`: one of this build), and print where."""
    steward = standing_steward()
    path = standing.ensure(steward, outdated=lambda: fresh and running_build(steward.socket()) != code.build())
    print(json.dumps({"socket": str(path), "build": code.build()}), flush=True)


def serve() -> None:
    """Be the steward, until TERM or until there is nothing to care for."""
    ours = standing_steward()
    locks = [standing.hold(ours.lock, wait=True), *layer_lock()]
    code.build()  # of the code as it is now, which is the code that is about to be loaded
    import asyncio
    import logging

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    from skyrig.serve.steward import door
    from skyrig.serve.steward.steward import Steward

    async def main() -> int:
        leaving = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leaving.set)
        steward = Steward(ours.home)
        ours.socket().unlink(missing_ok=True)
        server = await door.listen(steward, ours.socket())
        told = asyncio.create_task(leaving.wait())
        working = asyncio.create_task(steward.run())
        needed_at = time.monotonic()
        while not (told.done() or working.done()):
            if steward.memory is not None or door.open_doors:
                needed_at = time.monotonic()
            if time.monotonic() - needed_at > IDLE_S:
                break
            await asyncio.wait({told, working}, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        server.close()
        if working.done():
            working.result()
        return 0 if told.done() else NOT_NEEDED

    standing.end_with_node()
    code_of_end = asyncio.run(main())
    del locks
    os._exit(code_of_end)


def main(words: list[str]) -> None:
    """Run one command."""
    shown_as(["skyrig.serve.steward", *words])
    if words == ["serve"]:
        serve()
    elif words in (["ensure"], ["ensure", "--fresh"]):
        ensure(fresh=len(words) > 1)
    else:
        sys.exit("usage: python -I -m skyrig.serve.steward ensure [--fresh]")


if __name__ == "__main__":
    main(sys.argv[1:])
