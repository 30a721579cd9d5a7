"""The way to a cluster's login node, and our program there: sent with each question, gone with its answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from attrs import frozen

from skyrig.cluster.description import ClusterDescription
from skyrig.errors import BadInput, SkyrigError
from skyrig.fleet import fanout
from skyrig.fleet.connection import Credentials
from skyrig.fleet.pool import Pool
from skyrig.fleet.target import Target, from_description
from skyrig.launch import nodeside
from skyrig.schedulers.slurm import site

ANSWER_S = 120.0
"""How long one question to the login node may take, in seconds: a busy slurmctld takes its time."""

MARK = b"skyrig-slurm "
"""Begins the line of an answer: what the login's start-up files print is none."""


@frozen
class Way:
    """How a login node is reached."""

    target: Target
    credentials: Credentials
    cluster: str = ""


def of(desc: ClusterDescription) -> Way:
    """The way into a cluster: with the user's own key where the description names one, else with the cluster's."""
    key = site.private_key(Path(desc.ssh.identity)) if desc.ssh.identity else desc.ssh.private_key
    return Way(from_description(desc, desc.head.id), Credentials(key), desc.name)


def of_site(found: site.Site) -> Way:
    """The way to a cluster of the user's config."""
    return Way(found.login, Credentials(site.private_key(found.identity)))


@asynccontextmanager
async def opened(way: Way) -> AsyncIterator[Pool]:
    """Connections that are closed with the block."""
    async with Pool(way.credentials) as pool:
        yield pool


async def ask(pool: Pool, target: Target, verb: str, **given: Any) -> Any:
    """What our program on the login node answers. BadInput where it says that what was asked is wrong, SkyrigError
    where Slurm, or the machine, said no."""
    command, stdin = command_of(verb, **given)
    done = await fanout.run(pool, target, command, stdin=stdin, timeout_s=ANSWER_S)
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            answer = json.loads(line[len(MARK) :])
            if "error" in answer:
                kind = BadInput if answer.get("bad") else SkyrigError
                raise kind(answer["error"], hint=answer.get("hint"))
            return answer["answer"]
    said = done.stderr.decode(errors="replace").strip().splitlines()
    raise SkyrigError(f"{target.where} gave no answer: {said[-1] if said else f'code {done.code}'}")


def command_of(verb: str, **given: Any) -> tuple[str, bytes]:
    """(command, stdin) of our program on the login node."""
    return nodeside.sent(_program(), {**given, "verb": verb})


@cache
def _program() -> str:
    return _module("asking", "login") + "\nmodule.main(given)\n"


@cache
def node_program() -> str:
    """The text of node.py, which runs inside jobs."""
    return _module("ground", "rank", "batch") + "\nsys.exit(module.main(sys.argv[1]))\n"


def _module(*names: str) -> str:
    """Modules of this package as one text for a node, the last one under the name `module`."""
    return nodeside.modules(*(f"skyrig.schedulers.slurm.{name}" for name in names))


def asked(way: Way, verb: str, **given: Any) -> Any:
    """`ask` for who has no event loop."""

    async def once() -> Any:
        async with opened(way) as pool:
            return await ask(pool, way.target, verb, **given)

    return asyncio.run(once())
