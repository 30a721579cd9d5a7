"""HAProxy's own command line over its unix sockets: what it is asked and how its answers read.

The worker's socket takes what changes servers; the master's tells which workers there are, a reload's old ones too, and
passes requests on to any of them.
"""

from __future__ import annotations

import asyncio
import csv
import ipaddress
from pathlib import Path

from attrs import frozen

from skyrig.serve.balancer.config import BACKEND, HOLD, SERVER_OPTIONS
from skyrig.serve.balancer.frontage import Server, ServerState

ANSWER_S = 5.0
"""How long HAProxy may take for an answer; it takes milliseconds where the machine is not too busy."""

_LIMIT = 1 << 24
_MAINTENANCE, _DRAINING = 0x01, 0x08
"""Bits of a server's administrative state in `show servers state`."""


class Away(Exception):
    """HAProxy does not answer at this socket: it is not there."""


class Silent(Away):
    """HAProxy is there and gives no answer: it hangs, or the machine does."""


@frozen
class Family:
    """Pids of a HAProxy: its master, the workers that take connections, and old ones that only finish theirs."""

    master: int
    workers: tuple[int, ...] = ()
    old: tuple[int, ...] = ()


@frozen
class Known:
    """A server as HAProxy has it. `out`: it gets nothing (maintenance)."""

    name: str
    address: str
    draining: bool = False
    out: bool = False


@frozen
class Counts:
    """HAProxy's counters of one server or of the backend: requests begun, answers that were errors, requests that run
    (waiting ones too, of the backend)."""

    requests: int
    errors: int
    in_flight: int


async def ask(path: Path, command: str, patience_s: float = ANSWER_S) -> str:
    """The answer to `command` at the socket `path`. Away where nobody answers, Silent where it takes too long."""
    try:
        return await asyncio.wait_for(exchange(path, command), patience_s)
    except asyncio.TimeoutError as error:  # before OSError, which it is from Python 3.11 on
        raise Silent(f"{path} is silent") from error
    except OSError as error:
        raise Away(f"{path}: {error!r}") from error


async def exchange(path: Path, command: str) -> str:
    """What is said at the socket `path` to one line until it is closed. OSError where that is cut off."""
    reader, writer = await asyncio.open_unix_connection(str(path), limit=_LIMIT)
    try:
        writer.write(command.encode() + b"\n")
        writer.write_eof()
        return (await reader.read()).decode(errors="replace")
    finally:
        writer.close()


def family(text: str) -> Family:
    """Reads `show proc`."""
    found: dict[str, list[int]] = {"master": [], "workers": [], "old": []}
    part = "workers"
    for line in text.splitlines():
        words = line.split()
        if line.startswith("# old"):
            part = "old"
        elif len(words) > 1 and words[0].isdigit():
            kind = "master" if words[1] == "master" else part if words[1] == "worker" else ""
            found.get(kind, []).append(int(words[0]))
    if not found["master"]:
        raise Away(f"no master in {text!r}")
    return Family(found["master"][0], tuple(found["workers"]), tuple(found["old"]))


def stamp(text: str) -> str:
    """Reads `show info`: the description of the configuration that runs."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "description":
            return value.strip()
    return ""


def servers(text: str) -> dict[str, Known]:
    """Reads `show servers state` of the backend: its servers by name, ours apart."""
    lines = [line for line in text.splitlines() if line]
    head = next((line[2:].split() for line in lines if line.startswith("# ")), [])
    found = {}
    for line in lines:
        row = dict(zip(head, line.split(), strict=False))
        if row.get("be_name") != BACKEND or row["srv_name"] == HOLD:
            continue
        host, admin = row["srv_addr"], int(row["srv_admin_state"])
        draining = bool(admin & _DRAINING) or row["srv_uweight"] == "0"
        found[row["srv_name"]] = Known(
            row["srv_name"], address(host, int(row["srv_port"])), draining, bool(admin & _MAINTENANCE)
        )
    return found


def address(host: str, port: int) -> str:
    """HOST:PORT, with brackets around what needs them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def changes(known: dict[str, Known], wanted: tuple[Server, ...]) -> list[list[str]]:
    """The commands that make the servers `known` those `wanted`, for each server those that belong together. A server
    that is to go gets nothing more and what runs there is cut; whether it could be taken off the list shows when one
    looks again."""
    names = {server.name for server in wanted}
    gone = [_take_away(each) for each in known.values() if each.name not in names]
    return [found for server in wanted if (found := _bring(known.get(server.name), server))] + gone


def _bring(known: Known | None, server: Server) -> list[str]:
    name, draining = f"{BACKEND}/{server.name}", server.state is ServerState.DRAIN
    if known is None:
        steps = [f"add server {name} {server.address} {SERVER_OPTIONS}"]
        if draining:
            steps.append(f"set server {name} state drain")
        return [*steps, f"enable health {name}", f"enable server {name}"]
    steps = []
    if _split(known.address) != _split(server.address):
        host, port = _split(server.address)
        steps.append(f"set server {name} addr {host} port {port}")
    if known.out or known.draining != draining:
        steps.append(f"set server {name} state {'drain' if draining else 'ready'}")
        if not draining:
            steps.append(f"set server {name} weight 1")  # that of one that was draining when HAProxy started is 0
    return steps


def _take_away(known: Known) -> list[str]:
    name = f"{BACKEND}/{known.name}"
    return [f"set server {name} state maint", f"shutdown sessions server {name}", f"del server {name}"]


def _split(text: str) -> tuple[str, str]:
    host, _, port = text.rpartition(":")
    try:
        return str(ipaddress.ip_address(host.strip("[]"))), port
    except ValueError:
        return host, port


def settled(known: dict[str, Known], wanted: tuple[Server, ...]) -> bool:
    """Whether HAProxy has the servers `wanted`, and gives nothing to any other."""
    names = {server.name for server in wanted}
    others = [each for each in known.values() if each.name not in names and not each.out]
    return not others and not any(_bring(known.get(server.name), server) for server in wanted)


def counts(text: str) -> dict[str, Counts]:
    """Reads `show stat`: the servers by name, and "" for all of them together."""
    found = {}
    for row in csv.DictReader(text.removeprefix("# ").splitlines()):
        if row.get("pxname") != BACKEND or row["svname"] == HOLD:
            continue
        whole = row["svname"] == "BACKEND"
        errors = int(row["hrsp_5xx"] or 0) + (0 if whole else int(row["eresp"] or 0))
        found["" if whole else row["svname"]] = Counts(int(row["stot"] or 0), errors, int(row["scur"] or 0))
    return found
