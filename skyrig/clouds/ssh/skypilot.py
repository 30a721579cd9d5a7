"""Pools in SkyPilot's form: NAME -> `hosts`, with `user` and `identity_file` of all of them or of one.

A host is an address, or the name of one in ~/.ssh/config: then what the user's OpenSSH makes of it counts.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skyrig.clouds.ssh.inventory import NAME, SHARED, Machine, Pool, check, named, own_file

if TYPE_CHECKING:
    from skyrig.task.node import Node

_NO_PASSWORD = "Skyrig never logs in with a password: a key is wanted (identity_file), and sudo is not used"

_ASK_S = 10.0


def pools(node: Node) -> dict[str, Pool]:
    """The pools of a file by name."""
    found = {name: each.read(functools.partial(_pool, name), None) for name, each in node.fields().items()}
    return {name: pool for name, pool in found.items() if pool is not None}


def _pool(name: str, node: Node) -> Pool:
    named(node, name)
    said = node.read_fields({**_ACCESS, "hosts": lambda each: each.items()}, null_is_absent=True)
    usual: dict[str, Any] = {key: said[key] for key in ("user", "identity_file") if key in said}
    if "hosts" not in node.fields():
        node.note("hosts is wanted: a list")
    machines: dict[str, Machine] = {}
    gates: dict[str, Machine] = {}
    nodes: dict[str, Node] = {}
    for each in said.get("hosts", ()):
        made = each.read(lambda one: _machine(name, one, usual, gates), None)
        if made is not None and made.name in machines:
            each.note(f"{made.host} stands there twice")
        elif made is not None:
            machines[made.name], nodes[made.name] = made, each
    pool = Pool(name, tuple(machines.values()), tuple(gates.values()))
    check(pool, node.problems, {**dict.fromkeys(gates, node), **nodes})
    return pool


def _refused(node: Node) -> None:
    raise node.wrong(_NO_PASSWORD)


_ACCESS: dict[str, Any] = {
    "user": SHARED["user"],
    "identity_file": SHARED["identity_file"],
    "password": _refused,
}


def _machine(pool: str, node: Node, usual: Mapping[str, Any], gates: dict[str, Machine]) -> Machine:
    if isinstance(node.data, str):
        said: dict[str, Any] = {"ip": SHARED["host"](node)}
    else:
        said = node.read_fields({**_ACCESS, "ip": SHARED["host"]}, null_is_absent=True)
        if "ip" not in said:
            raise node.wrong("ip is wanted")
    host = said.pop("ip")
    way = _openssh(host)
    for key, why in (("proxycommand", "runs no ProxyCommand"), ("proxyjump", "goes through one ProxyJump alone")):
        if way.get(key, "none") != "none" and (key == "proxycommand" or "," in way[key]):
            raise node.wrong(f"{host}: Skyrig {why}; {own_file()} takes a `jump` for each machine and gate")
    return _resolved(pool, host, {**usual, **said}, gates, str(node.where))


def _resolved(
    pool: str, host: str, said: Mapping[str, Any], gates: dict[str, Machine], where: str, *, is_gate: bool = False
) -> Machine:
    """The machine that `host` stands for; the one that it is reached through goes into `gates`."""
    theirs = _openssh(host)
    jump = theirs.get("proxyjump", "none")
    before = ""
    if jump != "none" and not is_gate:
        user, _, rest = jump.rpartition("@")
        name, port = _of_jump(rest)
        gate = _resolved(pool, name, {"user": user} if user else {}, gates, where, is_gate=True)
        before = f"gate-{gate.name}"
        gates[before] = Machine(
            pool, before, gate.host, int(port or gate.port), gate.user, gate.identity_file, alias=gate.alias,
            is_gate=True, where=where,
        )  # fmt: skip
    return Machine(
        pool,
        re.sub(r"[^A-Za-z0-9._-]", "-", host) if not re.fullmatch(NAME, host) else host,
        theirs.get("hostname", host),
        int(theirs.get("port", "22")),
        said.get("user") or theirs.get("user", ""),
        said.get("identity_file") or theirs.get("identityfile", ""),
        alias=theirs.get("hostkeyalias", theirs.get("hostname", host)),
        jump=before,
        is_gate=is_gate,
        where=where,
    )


def _of_jump(text: str) -> tuple[str, str]:
    """Host and port ("": none is said) of a jump; OpenSSH puts addresses in brackets, those of IPv4 too."""
    found = re.fullmatch(r"(?:\[(?P<inside>[^\]]*)\]|(?P<plain>[^:]*))(?::(?P<port>[0-9]+))?", text)
    if found is None:
        return text, ""
    return found["inside"] or found["plain"] or "", found["port"] or ""


@functools.lru_cache(maxsize=256)
def _openssh(host: str) -> Mapping[str, str]:
    """What the user's OpenSSH takes a host name for; nothing where there is no `ssh`. Nobody is asked: it reads
    files."""
    program = shutil.which("ssh")
    if program is None or host.startswith("-"):
        return {}
    try:
        done = subprocess.run(
            [program, "-G", host], capture_output=True, text=True, timeout=_ASK_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, str] = {}
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        key, _, value = line.partition(" ")
        if key != "identityfile":
            found.setdefault(key, value)
        elif key not in found and _is_there(value):
            found[key] = value
    return found


def _is_there(file: str) -> bool:
    from pathlib import Path

    return Path(file).expanduser().is_file()
