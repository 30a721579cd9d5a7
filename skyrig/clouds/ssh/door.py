"""Questions to machines, many at once: our program is sent with each, and gone with its answer."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import cache
from importlib import resources
from typing import Any

from skyrig.clouds.ssh.ways import Way
from skyrig.errors import SkyrigError
from skyrig.fleet.connection import connect
from skyrig.fleet.deadline import timeout
from skyrig.fleet.ssh import asyncssh

MARK = "skyrig-ssh "
"""Begins the line of an answer: what the login's start-up files print is none."""

ANSWER_S = 60.0
"""How long one question may take, in seconds."""

REACH_S = 6.0
"""How long a machine that does not answer is tried, in seconds."""

_PARTS = (
    "skyrig.fleet.content",
    "skyrig.fleet.stamp",
    "skyrig.fleet.receiver",
    "skyrig.clouds.ssh.tidy",
    "skyrig.clouds.ssh.files",
    "skyrig.clouds.ssh.lent",
)
"""Our program there, each part after those that it imports; the last one answers. Standard library alone."""

_MODULES = """\
import sys, types
for name, text in {modules!r}:
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(text, name, "exec"), module.__dict__)
"""

_RUN = (
    "import json,sys; m=json.loads(sys.stdin.buffer.readline()); t=m['program']; "
    "old = '\\nskyrig-ssh ' + json.dumps({'error': 'python3 is older than 3.8'}); "
    "sys.version_info < (3, 8) and sys.exit(print(old)); "
    "exec(t, {}); sys.modules['skyrig.clouds.ssh.lent'].main(m['given'], t)"
)
_PYTHON = (
    'p=$(command -v python3) || { echo \'skyrig-ssh {"error": "there is no python3"}\'; exit 0; }; exec "$p" -I -S "$@"'
)


class NoAnswer(SkyrigError):
    """A machine cannot be reached, or says nothing."""


class SaysNo(SkyrigError):
    """A machine's answer is that it cannot."""


@cache
def program() -> str:
    """The text of what is run there."""
    texts = []
    for name in _PARTS:
        package, _, part = name.rpartition(".")
        texts.append((name, resources.files(package).joinpath(f"{part}.py").read_text(encoding="utf-8")))
    return _MODULES.format(modules=texts)


Asked = tuple[Way, Mapping[str, Any]]
"""A machine, and what it is asked: `verb` and what belongs to it."""


def asked(questions: Sequence[Asked], reach_s: float = REACH_S) -> list[dict[str, Any] | SkyrigError]:
    """The answers to questions that are put at once, in their order; the error of each that has none."""
    return asyncio.run(_asked(questions, reach_s)) if questions else []


def ask(way: Way, reach_s: float = REACH_S, **given: Any) -> dict[str, Any]:
    """The answer to one question. SaysNo where the machine cannot; the error of the connection where there is none."""
    (found,) = asked([(way, given)], reach_s)
    if isinstance(found, SkyrigError):
        raise found
    return found


async def _asked(questions: Sequence[Asked], reach_s: float) -> list[dict[str, Any] | SkyrigError]:
    async with AsyncExitStack() as stack:
        rooms = _Rooms(stack, reach_s)

        async def one(way: Way, given: Mapping[str, Any]) -> dict[str, Any] | SkyrigError:
            try:
                return await _answer(await rooms.connection(way), way, given)
            except SkyrigError as error:
                return error

        return list(await asyncio.gather(*(one(way, given) for way, given in questions)))


class _Rooms:
    """Connections, one a machine, closed together."""

    def __init__(self, stack: AsyncExitStack, reach_s: float) -> None:
        self._stack = stack
        self._reach_s = reach_s
        self._opening: dict[str, asyncio.Task[asyncssh.SSHClientConnection]] = {}

    async def connection(self, way: Way) -> asyncssh.SSHClientConnection:
        """The connection to a machine, opened once."""
        if way.title not in self._opening:
            self._opening[way.title] = asyncio.ensure_future(self._open(way))
        return await asyncio.shield(self._opening[way.title])

    async def _open(self, way: Way) -> asyncssh.SSHClientConnection:
        via = await self.connection(way.before) if way.before is not None else None
        made = await connect(way.target, way.credentials(), timeout_s=self._reach_s, deadline_s=self._reach_s, via=via)
        self._stack.push_async_callback(_closed, made)
        return made


async def _closed(connection: asyncssh.SSHClientConnection) -> None:
    connection.abort()
    await connection.wait_closed()


async def _answer(connection: asyncssh.SSHClientConnection, way: Way, given: Mapping[str, Any]) -> dict[str, Any]:
    command = shlex.join(["exec", "/bin/sh", "-c", _PYTHON, "sh", "-c", _RUN])
    sent = json.dumps({"program": program(), "given": dict(given)}) + "\n"
    try:
        async with timeout(ANSWER_S):
            done = await connection.run(command, input=sent, errors="replace")
    except asyncio.TimeoutError:
        raise NoAnswer(f"{way.title} gave no answer within {ANSWER_S:g} s") from None
    except (asyncssh.Error, OSError) as error:
        raise NoAnswer(f"{way.title}: the connection broke: {error}") from error
    for line in str(done.stdout).splitlines():
        if line.startswith(MARK):
            answer: dict[str, Any] = json.loads(line[len(MARK) :])
            if "error" in answer:
                raise SaysNo(f"{way.title}: {answer['error']}", hint=answer.get("hint"))
            return answer
    said = str(done.stderr).strip().splitlines()
    raise NoAnswer(f"{way.title} gave no answer: {said[-1] if said else f'code {done.exit_status}'}")
