"""From the head to the other nodes: the files of manifests, to all of them at once, sending only what each lacks.

The far end is skyrig.fleet.relay. It is sent along with each spread, as standard input of a Python there, so a node
needs nothing but that Python (3.8 or newer), and cannot hold an old version of it.

To many nodes the head does not send everything itself: of N nodes about sqrt(N) are relays, each with about as many
children. Then nobody sends a content more than sqrt(N) times, which is the least that two steps allow. A third step
would save sending only beyond hundreds of nodes, and costs one more SSH connection's time and one more place to break.
A relay needs the OpenSSH client and an ssh_config that knows its children; where it fails, the head sends to them
itself.
"""

from __future__ import annotations

import asyncio
import json
import math
import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from attrs import define, field, frozen

from skyrig.errors import NodeLost, SkyrigError
from skyrig.fleet import content, fanout, place, receiver, relay, stamp
from skyrig.fleet.blobs import stored_frames
from skyrig.fleet.connection import loss_reason
from skyrig.fleet.content import BlobStore, Manifest
from skyrig.fleet.deadline import timeout
from skyrig.fleet.place import WORKDIR, Place
from skyrig.fleet.pool import Pool
from skyrig.fleet.process import begin
from skyrig.fleet.progress import Meter, Report
from skyrig.fleet.receiver import Changes
from skyrig.fleet.relay import MARK, STALL_S
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import Target

FLAT_NODES = 16
"""Up to so many nodes the head sends to each itself."""
FLAT_BYTES = 128 << 20
"""Manifests and contents for all nodes together, in bytes, up to which it does so for any number of them: a
second of a 1 Gbit/s link, and a tree's connections take as long."""
_BOOTSTRAP = (
    "import json,sys,types\n"
    "i=sys.stdin.buffer\n"
    "p=i.read(int(i.readline()))\n"
    "for n,s in json.loads(p):\n"
    " m=sys.modules[n]=types.ModuleType(n)\n"
    " exec(compile(s,n,'exec'),m.__dict__)\n"
    "sys.exit(m.main(p))"
)
_MODULES = (content, stamp, receiver, place, relay)
_ASKS = 10
"""Times that each node below a session may ask for contents; far ends give up earlier by themselves."""

Outcome = Changes | SkyrigError
"""What was changed on a node, or why it failed."""


class SpreadFailed(SkyrigError):
    """A node could not take the files; the message holds its own words."""


@frozen
class Means:
    """What a node needs on the way: where blobs lie that are on theirs, and the ssh_config by which it reaches other
    nodes under their ids."""

    blobs: str = "~/.skyrig/incoming"
    ssh_config: str = "~/.skyrig/ssh/config"


@frozen
class Load:
    """Files, and where they go on each node."""

    manifest: Manifest
    place: Place = WORKDIR


@frozen
class Route:
    """A node that the head sends to itself, and those that get the files through it."""

    target: Target
    children: tuple[Target, ...] = ()


def routes(targets: Sequence[Target], size: int) -> list[Route]:
    """Who gets the files from whom, where one node takes at most `size` bytes."""
    count = len(targets)
    if count <= FLAT_NODES or count * size <= FLAT_BYTES:
        return [Route(target) for target in targets]
    relays = math.isqrt(count - 1) + 1
    return [Route(targets[at], tuple(targets[at + relays :: relays])) for at in range(relays)]


async def standing(
    pool: Pool, targets: Iterable[Target], brought: Sequence[tuple[str, Place]], *, python: str
) -> dict[str, list[bool]]:
    """By target id for each of the digests `brought` whether its place there is still as an earlier spread left it.
    Costs a stat a file there and no bytes here; for nodes that are known to have had these. Where it cannot be told, it
    is not; NodeLost where a node cannot be reached or goes away.
    """
    asked = [[digest, place.state_file, place.folder] for digest, place in brought]
    program = _source((stamp,))
    sent = b"%d\n%s%s\n" % (len(program), program, json.dumps(asked).encode())
    answers = await fanout.run_each(pool, targets, _command(python), stdin=sent, timeout_s=STALL_S)
    found = {}
    for target, answer in answers.items():
        if isinstance(answer, NodeLost):
            raise answer
        said = answer.stdout if isinstance(answer, fanout.Result) else b""
        found[target] = _held(said, len(brought))
    return found


