"""The engine alone, for an installed Skyrig: `python fetch.py` gets it where need be and prints the folder it is in.

`python fetch.py PROGRAM PLATFORM [own]` does it for a program of storage and prints its path. Skyrig's wheel carries
this file and those that it imports. On failure it prints the reason instead, in one line.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import engine
import programs
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


def fetch_program(name: str, platform: str, own: str = "") -> None:
    """Have a program of storage and print its path, with `own` none that was on PATH; raises Failure where that is not
    possible."""
    path = "" if own else os.environ.get("PATH", os.defpath)
    source = programs.choose(name, platform, path, engine.official_reachable)
    if source.kind != "found":
        check_room({source.path: source.disk_mb})
        say(f"storage: {programs.plan([source])}")
        errands = Errands()
        getter = programs.Getter(source, errands)
        attend(getter.get, getter.state, errands)
    print(source.path)


def get(source: engine.Source) -> None:
    """Get the engine from `source`, with a line of progress now and then."""
    check_room(engine.room(source))
    say(f"Pulumi's engine: {source.words}")
    log = engine_home().with_name(f"{engine_home().name}.log")
    errands = Errands()
    getter = engine.Getter(source, errands, python=Path(sys.executable), log=log)
    packages_ready = threading.Event()
    packages_ready.set()
    attend(lambda: getter.get(packages_ready), getter.state, errands)


def attend(work: Callable[[], None], state: Callable[[], str], errands: Errands) -> None:
    """Wait for `work`, telling its `state`; raises what it failed with. Its errands end with it in any case."""
    lane = Lane(work)
    started = time.monotonic()
    progress = Progress(lambda: f"{time.monotonic() - started:.0f} s | {state()}")
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
    wanted = sys.argv[1:]
    sys.exit(ended((lambda: fetch_program(*wanted)) if wanted else fetch, print))
