"""The slow path of ./rig: `python tools/rig KEY "SETS" VERB ARGS` sets up what the verb needs and runs ./rig again.

Packages and engine are got at the same time, each in a thread that only waits for child processes; this one reports,
and runs the first job on the local cluster as soon as that can work. See docs/install.md.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import engine
import kubernetes
import programs
import system
from environment import Environment, installed
from errand import Errands, tail
from folders import KEPT, ROOT, VENV, cache, check_room, locked, write
from lane import Lane
from limits import PACKAGE_CACHE_FACTOR, POLL_S, SETS
from speech import Failure, Progress, about, ended, say, size


class Setup:
    """One run of rig in this clone: `wanted` are the requirement sets that the verb needs, `arguments` the verb's."""

    def __init__(self, key: str, wanted: Sequence[str], arguments: Sequence[str]) -> None:
        self.errands = Errands()
        self.environment = Environment(key, self.errands)
        self.wanted = wanted
        self.arguments = arguments
        self.source = engine.choose(os.environ["PATH"], engine.official_reachable)
        self.getter = engine.Getter(self.source, self.errands)
        self.programs = [programs.Getter(source, self.errands) for source in wanted_programs(wanted)]
        self.system = system.Installer(self.errands, os.environ["PATH"], os.getuid())
        self.kubernetes = kubernetes.Builder(self.errands)
        self.base_ready = threading.Event()
        self.started = time.monotonic()
        self.look()

    def look(self) -> None:
        """See what is there: `sets` are to be installed or brought in line, `new` those of them to be downloaded."""
        usable = self.environment.usable()
        self.sets = [n for n in SETS if n in self.wanted and not (usable and self.environment.stamped(n))]
        self.new = [n for n in self.sets if not (usable and installed(n))]

    def run(self, lock: int) -> None:
        """Get everything; raises Failure where that is not possible."""
        self.environment.locks = [lock]
        self.look()
        self.announce()
        packages, pulumi = Lane(self.get_packages), Lane(self.get_engine)
        progress = Progress(lambda: self.state(packages, pulumi))
        packages.start()
        pulumi.start()
        try:
            self.attend(packages, pulumi, progress)
        finally:
            self.errands.stop()
        say(f"all is in place after {time.monotonic() - self.started:.0f} s")

    def attend(self, packages: Lane, pulumi: Lane, progress: Progress) -> None:
        """Wait for both lanes; in between, run the first job as soon as it can."""
        hello = arguments_of_hello(self.arguments) if "torch" in self.new else None
        working = True
        while working:
            working = not (packages.done and pulumi.done)
            for lane in (packages, pulumi):
                if lane.failure:
                    raise lane.failure
            if working and hello is not None and pulumi.done and self.base_ready.is_set():
                say_hello(hello)
                hello = None
            progress.tick()
            time.sleep(POLL_S if working else 0)

    def announce(self) -> None:
        """Say what will be got, how big it is, and where to."""
        if self.new:
            say(f"setting up {VENV} with {self.environment.installer} and Python {sys.version.split()[0]}:")
        elif self.sets:
            say(f"bringing {VENV} in line with the requirement files")
        for name in self.new:
            part = SETS[name]
            say(f"  {part.what}: about {about(part.download_mb)} to download, {about(part.disk_mb)} on disk")
        if self.source.words:
            say(f"  Pulumi's engine: {self.source.words}")
        if told := programs.plan([getter.source for getter in self.programs]):
            say(f"  storage: {told}")
        if "system" in self.wanted and (told := self.system.plan()):
            say(f"  {told}")

    def get_packages(self) -> None:
        """The lane of packages, base first."""
        self.environment.make()
        for name in self.sets:
            self.environment.install(name)
            if name == "base":
                self.base_ready.set()
        self.base_ready.set()
        self.environment.now = ""

    def get_engine(self) -> None:
        """The lane of the engine; its last step tells the wrapper and rig's shell part where it lies. The programs of
        storage come after it: what Go has fetched for one it has for the next."""
        self.getter.get(self.base_ready)
        write(KEPT / "engine", f"{self.source.folder}\n")
        for getter in self.programs:
            getter.get()
        if "storage" in self.wanted:
            self.base_ready.wait()  # a new environment begins without stamps
            self.environment.stamp("storage")
        if "system" in self.wanted:
            self.system.get()
            self.base_ready.wait()
            if "dev" in self.wanted:  # tests alone want it
                self.kubernetes.get()
            self.environment.stamp("system")

    def state(self, packages: Lane, pulumi: Lane) -> str:
        """What goes on, for a progress line."""
        parts = [f"{time.monotonic() - self.started:.0f} s"]
        if not pulumi.done:
            parts += [
                getter.state()
                for getter in (self.getter, *self.programs, self.system, self.kubernetes)
                if getter.state()
            ][-1:]
        if not packages.done and self.environment.now:
            last = tail(self.environment.newest_log(), 60)
            parts.append(f"{self.environment.now}, {size(VENV)} in .venv; {last}")
        return " | ".join(parts)


