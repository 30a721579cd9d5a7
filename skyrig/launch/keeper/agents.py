"""Programs of ours on nodes that take orders for as long as a preflight lasts (skyrig.preflight.agent).

An agent ends when its input does: with its session, so with this process. Nothing on a node has to be cleared up.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

from skyrig.cluster.description import Node
from skyrig.errors import NodeLost, SkyrigError
from skyrig.fleet.deadline import timeout
from skyrig.fleet.pool import Pool
from skyrig.fleet.process import begin
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import inside
from skyrig.launch import nodeside
from skyrig.preflight.clocks import Reading
from skyrig.preflight.findings import Findings

T = TypeVar("T")

_LIFE_S = 900
"""Seconds without a new order after which an agent ends by itself, whoever holds its session: no order takes longer."""

_ANSWER = b'{"id": '
"""How each answer of an agent begins."""

TIME_IS_UP = "time is up"
"""Why a ring was broken off that took too long (the agent's word)."""

_BREAKS = (asyncssh.Error, OSError, EOFError, ValueError)
"""What a session raises that breaks, or whose other end says what no agent says."""


class Agent:
    """One node's."""

    def __init__(self, node: Node, process: asyncssh.SSHClientProcess[bytes], answer_s: float) -> None:
        self.node = node
        self.port = 0
        self._process = process
        self._answer_s = answer_s
        self._numbers = itertools.count(1)

    async def ask(self, op: str, *, within_s: float | None = None, **order: Any) -> dict[str, Any]:
        """Give an order, and wait for its answer. NodeLost where none comes within `within_s` seconds."""
        number = next(self._numbers)
        within_s = self._answer_s if within_s is None else within_s
        try:
            async with timeout(within_s):
                self._process.stdin.write(json.dumps({"op": op, "id": number, **order}).encode() + b"\n")
                while True:
                    line = await self._process.stdout.readuntil(b"\n")
                    if not line.startswith(_ANSWER):  # a node's shell start-up files may print something first
                        continue
                    answer: dict[str, Any] = json.loads(line)
                    if answer["id"] == number:
                        return answer
        except asyncio.TimeoutError:
            raise self._lost(f"it did not answer within {within_s:.0f} s") from None
        except _BREAKS as error:
            raise self._lost(await self._said() or "its session broke") from error

    async def clock(self) -> Reading:
        """Look at the node's clock."""
        asked = time.time()
        answer = await self.ask("clock")
        return Reading(asked, float(answer["clock"]), time.time())

    async def look(self) -> Findings:
        """What the node has. BadFindings where that makes no sense."""
        return Findings.from_json((await self.ask("probe"))["found"])

    async def run(self, words: Sequence[str], env: Mapping[str, str], limit_s: float) -> tuple[int, str]:
        """Run a program there: its exit code (-1: it took longer than `limit_s` seconds, or is not there) and the end
        of what it said, both outputs together."""
        order = {"words": list(words), "env": dict(env), "limit_s": limit_s}
        answer = await self.ask("run", within_s=limit_s + self._answer_s, **order)
        return int(answer["code"]), str(answer["said"])

    async def free_port(self) -> int:
        """A port of the node that nothing listens at now."""
        return int((await self.ask("port"))["port"])

    async def listen(self) -> None:
        """Have it listen for others. SkyrigError where it cannot."""
        answer = await self.ask("listen")
        if "problem" in answer:
            raise SkyrigError(f"{self.node.id} cannot listen at {self.node.address}: {answer['problem']}")
        self.port = int(answer["port"])

    async def _said(self) -> str:
        """The last line of what its program complained of."""
        with suppress(asyncio.TimeoutError, *_BREAKS):
            async with timeout(1.0):
                said = (await self._process.stderr.read()).decode(errors="replace").strip()
                return said.splitlines()[-1] if said else ""
        return ""

    def _lost(self, why: str) -> NodeLost:
        return NodeLost(f"{self.node.id} cannot be measured: {why}", node_id=self.node.id)


@asynccontextmanager
async def started(
    pool: Pool, nodes: Sequence[Node], answer_s: float
) -> AsyncIterator[tuple[dict[str, Agent], dict[str, str]]]:
    """Agents on `nodes` by id, which listen for each other; and why there is none on a node, by its id."""
    token = secrets.token_hex(12)
    async with AsyncExitStack() as stack:
        agents: dict[str, Agent] = {}
        failed: dict[str, str] = {}

        async def start(node: Node) -> None:
            given = {"address": node.address, "token": token, "life_s": _LIFE_S}
            command, stdin = nodeside.agent(given)
            try:
                async with timeout(answer_s):
                    connection = await stack.enter_async_context(pool.session(inside(node)))
                    process = await begin(connection, command)
                    stack.callback(_end, process)
                    process.stdin.write(stdin)
                agent = Agent(node, process, answer_s)
                await agent.listen()
                agents[node.id] = agent
            except asyncio.TimeoutError:
                failed[node.id] = f"it did not answer within {answer_s:.0f} s"
            except SkyrigError as error:
                failed[node.id] = error.message
            except _BREAKS as error:
                failed[node.id] = f"its session broke: {error}"

        await asyncio.gather(*(start(node) for node in nodes))
        yield {node.id: agents[node.id] for node in nodes if node.id in agents}, failed


def _end(process: asyncssh.SSHClientProcess[bytes]) -> None:
    """Let go of an agent: it ends when its input does."""
    with suppress(OSError):
        process.stdin.write_eof()
    process.close()


async def together(orders: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What comes of these, once all of them are over: an agent gives one answer at a time, and has none left to give
    when the next order comes. Raises what the first of them has raised."""
    outcomes = await asyncio.gather(*orders, return_exceptions=True)
    answers = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        answers.append(outcome)
    return answers


async def ring(agents: Sequence[Agent], size: int, limit_s: float) -> tuple[float, float, str]:
    """Have these agents do what an all-reduce of `size` bytes does to their links: bytes a second that each link
    carried at least, which is the bus bandwidth, the seconds that it took, and why it was broken off, if it was.
    NodeLost where one of them does not answer."""
    members = len(agents)
    chunk = max(1, size // members)
    name = secrets.token_hex(8)  # no two have the same: connections of one that broke off may still wait somewhere
    orders = [
        {
            "ring": name,
            "next": [after.node.address, after.port],
            "members": members,
            "steps": 2 * (members - 1),
            "chunk": chunk,
            "limit_s": limit_s,
        }
        for after in (*agents[1:], agents[0])
    ]
    asked = zip(agents, orders, strict=True)
    within_s = limit_s + 10.0
    answers = await together(agent.ask("ring", within_s=within_s, **order) for agent, order in asked)
    seconds = max(answer["seconds"] for answer in answers)
    came = min(answer["bytes"] for answer in answers)
    problems = [answer["problem"] for answer in answers if answer["problem"]]
    problem = TIME_IS_UP if TIME_IS_UP in problems else "".join(problems[:1])
    return (came / seconds if seconds > 0 else 0.0), seconds, problem