async def spread(
    pool: Pool,
    targets: Iterable[Target],
    store: BlobStore,
    loads: Sequence[Load],
    *,
    python: str,
    means: Means = Means(),
    report: Report | None = None,
    planned: Sequence[Route] | None = None,
) -> dict[str, Outcome]:
    """Make every target hold what `loads` say, one after another; by target id what was changed, or why it failed.

    `python` is the interpreter to run there, a path ("~/" is the node's home) or a name. One node's failure leaves the
    others alone: what a relay does not bring to its children comes from the head, which the `note` of their Changes
    then says. The store must hold every blob of the manifests. `report` hears of the progress. `planned` is for
    measurements that want other routes than `routes` gives.
    """
    targets = list(targets)
    if planned is None:
        manifests = sum(len(load.manifest.to_bytes()) for load in loads)
        planned = routes(targets, manifests + sum(_contents(loads).values()))
    meter = Meter(report)
    job = _Job(pool, store, tuple(loads), means, _command(python), meter)
    found: dict[str, Outcome] = {}
    for ends in await asyncio.gather(*(job.along(route) for route in planned)):
        found |= ends
    meter.finish()
    return {target.id: found[target.id] for target in targets}


@frozen
class _Job:
    """One spread."""

    pool: Pool
    store: BlobStore
    loads: tuple[Load, ...]
    means: Means
    command: str
    meter: Meter

    async def along(self, route: Route) -> dict[str, Outcome]:
        """The outcomes of a node and its children, these by the direct way where that one failed them."""
        ends: dict[str, Outcome] = {}
        failed: dict[str, str] = {}
        try:
            async with self.pool.session(route.target) as connection:
                await self._guarded(connection, route, ends, failed)
        except SkyrigError as error:
            ends[route.target.id] = error
        left = [child for child in route.children if child.id not in ends]
        own = ends[route.target.id]
        for child, direct in zip(
            left, await asyncio.gather(*(self.along(Route(child)) for child in left)), strict=True
        ):
            why = failed.get(child.id) or (str(own) if isinstance(own, SkyrigError) else "it did not say how it went")
            ends[child.id] = _named(direct[child.id], f"sent by the head, not through {route.target.id}: {why}")
        return ends

    async def _guarded(
        self,
        connection: asyncssh.SSHClientConnection,
        route: Route,
        ends: dict[str, Outcome],
        failed: dict[str, str],
    ) -> None:
        node = route.target.id
        try:
            await self._converse(connection, route, ends, failed)
        except asyncio.TimeoutError:
            reason = f"it did not move for {STALL_S:g} s"
        except (asyncssh.Error, OSError) as error:
            reason = loss_reason(connection) if connection.is_closed() else str(error)
        except (ValueError, KeyError, TypeError) as error:
            raise SpreadFailed(f"node {node} does not speak as a far end does: {error!r}") from error
        else:
            return
        ends.setdefault(node, NodeLost(f"lost node {node} while its files were sent: {reason}", node_id=node))

    async def _converse(
        self,
        connection: asyncssh.SSHClientConnection,
        route: Route,
        ends: dict[str, Outcome],
        failed: dict[str, str],
    ) -> None:
        """Serve one far end until it is done; what it says of itself and its children goes into `ends` and `failed`."""
        node, sizes, passed = route.target.id, _contents(self.loads), [0, 0, 0, 0]
        asks = _ASKS * len(self.loads) * (1 + len(route.children))
        process = await begin(connection, self.command)
        try:
            lines = _Lines(process.stdout)
            await _send(process, [self._opening(route.children)])
            while not (answer := await _answer(process, lines, node, given=node in ends)).get("done"):
                if "missing" in answer:
                    asks -= 1
                    shas = answer["missing"] if asks >= 0 else []
                    self.meter.expect(len(shas), sum(sizes[sha] for sha in shas))
                    await _send(process, stored_frames(self.store, shas, self.meter))
                elif "passed" in answer:
                    files, size, of_files, of_size = (
                        new - old for new, old in zip(answer["passed"], passed, strict=True)
                    )
                    passed = answer["passed"]
                    self.meter.expect(of_files, of_size)
                    self.meter.add(files, size)
                elif "lost" in answer:
                    failed[answer["child"]] = answer["lost"]
                else:
                    of = answer.get("child", node)
                    ends[of] = _outcome(of, answer)
        finally:
            process.channel.abort()  # a plain close waits until the node has read all, which may be never

    def _opening(self, children: Sequence[Target]) -> bytes:
        header = {
            "blobs": self.means.blobs,
            "ssh_config": self.means.ssh_config,
            "children": [{"id": child.id, "command": self.command} for child in children],
        }
        loads = ((load.manifest.to_bytes(), load.place) for load in self.loads)
        return relay.opening(_source(_MODULES), header, loads)