def arguments_of_hello(arguments: Sequence[str]) -> list[str] | None:
    """The flags of the first job, taken from those of `train`; None for another verb or cloud than the local one."""
    if not arguments or arguments[0] != "train":
        return None
    flags = {"-c": "dev", "--nodes": "2"}
    names = {"--cluster": "-c", "--num-nodes": "--nodes"}
    words = iter(arguments[1:])
    for word in words:
        if word == "--":
            break
        flag, given, value = word.partition("=")
        flag = names.get(flag, flag)
        if flag in ("--infra", "--cloud"):
            return None
        if flag in flags:
            flags[flag] = value if given else next(words, "")
    return [part for pair in flags.items() for part in pair]


def say_hello(flags: Sequence[str]) -> None:
    """Bring the local cluster up and have every rank say hello; its output is the user's, its failure rig's."""
    invoke = str(VENV / "bin" / "invoke")
    environment = os.environ | {"PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(VENV)}
    say("the local cluster comes up while the rest is being got")
    for command in (["up", *flags], ["launch", "tools/rig/hello.yaml", *flags, "-y"]):
        code = subprocess.run([invoke, *command], cwd=ROOT, env=environment, check=False).returncode
        if code != 0:
            raise Failure(f"`invoke {' '.join(command)}` ended with {code}", code if 0 < code < 126 else 5)


def wanted_programs(wanted: Sequence[str]) -> list[programs.Source]:
    """Where the programs of storage come from, if the verb needs them."""
    names = programs.PROGRAMS if "storage" in wanted else ()
    return [programs.choose(name, programs.here(), os.environ["PATH"], engine.official_reachable) for name in names]


def check_disk(new: Sequence[str], source: engine.Source, storage: Sequence[programs.Source] = ()) -> None:
    """Is there room for what will be got?"""
    packages = sum(SETS[name].disk_mb * PACKAGE_CACHE_FACTOR for name in new)
    room = engine.room(source)
    for each in storage:
        where = engine.caches() if each.kind == "build" else cache()
        room[where] = room.get(where, 0) + each.disk_mb
    check_room({VENV: packages, **room})


def main(arguments: Sequence[str]) -> int:
    """Set up what the verb needs; returns 0, or the exit code of what went wrong."""
    key, sets, *verb = arguments
    busy = f"another rig is at work in {ROOT} (or what a killed one left running); waiting for it"

    def work() -> None:
        setup = Setup(key, sets.split(), verb)
        check_disk(setup.new, setup.source, [getter.source for getter in setup.programs])
        with locked(KEPT / "lock", busy) as lock:
            setup.run(lock)

    return ended(work, lambda line: print(f"rig: error: {line}", file=sys.stderr))


if __name__ == "__main__":
    if result := main(sys.argv[1:]):
        sys.exit(result)
    os.execve(ROOT / "rig", ["rig", *sys.argv[3:]], os.environ | {"SKYRIG_RIG_DONE": "1"})
