"""The far end of skyrig.fleet.spread: a node takes files, and as a relay passes them on to further nodes.

Standard library only, Python 3.8 or newer; see skyrig.fleet.content for why. A relay reaches its children with the
OpenSSH client of its node, under the names of an ssh_config that lies there. It asks the head for what it lacks itself
and for what its children lack and it cannot give them, each content once; a blob goes to a child as soon as it is here
whole. Every child has a thread of its own: a slow one holds up nobody.
"""

# Paths are plain text here; the standard library of 3.8 has no shorter way.
# ruff: noqa: PTH111, PTH118, PTH123

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from typing import IO, Any, cast

from skyrig.fleet.content import VERSION, BlobStore, FrameReader, Manifest, MissingBlobs, Refused, frame, raw
from skyrig.fleet.place import Place, bring
from skyrig.fleet.receiver import Changes

MARK = b"skyrig-receiver "
"""Start of each line that a far end says; all else on its output comes from the node's shell start-up files."""
STALL_S = 60.0
"""Seconds without any move after which the other side counts as stuck."""
_CHUNK = 1 << 18
_ROUNDS = 5
"""Times that files may be missing; a job that writes to them while they are compared makes for a second."""
_SAY_EVERY_S = 1.0
_LEAVE_S = 10.0
"""Seconds that a child has for tidying up after it has said its end."""
_SSH = (
    *("ssh", "-T", "-a", "-x", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR"),
    *("-o", "ServerAliveInterval=3", "-o", "ServerAliveCountMax=3"),
)


def opening(program: bytes, header: dict[str, Any], loads: Iterable[tuple[bytes, Place]]) -> bytes:
    """What a far end is told first: its own program, what to do, and manifests with their places."""
    loads = list(loads)
    places = [[len(manifest), place] for manifest, place in loads]
    head = json.dumps({**header, "version": VERSION, "places": places}).encode()
    return b"%d\n%s%s\n%s" % (len(program), program, head, b"".join(manifest for manifest, _ in loads))


class _Broken(Exception):
    """The head, or a child, has gone away; the text says why."""


class _Child:
    """One node below this one, followed in a thread of its own. `outcome` is what the head is told in the end."""

    def __init__(self, end: _FarEnd, node: dict[str, Any], config: str) -> None:
        self.id: str = node["id"]
        self.outcome: dict[str, Any] = {}
        self._end = end
        self._moved = time.monotonic()
        self._waits_for_us = False
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `run`
        words = [*_SSH, "-F", config, "--", self.id, node["command"]]
        self._ssh = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said)

    def run(self, first: bytes) -> None:
        """See the child through to its end."""
        try:
            self._send(first)
            self.outcome = self._serve()
            self._ssh.communicate(timeout=_LEAVE_S)
        except subprocess.TimeoutExpired:
            pass
        except (
            _Broken,
            Refused,
            OSError,
            ValueError,
            KeyError,
            TypeError,
        ) as error:  # the last three: it spoke nonsense
            self._ssh.kill()
            self._ssh.wait()
            self.outcome = {"lost": self._reason() or str(error) or repr(error)}
        finally:
            self._ssh.kill()
            self._ssh.wait()
            for pipe in (self._ssh.stdin, self._ssh.stdout, self._said):
                with contextlib.suppress(OSError):  # what was not written is of no use to a child that is gone
                    cast(IO[bytes], pipe).close()

    def hurry(self) -> None:
        """Give it up if it has not moved for STALL_S, though we wait for it."""
        if not self._waits_for_us and time.monotonic() - self._moved > STALL_S:
            self._ssh.kill()

    def _serve(self) -> dict[str, Any]:
        assert self._ssh.stdout is not None
        for line in self._ssh.stdout:
            self._moved = time.monotonic()
            if not line.startswith(MARK):
                continue
            answer: dict[str, Any] = json.loads(line[len(MARK) :])
            if "changes" in answer or "error" in answer:
                return answer
            if "missing" in answer:
                self._give(answer["missing"])
        raise _Broken("it ended without a word")

    def _give(self, shas: list[str]) -> None:
        self._end.promise(shas)
        for sha in shas:
            self._waits_for_us = True
            self._end.wait_for(sha)
            self._moved = time.monotonic()
            self._waits_for_us = False
            with self._end.store.open(sha) as file:
                size = os.fstat(file.fileno()).st_size
                for piece in frame(sha, size, iter(lambda: file.read(_CHUNK), b"")):
                    self._send(piece)
            self._end.passed(1, size)

    def _send(self, data: bytes) -> None:
        assert self._ssh.stdin is not None
        view = memoryview(data)
        while view:
            view = view[os.write(self._ssh.stdin.fileno(), view[:_CHUNK]) :]
            self._moved = time.monotonic()

    def _reason(self) -> str:
        self._said.seek(0)
        lines = self._said.read()[-2000:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


class _FarEnd:
    """One spread as this node sees it: its own files, and its children's."""

    def __init__(self, header: dict[str, Any], loads: list[tuple[Manifest, Place]]) -> None:
        blobs, self._config = (os.path.expanduser(header[key]) for key in ("blobs", "ssh_config"))
        self.store = BlobStore(blobs, takes=True)
        self._loads = loads
        self._frames = FrameReader(self.store, [])
        self._moved = threading.Condition()
        self._broken = ""
        self._speaking = threading.Lock()
        self._said_at = 0.0
        self._counts = [0, 0, 0, 0]  # files and bytes passed on, files and bytes asked of us
        self._sizes: dict[str, int] = {}
        self._paths: dict[str, bytes] = {}
        for manifest, place in loads:
            self._sizes.update(manifest.blobs())
            root = os.path.realpath(os.fsencode(os.path.expanduser(place.folder)))
            for entry in manifest.entries:
                if entry.kind == "file":  # the first place has it as soon as any other wants it
                    self._paths.setdefault(entry.sha256, os.path.join(root, raw(entry.path)))
        contents = sum(len(manifest.blobs()) for manifest, _ in loads)
        self._shared = contents > len(self._sizes)  # some content goes to several places

    def run(self, nodes: list[dict[str, Any]], first: bytes) -> int:
        """Do all of it; the exit code."""
        threading.Thread(target=self._receive, daemon=True).start()
        children = self._children(nodes)
        threads = [(child, threading.Thread(target=child.run, args=(first,), daemon=True)) for child in children]
        for _, thread in threads:
            thread.start()
        code = self._own(consume=not children and not self._shared)
        while threads:
            for child, thread in list(threads):
                thread.join(0.1 / len(threads))
                if not thread.is_alive():
                    threads.remove((child, thread))
                    self.say(child=child.id, **child.outcome)
                child.hurry()
            self.tick()
        if nodes:
            self.say(passed=self._counts)
        if code == 0:
            self.store.prune((), min_age_s=0)
        self.say(done=True)
        return code

    def say(self, **what: Any) -> None:
        """One line to whoever started us."""
        with self._speaking:
            _say(what)
            self._said_at = time.monotonic()

    def tick(self) -> None:
        """Once a second: we are alive, and so much was passed on."""
        if time.monotonic() - self._said_at >= _SAY_EVERY_S:
            self.say(passed=self._counts)

    def promise(self, shas: list[str]) -> None:
        """A child wants these: ask for those that are not here."""
        with self._moved:
            self._counts[2] += len(shas)
            self._counts[3] += sum(self._sizes[sha] for sha in shas)
        self._need([sha for sha in shas if not self._borrow(sha)])

    def wait_for(self, sha: str) -> None:
        """Until that content is in the store; _Broken if it will not come."""
        with self._moved:
            while not self.store.has(sha):
                if self._broken:
                    raise _Broken(self._broken)
                self._moved.wait(1)

    def passed(self, files: int, size: int) -> None:
        """A child was given so much."""
        with self._moved:
            self._counts[0] += files
            self._counts[1] += size

    def _own(self, consume: bool) -> int:
        """Our own files, one place after another; says how it went."""
        try:
            self.say(changes=_together([self._bring(*load, consume=consume) for load in self._loads]))
        except (_Broken, Refused, OSError) as error:
            self.say(error=str(error))
            return 1
        return 0

    def _bring(self, manifest: Manifest, place: Place, consume: bool) -> Changes:
        for _ in range(_ROUNDS):
            try:
                return bring(self.store, manifest, place, consume=consume, tick=self.tick)
            except MissingBlobs as lack:
                self._need(lack.shas)
                for sha in lack.shas:
                    self.wait_for(sha)
                    self.tick()
        raise Refused(f"files in {place.target} change as fast as they are written")

    def _children(self, nodes: Iterable[dict[str, Any]]) -> list[_Child]:
        """Those whom an SSH client was started for; the head hears of the others."""
        started = []
        for node in nodes:
            try:
                if shutil.which(_SSH[0]) is None:
                    raise _Broken("it has no ssh client")
                started.append(_Child(self, node, self._config))
            except (_Broken, OSError) as error:
                self.say(child=node["id"], lost=str(error))
        return started

    def _need(self, shas: Iterable[str]) -> None:
        """Ask the head for what is neither here nor on its way."""
        with self._moved:
            fresh = [sha for sha in shas if sha not in self._frames.left and not self.store.has(sha)]
            self._frames.left.update(fresh)
            if fresh:
                self.say(missing=fresh)

    def _borrow(self, sha: str) -> bool:
        """Whether that content is in the store, be it out of our own files, where an earlier spread brought it."""
        if self.store.has(sha):
            return True
        path = self._paths.get(sha)
        if path is None:
            return False
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                self.store.put(sha, iter(lambda: file.read(_CHUNK), b""))
        except (OSError, Refused):  # it is not there yet, or no longer that file
            return False
        return True

    def _receive(self) -> None:
        """Take what comes until the head hangs up. Straight from the descriptor: a thread that waits in a buffered
        reader would keep the interpreter from ending."""
        try:
            while data := os.read(0, _CHUNK):
                with self._moved:
                    self._frames.feed(data)
                    self._moved.notify_all()
            reason = "the head broke off"
        except (Refused, OSError) as error:
            reason = str(error)
        with self._moved:
            self._broken = reason
            self._frames.close()
            self._moved.notify_all()


def _together(each: list[Changes]) -> Changes:
    """What was changed in all places; names stand for themselves."""
    return Changes(
        sum(changes.written for changes in each),
        sum(changes.removed for changes in each),
        sum(changes.unchanged for changes in each),
        tuple(name for changes in each for name in changes.kept),
    )


def _say(what: dict[str, Any]) -> None:
    sys.stdout.buffer.write(MARK + json.dumps(what).encode() + b"\n")
    sys.stdout.buffer.flush()


def main(program: bytes) -> int:
    """Serve one spread on standard input and output. Returns the exit code."""
    source = sys.stdin.buffer
    try:
        header = json.loads(source.readline())
        if header["version"] != VERSION:
            raise Refused("the head speaks version {}, this node {}".format(header["version"], VERSION))
        loads = [(source.read(size), Place(*place)) for size, place in header.pop("places")]
        children = header.pop("children")
        end = _FarEnd(header, [(Manifest.from_bytes(body), place) for body, place in loads])
        return end.run(children, opening(program, {**header, "children": []}, loads))
    except (Refused, OSError) as error:
        _say({"error": str(error)})
        return 1