def _contents(loads: Iterable[Load]) -> dict[str, int]:
    """Size in bytes of every content by its hash, each once."""
    return {sha: size for load in loads for sha, size in load.manifest.blobs().items()}


def _held(said: bytes, count: int) -> list[bool]:
    """What a node said of `count` stamps, past whatever its shell's start-up files print."""
    begin = stamp.MARK.encode()
    for line in said.splitlines():
        if line.startswith(begin):
            with suppress(ValueError):
                held = json.loads(line[len(begin) :])
                if isinstance(held, list) and len(held) == count:
                    return [each is True for each in held]
    return [False] * count


def _command(python: str) -> str:
    """Command line that runs the modules which come on standard input, the last one's `main`."""
    return f"exec {_shell_path(python)} -I -c {shlex.quote(_BOOTSTRAP)}"


def _source(modules: Sequence[ModuleType]) -> bytes:
    return json.dumps([[module.__name__, Path(str(module.__file__)).read_text()] for module in modules]).encode()


def _outcome(node: str, answer: dict[str, Any]) -> Outcome:
    if "error" in answer:
        return SpreadFailed(f"node {node} could not take the files: {answer['error']}")
    written, removed, unchanged, kept, note = answer["changes"]
    return Changes(written, removed, unchanged, tuple(kept), note)


def _named(end: Outcome, note: str) -> Outcome:
    return end._replace(note=note) if isinstance(end, Changes) else end


async def _send(process: asyncssh.SSHClientProcess[bytes], chunks: Iterable[bytes]) -> None:
    """Write as fast as the node reads. Where it has stopped reading, its answer says why."""
    try:
        for chunk in chunks:
            process.stdin.write(chunk)
            async with timeout(STALL_S):
                await process.stdin.drain()
    except BrokenPipeError:
        return


@define
class _Lines:
    """Lines of any length (asyncssh's own end at 2 MB, and the hashes of 30,000 files are longer)."""

    reader: asyncssh.SSHReader[bytes]
    rest: bytearray = field(factory=bytearray)

    async def next(self) -> bytes | None:
        """The next line without its end; None after the last one. TimeoutError if nothing at all comes for STALL_S."""
        seen = 0
        while (end := self.rest.find(b"\n", seen)) < 0:
            seen = len(self.rest)
            async with timeout(STALL_S):
                chunk = await self.reader.read(1 << 16)
            if not chunk:
                return None
            self.rest += chunk
        line = bytes(self.rest[:end])
        del self.rest[: end + 1]
        return line


async def _answer(
    process: asyncssh.SSHClientProcess[bytes], lines: _Lines, node: str, *, given: bool
) -> dict[str, Any]:
    """The node's next line to us, past whatever its shell's start-up files print; `done` at its end, if its outcome is
    `given` by then."""
    while (line := await lines.next()) is not None:
        if line.startswith(MARK):
            answer = json.loads(line[len(MARK) :])
            if not isinstance(answer, dict):
                raise ValueError(f"{answer!r} is no answer")
            return answer
    await process.wait_closed()
    if given:
        return {"done": True}
    if process.exit_status is None:
        raise asyncssh.ConnectionLost("its SSH server ended the session")
    said = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
    raise SpreadFailed(f"node {node} could not take the files: {said[-1] if said else 'no reason given'}")


def _shell_path(path: str) -> str:
    """`path` as a word for the shell; "~/" stays the home folder."""
    return '"$HOME"/' + shlex.quote(path[2:]) if path.startswith("~/") else shlex.quote(path)
