"""The line from a client to the keeper on a cluster's head: opened, and if need be, first made possible.

On a foreign head (`isolation` "machine") the client brings the keeper's runtime along, and a newer client replaces an
older one's keeper; on the local cloud the head runs the project's own code, and a keeper older than that is started
again. Either way jobs go on, and followers come back by themselves. Where all is in place it costs no round trip.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from skyrig import places
from skyrig.cluster.autostop import Autostop, AutostopNote, read_note
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.policy import TimeToLive
from skyrig.errors import NodeLost, SkyrigError
from skyrig.fleet import fanout
from skyrig.fleet.connection import Credentials, connect, loss_reason
from skyrig.fleet.pool import Pool
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import from_description
from skyrig.launch import nodeside
from skyrig.launch.protocol import KeeperGone, Message, ask, check_version
from skyrig.launch.runtime import code
from skyrig.progress import Kind, Step, activity

Notify = Callable[[str], None]
"""Takes one line for the user."""

Channel = tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]
"""An open channel to the keeper's socket."""

LOOK_PATIENCE_S = 4.0
"""How long a look at a cluster's jobs waits for its head; the stack's records answer else."""

BOOT_PATIENCE_S = 60.0
"""How long whoever wants to run something waits for a head that may still boot."""

FIRST_PATIENCE_S = 600.0
"""The same where nobody here has met the head since it was made or started on a cloud: machines with eight accelerators
take minutes until they let anybody in."""

_TOLD_AFTER_S = 15.0
"""When that wait is told."""

_KEEPER_TRIES = 3
"""How often a keeper that died before it could be spoken to is started again."""

_KEEPER = "skyrig.launch.keeper"

_ENSURE = (
    'r="$HOME/.skyrig/runtime/bin/python"; m="$1"; shift; '
    'case "$1" in look) ;; *) [ -x "$r" ] && exec "$r" -I -m "$m" "$@" ;; esac; '
    'echo; echo "skyrig-absent $(uname -s) $(uname -m) $(echo /lib/ld-musl-*)"'
)
"""Has the runtime on the head do what the words say; where there is none (or for `look`) tells what the head is."""


class NoRuntime(SkyrigError):
    """The head has never been used by Skyrig: no keeper, so no job, was ever there."""


class KeeperLink:
    """An open line to a cluster's keeper. Made by `keeper`."""

    def __init__(self, desc: ClusterDescription, way: _Way, channel: Channel) -> None:
        self.desc = desc
        self.reader, self.writer = channel
        self.takes_mounts = self.takes_buckets = self.takes_preflights = self.has_samples = False
        self._way = way

    def broken(self, error: Exception) -> SkyrigError:
        """What it means that this line broke with `error`: the head is lost, or its keeper alone."""
        return self._way.broken(error)

    async def another(self) -> KeeperLink:
        """A second line over the same connection: following a job takes one for itself."""
        return KeeperLink(self.desc, self._way, await self._way.open())

    async def beside(self, module: str, *, fresh: bool = False) -> Channel:
        """A line to another standing process of ours on the head, started where it does not run (with `fresh` again
        where it is of another build than what the head has): `python -I -m MODULE ensure` tells where it answers."""
        return await self._way.beside(module, fresh=fresh)

    async def ask(self, message: Message, payload: bytes | None = None) -> Message:
        """One request and its answer. KeeperGone where none comes."""
        try:
            return (await ask(self.reader, self.writer, message, payload))[0]
        except (asyncssh.Error, OSError, EOFError) as error:
            raise _gone(error) from error

    async def hello(self, *, hold: bool = False) -> Message:
        """Ask who answers, and say who asks. With `hold` the cluster does not switch itself off meanwhile: until a job
        is submitted over this line, or it ends. SkyrigError where it is doing so already."""
        asking = {"release": code.RELEASE, "build": code.build(), "hold": hold}
        hello = await self.ask({"op": "hello", "digest": _digest(self.desc.public().to_json()), **asking})
        self.takes_mounts = bool(hello.get("mounts"))
        self.takes_buckets = bool(hello.get("buckets"))
        self.has_samples = bool(hello.get("samples"))
        self.takes_preflights = bool(hello.get("preflight"))
        return hello

    async def prepare(self, hello: Message) -> None:
        """See that the keeper, which answered `hello`, knows this cluster and can reach all its nodes."""
        if hello["known"]:
            return
        document = self.desc.public().to_json()
        answer = await self.ask({"op": "describe", "cluster": document})
        await _authorize(self.desc, answer["unprepared"], hello["public_key"], self._way.notify)
        failed = (await self.ask({"op": "prepare", "digest": _digest(document)}))["failed"]
        for node_id, reason in failed.items():
            raise NodeLost(f"the head cannot reach {node_id}: {reason}", node_id=node_id, hint="run `up`")

    async def autostop(self, wanted: Autostop | None) -> AutostopNote | None:
        """Set autostop, or with None cancel it; what is known of it then."""
        answer = await self.ask({"op": "autostop", "setting": wanted.orders() if wanted is not None else None})
        return read_note(json.dumps(answer["note"]))

    async def ttl(self, wanted: TimeToLive | None) -> AutostopNote | None:
        """Set when the cluster ends, or with None lift that; what is known of it then."""
        left_s = wanted.ends_at - time.time() if wanted is not None else 0.0
        setting = {"left_s": left_s, "said": wanted.said} if wanted is not None else None
        return read_note(json.dumps((await self.ask({"op": "ttl", "setting": setting}))["note"]))


