"""The engine alone, for an installed Skyrig: `python fetch.py` gets it where need be and prints the folder it is in.

Skyrig's wheel carries this file and those that it imports. On failure it prints the reason instead, in one line.
"""

import os
import sys
import threading
import time
from pathlib import Path

import engine
from errand import Errands
from folders import check_room, engine_home
from lane import Lane
from limits import POLL_S
from speech import Progress, Speaker, ended, say


def fetch() -> None:
    """Have the engine and print its folder; raises Failure where that is not possible."""
    source = engine.choose(os.environ.get("PATH", os.defpath), engine.official_reachable)
    if source.kind != "found":
        get(source)
    print(source.folder)


def get(source: engine.Source) -> None:
    """Get the engine from `source`, with a line of progress now and then."""
    check_room(engine.room(source))
    say(f"Pulumi's engine: {source.words}")
    log = engine_home().with_name(f"{engine_home().name}.log")
    errands = Errands()
    getter = engine.Getter(source, errands, python=Path(sys.executable), log=log)
    packages_ready = threading.Event()
    packages_ready.set()
    lane = Lane(lambda: getter.get(packages_ready))
    started = time.monotonic()
    progress = Progress(lambda: f"{time.monotonic() - started:.0f} s | {getter.state()}")
    lane.start()
    try:
        while not lane.done:
            progress.tick()
            time.sleep(POLL_S)
    finally:
        errands.stop()
    if lane.failure:
        raise lane.failure


if __name__ == "__main__":
    Speaker.name = "skyrig"
    sys.exit(ended(fetch, print))
