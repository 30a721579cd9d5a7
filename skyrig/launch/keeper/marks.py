"""What a node itself remembers of the last setup that succeeded there: a file of its own, for a keeper on another head
after this one is lost.

It holds what decides whether setup must run again as HMACs, and the salt that they were made with: a keeper that has
nothing but this file must be able to compare. So who reads it can try out values of variables, at the price of one
HMAC each, and of a secret at that of _ROUNDS. That is acceptable: the file is its user's alone (0600), who sees each of
these values in the environment of the processes of every job on that node, without trying; and secrets that are not to
be guessed at once, as tokens and keys are, are not found by trying. None of the values is in it.

An image (skyrig.images) brings the file along to every node that begins with it, as the mark of no node's life but its
own, and without what was made of secrets: a setup is the same whoever's tokens it was done with.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Collection, Mapping, Sequence

from attrs import evolve, field, frozen

from skyrig.cluster.description import Node
from skyrig.errors import SkyrigError
from skyrig.fleet import fanout
from skyrig.fleet.pool import Pool
from skyrig.fleet.target import inside
from skyrig.launch.job import JobRequest

FILE = "~/.skyrig/setup.json"
"""The file. A supervisor removes it before it starts a setup."""

IMAGE = "image"
"""Stands for the life of a node in a mark that came with its image: no setup has run there since, or it were gone."""

_READ = f"cat {FILE} 2>/dev/null || true"
_WRITE = f"umask 077; cat > {FILE}.part && mv {FILE}.part {FILE}"

_ROUNDS = 200_000
"""Rounds of PBKDF2 over a secret: about a tenth of a second."""

_PATIENCE_S = 20.0


@frozen
class Mark:
    """Of one node in its life `life` (Node's)."""

    life: str
    salt: str = field(repr=False)
    parts: Mapping[str, str]

    @property
    def is_of_image(self) -> bool:
        """Whether it came with the image that the node began with."""
        return self.life == IMAGE

    def of_image(self, secrets: Collection[str]) -> Mark:
        """The same for an image; `secrets` are names of the secrets that the setup had."""
        parts = {name: value for name, value in self.parts.items() if name.removeprefix("variable:") not in secrets}
        return Mark(IMAGE, self.salt, parts)

    def text(self) -> str:
        """As the file has it."""
        return json.dumps({"version": 1, "life": self.life, "salt": self.salt, "parts": dict(self.parts)})


def salt() -> str:
    """A new one."""
    return secrets.token_hex(16)


def hardened(request: JobRequest, salt: str) -> JobRequest:
    """The request with other values for its secrets, from which they are hard to guess. Takes its time."""
    made = {
        name: hashlib.pbkdf2_hmac("sha256", value.encode(errors="surrogateescape"), bytes.fromhex(salt), _ROUNDS).hex()
        for name, value in request.secrets.items()
    }
    return evolve(request, secrets=made)


async def read(pool: Pool, nodes: Sequence[Node]) -> dict[str, Mark]:
    """What nodes remember of their present lives, by id."""
    done = await fanout.run_each(pool, [inside(node) for node in nodes], _READ, timeout_s=_PATIENCE_S)
    found: dict[str, Mark] = {}
    for node in nodes:
        result = done[node.id]
        mark = None if isinstance(result, SkyrigError) else parsed(result.stdout)
        if mark is not None and mark.life in (node.life, IMAGE):
            found[node.id] = mark
    return found


async def write(pool: Pool, marks: Mapping[Node, Mark]) -> None:
    """Have nodes remember; one that does not loses a setup that would do, when the head is lost too."""

    async def one(node: Node, mark: Mark) -> None:
        try:
            await fanout.run(pool, inside(node), _WRITE, stdin=mark.text().encode(), timeout_s=_PATIENCE_S)
        except SkyrigError:
            return

    await asyncio.gather(*(one(node, mark) for node, mark in marks.items()))


def parsed(text: bytes) -> Mark | None:
    """The mark in what a node has printed of its file; None where there is none that this version can read."""
    for line in text.splitlines():  # a node's shell start-up files may print something first
        try:
            said = json.loads(line)
            if said["version"] == 1:
                bytes.fromhex(said["salt"])
                return Mark(str(said["life"]), str(said["salt"]), {**said["parts"]})
        except (ValueError, KeyError, TypeError):
            continue
    return None