def patience(desc: ClusterDescription) -> float:
    """How long whoever wants to run something waits for the cluster's nodes to let them in, in seconds."""
    is_met = _remembered(desc).get("boot") == desc.head.boot
    return BOOT_PATIENCE_S if is_met or desc.isolation != "machine" else FIRST_PATIENCE_S


@contextmanager
def _told(notify: Notify, what: str, patience_s: float) -> Iterator[None]:
    """Says once that a first boot is waited for, should that take long."""
    line = f"{what}: nobody is let in yet; a first boot is waited for, up to {patience_s / 60:.0f} minutes"
    after = asyncio.get_running_loop().call_later(_TOLD_AFTER_S, notify, line)
    if patience_s < FIRST_PATIENCE_S:
        after.cancel()
    try:
        yield
    finally:
        after.cancel()


@asynccontextmanager
async def keeper(
    desc: ClusterDescription,
    *,
    patience_s: float = LOOK_PATIENCE_S,
    prepare: bool = False,
    notify: Notify = lambda line: None,
) -> AsyncIterator[KeeperLink]:
    """A line to the keeper of the cluster, started where none runs. NodeLost if the head does not answer within
    `patience_s` seconds. `prepare` is for who wants to run something (SkyrigError where the cluster is switching itself
    off; it does not begin to meanwhile): a look at jobs does without the other nodes, and raises NoRuntime on a head
    that was never used."""
    target, key = from_description(desc, desc.head.id), Credentials(desc.ssh.private_key)
    async with AsyncExitStack() as stack:
        what = f"{desc.head.id} (the head)"
        with activity(notify, Step(Kind.WAIT, what, "is being reached")), _told(notify, what, patience_s):
            connection = await stack.enter_async_context(await connect(target, key, deadline_s=patience_s))
            way = _Way(desc, connection, notify)
            try:
                link = await _met(desc, way, prepare=prepare)
            except (asyncssh.Error, OSError, EOFError) as error:
                raise way.broken(error) from error
        try:
            yield link
        finally:
            link.writer.close()


async def _met(desc: ClusterDescription, way: _Way, *, prepare: bool) -> KeeperLink:
    """A line to the keeper, which is one that this client can speak with."""
    link = KeeperLink(desc, way, await way.open(install=prepare))
    hello = await link.hello(hold=prepare)
    if way.outdated(hello):
        link.writer.close()
        link = KeeperLink(desc, way, await way.renew())
        hello = await link.hello(hold=prepare)
        way.accept(hello)
    check_version(*hello["protocol"])
    if prepare:
        await link.prepare(hello)
    return link


def _gone(error: Exception) -> KeeperGone:
    return KeeperGone(f"the keeper went away: {error}", hint="run the same command again")


