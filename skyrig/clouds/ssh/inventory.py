"""The user's own machines, as they are listed: pools, and how each machine is reached.

Skyrig's own file is `ssh.yaml` in SKYRIG_HOME, or the one that SKYRIG_SSH_MACHINES names; beside it counts SkyPilot's
`~/.sky/ssh_node_pools.yaml` (skyrig.clouds.ssh.skypilot). A pool that is in both is the one of Skyrig's own file.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from skyrig import places
from skyrig.catalog import facts
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from skyrig.task.node import Node
    from skyrig.task.problems import Problems

FILE = "SKYRIG_SSH_MACHINES"
"""Variable that names the file of machines; without it, `ssh.yaml` in SKYRIG_HOME."""

PREFIX = "ssh-"
"""Before a pool's name in a region, as SkyPilot has it."""

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,50}"
"""What pools, machines and gates may be called."""


@frozen
class Machine:
    """One machine of a pool, or a gate: a machine that others are reached through and that is no node. `host`:`port`
    is where it is reached, from here or from its `jump` (the name of another machine of the pool, or of a gate);
    `address`:`internal_port` where the head of a cluster reaches it. `host_key` "": it is in the user's known_hosts,
    under `alias`. `accelerator`, `count`, `cpus`, `memory_gib` are 0 or "" where they are looked at there. `where` is
    its place in the file."""

    pool: str
    name: str
    host: str
    port: int = 22
    user: str = ""
    identity_file: str = ""
    host_key: str = ""
    alias: str = ""
    jump: str = ""
    address: str = ""
    internal_port: int = 0
    accelerator: str = ""
    count: int = 0
    cpus: float = 0
    memory_gib: float = 0
    labels: dict[str, str] = field(factory=dict)
    is_gate: bool = False
    where: str = ""

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.pool}/{self.name}"


@frozen
class Pool:
    """Machines that a cluster may be made of, and the gates before them."""

    name: str
    machines: tuple[Machine, ...]
    gates: tuple[Machine, ...] = ()

    @property
    def region(self) -> str:
        """What it is called where a region is wanted."""
        return PREFIX + self.name

    def way(self, name: str) -> Machine:
        """The machine or gate called `name`; KeyError where there is none."""
        for each in (*self.machines, *self.gates):
            if each.name == name:
                return each
        raise KeyError(name)


@frozen
class Inventory:
    """All pools. `name` is what the account is called that they make up, `digest` another one for other files."""

    pools: tuple[Pool, ...] = ()
    name: str = "own-machines"
    digest: str = ""

    def pool(self, region: str) -> Pool:
        """The pool of a region; BadInput where there is none."""
        for each in self.pools:
            if each.region == region:
                return each
        there = ", ".join(each.name for each in self.pools) or "none"
        raise BadInput(
            f"no pool of your own machines is called {region.removeprefix(PREFIX)}",
            hint=f"{own_file()} lists them; there: {there}",
        )

    def of_region(self, region: str | None) -> tuple[Pool, ...]:
        """The pool of a region, or all ("", None); none where there is no such pool."""
        return tuple(each for each in self.pools if not region or each.region == region)


def own_file() -> Path:
    """Skyrig's own file of machines; perhaps not there."""
    given = os.environ.get(FILE)
    return Path(given).expanduser().absolute() if given else places.home() / "ssh.yaml"


def skypilots_file() -> Path:
    """SkyPilot's; perhaps not there."""
    return Path("~/.sky/ssh_node_pools.yaml").expanduser()


def files() -> tuple[Path, ...]:
    """Those of the two that are there."""
    return tuple(file for file in (own_file(), skypilots_file()) if file.is_file())


def read() -> Inventory:
    """All that is listed; nothing where there is no file. BadInput with every line that is wrong, as
    FILE:LINE:COLUMN: field: why."""
    found = tuple((file, file.read_bytes()) for file in files())
    return _read(found, own_file())


@functools.lru_cache(maxsize=4)
def _read(found: tuple[tuple[Path, bytes], ...], own: Path) -> Inventory:
    from skyrig.clouds.ssh import skypilot
    from skyrig.task import document  # YAML: only where there is such a file
    from skyrig.task.problems import Problems

    problems = Problems()
    pools: dict[str, Pool] = {}
    said: dict[str, Any] = {}
    for file, text in found:
        documents = document.loads(text.decode("utf-8-sig", errors="replace"), str(file), problems)
        for extra in documents[1:]:
            extra.note("one document is wanted")
        if not documents:
            continue
        if file == own:
            said = documents[0].read(_own, {})
            listed = said.get("pools", {})
        else:
            listed = documents[0].read(skypilot.pools, {})
        pools = {**listed, **pools}
    problems.raise_if_any()
    digest = hashlib.sha256(b"\0".join(part for file, text in found for part in (os.fsencode(file), text))).hexdigest()
    return Inventory(tuple(pools.values()), said.get("name", Inventory().name), digest)


def _own(node: Node) -> dict[str, Any]:
    table = {"name": lambda each: each.matching(NAME, "a name"), "pools": _pools}
    return node.read_fields(table, null_is_absent=True)


def _pools(node: Node) -> dict[str, Pool]:
    found = {name: each.read(functools.partial(_pool, name), None) for name, each in node.fields().items()}
    return {name: pool for name, pool in found.items() if pool is not None}


def named(node: Node, name: str) -> str:
    """`name` where a pool, machine or gate may be called so."""
    if not re.fullmatch(NAME, name):
        raise node.wrong(f"{name!r} is no name: letters, digits, '.', '_' and '-', 51 at most")
    return name