class _Way:
    """How the keeper of a cluster is reached over an open `connection` to its head."""

    def __init__(self, desc: ClusterDescription, connection: asyncssh.SSHClientConnection, notify: Notify) -> None:
        self._desc = desc
        self._connection = connection
        self.notify = notify
        self._known = _remembered(desc)

    def broken(self, error: Exception) -> SkyrigError:
        """NodeLost where the connection to the head is gone, else KeeperGone."""
        if self._connection.is_closed():
            head = self._desc.head.id
            return NodeLost(f"lost node {head} (the head): {loss_reason(self._connection)}", node_id=head)
        return _gone(error)

    async def open(self, *, install: bool = False) -> Channel:
        """A channel to the keeper's socket: where it was last time, else where `ensure` says it is. `install` brings
        the runtime to a foreign head that has none; else NoRuntime."""
        if "socket" in self._known:
            try:
                return await self._connection.open_unix_connection(self._known["socket"])
            except asyncssh.ChannelOpenError:
                pass  # its keeper is not running: `ensure` settles it
        said = await self._run("ensure")
        if "absent" in said:
            if not install:
                raise NoRuntime(f"no job ever ran on {self._desc.name}", hint="`launch` runs one")
            await self._install(said["absent"])
            said = await self._run("ensure", "--fresh")
        return await self._connect(said)

    def outdated(self, hello: Message) -> bool:
        """Whether the keeper that answered is to be replaced, being older than this client. On the local cloud the
        head has the code of the clone that made it; whether its keeper is older than that is found out once."""
        theirs = hello.get("build", "")
        if theirs == code.build():
            return False
        if self._desc.isolation != "machine":
            return self._known.get("accepted") != f"{code.build()} {theirs}"
        ours, its = _version(code.RELEASE), _version(hello.get("release", "0"))
        return not hello.get("superseded", False) if ours == its else ours > its

    def accept(self, hello: Message) -> None:
        """Remember that a client of this build works with a keeper of that one, which is all that there is."""
        self._remember(accepted=f"{code.build()} {hello.get('build', '')}")

    async def renew(self) -> Channel:
        """Have the head run the code that it shall run; what runs there goes on."""
        if self._desc.isolation == "machine":
            self.notify(f"the keeper on {self._desc.head.id} is of an older Skyrig; it is replaced, jobs go on")
            await self._install((await self._run("look"))["absent"])
        return await self._connect(await self._run("ensure", "--fresh"))

    def _remember(self, **news: str) -> None:
        """Keep something about the head for the next client."""
        head, file = self._desc.head, _memory(self._desc)
        self._known = {**self._known, "incarnation": head.incarnation, "boot": head.boot, **news}
        places.made(file.parent)
        fresh = file.with_name(f".keeper.{os.getpid()}")
        fresh.write_text(json.dumps(self._known))
        fresh.replace(file)

    async def _connect(self, said: dict[str, Any]) -> Channel:
        """A channel to the socket that `ensure` told. A keeper that died since is started again, a few times."""
        for _ in range(_KEEPER_TRIES):
            self._remember(socket=said["socket"])
            try:
                return await self._connection.open_unix_connection(said["socket"])
            except asyncssh.ChannelOpenError:
                said = await self._run("ensure")
        head = self._desc.head.id
        raise SkyrigError(f"the keeper on {head} dies as often as it starts", hint="see ~/.skyrig/keeper.log there")

    async def _install(self, about: list[str]) -> None:
        """Bring the runtime to a head that is what `about` (system, machine, musl's loader if any) says."""
        from skyrig.launch.runtime import sending, sources

        system, machine, *loaders = about
        platform = sources.PLATFORMS.get(machine)
        if system != "Linux" or platform is None or any("*" not in loader for loader in loaders):
            what = f"{system} on {machine}" + (" with musl" if system == "Linux" and platform else "")
            known = " and ".join(sources.PLATFORMS)
            raise SkyrigError(f"{self._desc.head.id} is {what}", hint=f"a head needs Linux with glibc, on {known}")
        await sending.install(self._connection, self._desc.head.id, platform, self.notify)

    async def beside(self, module: str, *, fresh: bool = False) -> Channel:
        """A channel to another standing process of ours, which `module` is started by; with `fresh` to one of the build
        that the head has now."""
        said = await self._run("ensure", *(["--fresh"] if fresh else []), module=module)
        return await self._connection.open_unix_connection(said["socket"])

    async def _run(self, *words: str, module: str = _KEEPER) -> dict[str, Any]:
        """What the head's runtime says to `words` for `module`, or {"absent": [...]} where there is none."""
        ran = await self._connection.run(nodeside.shell(_ENSURE, module, *words), encoding=None)
        for line in reversed(_bytes(ran.stdout).splitlines()):
            if line.startswith(b"skyrig-absent ") and (words == ("look",) or self._desc.isolation == "machine"):
                return {"absent": line.decode(errors="replace").split()[1:]}
            if line.startswith(b'{"socket"'):
                said: dict[str, Any] = json.loads(line)
                return said
        head = self._desc.head.id
        if ran.returncode is None or ran.returncode < 0:
            raise KeeperGone(f"what starts the keeper on {head} was cut off", hint="run the same command again")
        reason = _bytes(ran.stderr).decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise SkyrigError(f"the keeper did not start on {head}: {reason[0]}", hint="see ~/.skyrig/keeper.log there")


def _memory(desc: ClusterDescription) -> Path:
    """Where it is kept what is known of a cluster's head."""
    return places.stack(desc.name) / "keeper.json"


def _remembered(desc: ClusterDescription) -> dict[str, str]:
    """What is known of this very head; nothing where it is another machine by now."""
    try:
        known: dict[str, str] = json.loads(_memory(desc).read_text())
        return known if known["incarnation"] == desc.head.incarnation else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _bytes(output: object) -> bytes:
    return output if isinstance(output, bytes) else b""


def _version(text: str) -> tuple[int, ...]:
    """A release as something that can be compared."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


async def _authorize(desc: ClusterDescription, node_ids: Sequence[str], public_key: str, notify: Notify) -> None:
    """Let the keeper's key into these nodes, all at once, with the client's own key."""
    command, stdin = nodeside.program("prepare", {"authorize": [public_key]})
    targets = [from_description(desc, node_id) for node_id in node_ids]
    wait_s = FIRST_PATIENCE_S if desc.isolation == "machine" else BOOT_PATIENCE_S  # they may have been made just now
    async with Pool(Credentials(desc.ssh.private_key), deadline_s=wait_s) as pool:
        with _told(notify, ", ".join(node_ids), wait_s):
            done = await fanout.run_all(pool, targets, command, stdin=stdin, timeout_s=60)
    for node_id, result in done.items():
        if result.code != 0:
            reason = result.stderr.decode(errors="replace").strip()[-200:]
            raise NodeLost(f"{node_id} could not be prepared: {reason}", node_id=node_id, hint="run `up`")