def _pool(name: str, node: Node) -> Pool:
    named(node, name)
    shared: dict[str, Callable[[Node], Any]] = {key: SHARED[key] for key in ("user", "identity_file", "port")}
    said = node.read_fields(
        {
            **shared,
            "machines": lambda each: dict(each.fields()),
            "gates": lambda each: dict(each.fields()),
        },
        null_is_absent=True,
    )
    usual = {key: said[key] for key in shared if key in said}
    machines = _machines(name, said.get("machines", {}), usual)
    if not machines and (not said.get("machines") or "machines" not in node.fields()):
        node.note("machines are wanted: a mapping of names to `host: ...`")
    pool = Pool(name, machines, _machines(name, said.get("gates", {}), usual, is_gate=True))
    check(pool, node.problems, {**said.get("machines", {}), **said.get("gates", {})})
    return pool


def _machines(
    pool: str, listed: dict[str, Node], usual: dict[str, Any], *, is_gate: bool = False
) -> tuple[Machine, ...]:
    made = [node.read(functools.partial(_machine, pool, name, usual, is_gate), None) for name, node in listed.items()]
    return tuple(each for each in made if each is not None)


def _machine(pool: str, name: str, usual: dict[str, Any], is_gate: bool, node: Node) -> Machine:
    named(node, name)
    said = {**usual, **node.read_fields({**SHARED, **({} if is_gate else _FACTS)}, null_is_absent=True)}
    if "host" not in said and "host" not in node.fields():
        node.note("host is wanted")
    accelerator, count = said.pop("accelerators", ("", 0))
    made = Machine(pool, name, said.pop("host", ""), is_gate=is_gate, where=str(node.where), **said)
    return evolve(made, accelerator=accelerator, count=count)


_LABEL = r"\w(?:[\w-]{0,61}\w)?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*\.?"


def host_of(node: Node) -> str:
    """A host name or an address, one of IPv6 without its brackets. A port is a field of its own."""
    text = node.filled_text()
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        pass
    else:
        return bare
    if re.fullmatch(rf"(\[.*\]|{_HOST}):[0-9]+", text):
        raise node.wrong(f"{text!r}: a host name or address is wanted; `port` is a field of its own")
    if bare != text or len(text) > 253 or not re.fullmatch(_HOST, text):
        raise node.wrong(f"{text!r}: a host name or address is wanted: one, and nothing beside it")
    return text


def _host_key(node: Node) -> str:
    line = node.matching(r"(ssh-|ecdsa-|sk-)\S+ [A-Za-z0-9+/=]+( .*)?", "an OpenSSH line, ssh-ed25519 AAAA...,")
    return " ".join(line.split()[:2])


def _accelerators(node: Node) -> tuple[str, int]:
    said = node.matching(r"[A-Za-z0-9][A-Za-z0-9._-]*(:[1-9][0-9]{0,2})?", "NAME:COUNT, H100:8,")
    name, _, count = said.partition(":")
    known: Iterable[str] = facts.common("accelerators")["accelerators"]
    return next((each for each in known if each.lower() == name.lower()), name), int(count or 1)


def _labels(node: Node) -> dict[str, str]:
    return {name: str(each.plain()) for name, each in node.fields().items()}


SHARED: dict[str, Callable[[Any], Any]] = {
    "host": host_of,
    "port": lambda each: each.whole(1, 65535),
    "user": lambda each: each.matching(r"[^\s@:-][^\s@:]*", "the name of a user"),
    "identity_file": lambda each: each.filled_text(),
    "host_key": _host_key,
    "jump": lambda each: each.filled_text(),
}
"""Fields of machines and gates."""

_FACTS: dict[str, Callable[[Any], Any]] = {
    "address": host_of,
    "internal_port": lambda each: each.whole(1, 65535),
    "accelerators": _accelerators,
    "cpus": lambda each: each.number(1),
    "memory_gib": lambda each: each.number(1),
    "labels": _labels,
}


def check(pool: Pool, problems: Problems, nodes: dict[str, Node]) -> None:
    """Note what machines of a pool say of each other that cannot be: a name or a machine twice, a jump to nobody or in
    a ring."""
    there: dict[tuple[str, int, str, str], str] = {}
    for each in pool.machines:
        first = there.setdefault((each.host, each.port, each.user, each.jump), each.name)
        if first != each.name:
            nodes[each.name].note(f"{each.host}:{each.port} is {first} already: a machine is lent to one node")
    names = [each.name for each in (*pool.machines, *pool.gates)]
    for each in (*pool.machines, *pool.gates):
        node = nodes[each.name]
        if names.count(each.name) > 1:
            node.note(f"{each.name} is a machine and a gate")
        seen = [each.name]
        while (jump := pool.way(seen[-1]).jump) and jump in names and jump not in seen:
            seen.append(jump)
        if jump and jump not in names:
            if len(seen) == 1:  # others that lead there are not wrong themselves
                node.note(f"jump: {jump!r} is neither a machine nor a gate of the pool")
        elif jump == each.name and each.name == min(seen):
            node.note(f"jump: {' -> '.join([*seen, jump])} is a ring")


def settled(machine: Machine, user: str) -> Machine:
    """`machine` with what is usual where nothing is said."""
    return evolve(
        machine,
        user=machine.user or user,
        address=machine.address or machine.host,
        internal_port=machine.internal_port or machine.port,
        alias=machine.alias or machine.host,
    )
