"""Ports of a stack's head that the host reaches at 127.0.0.1, on level `namespaces`: asking for them, and reading.

The process of the stack's network (`gate`) listens. It is told by a file and a signal, and says by another file what
it has done: that one is all that a reader of endpoints needs.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from skyrig.cluster.ports import numbers
from skyrig.fleet.local import switch
from skyrig.fleet.local.files import locked, wait_for
from skyrig.fleet.local.layout import LocalNodeError

HOST = "127.0.0.1"
"""Where the host reaches open ports: nobody outside of this machine does."""


class Wanted(NamedTuple):
    """What the gate is told: `ports` of the node `head`, at `address` in the stack's network, each with the number that
    it had on the host (0: none yet). `mark` tells this request from others."""

    mark: str
    head: str
    address: str
    ports: dict[int, int]


class Open(NamedTuple):
    """What the gate says: the request that it has done, its number on the host for each port, and what went wrong
    ("": nothing)."""

    mark: str = ""
    ports: Mapping[int, int] = {}
    problem: str = ""


def open_ports(
    folder: Path, head: str, address: str, ranges: Sequence[str], before: Mapping[str, str]
) -> dict[str, Any]:
    """Have exactly these ports open, and say `{"host_ports": {PORT: NUMBER ON THE HOST}}`. A port keeps the number
    that it has, else gets the one that it had `before`, else its own where that is free, else any free one.
    LocalNodeError where one cannot be opened, or the network is gone or cannot do that."""
    network = switch.check(folder)
    if not network.get("opens_ports"):
        raise _no_network(folder, network)
    wanted = {number: int(before.get(str(number), 0)) for number in numbers(ranges)}
    said = _asked(folder, network["pid"], Wanted(secrets.token_hex(8), head, address, wanted))
    if said.problem:
        raise LocalNodeError(f"{folder.name}: {said.problem}")
    return {"host_ports": {str(number): str(there) for number, there in said.ports.items()}}


def close_ports(folder: Path) -> dict[str, Any]:
    """Close all; nothing where there is no network any more."""
    network = switch.check(folder)
    if network.get("opens_ports"):
        _asked(folder, network["pid"], Wanted(secrets.token_hex(8), "", "", {}))
    return {"closed": True}


def endpoints(folder: Path) -> dict[int, str]:
    """HOST:PORT by port, for those that are open now."""
    if not locked(switch.lock_file(folder)):
        return {}
    return {number: f"{HOST}:{there}" for number, there in sorted(read_open(folder).ports.items())}


def read_wanted(folder: Path) -> Wanted | None:
    """What the gate was told last; None where that is nothing."""
    try:
        data = json.loads(_wanted_file(folder).read_text())
    except FileNotFoundError:
        return None
    return Wanted(**{**data, "ports": _by_number(data["ports"])})


def read_open(folder: Path) -> Open:
    """What the gate has said last."""
    try:
        data = json.loads(_open_file(folder).read_text())
    except FileNotFoundError:
        return Open()
    return Open(**{**data, "ports": _by_number(data["ports"])})


def say(folder: Path, done: Open) -> None:
    """For the gate: what is open now."""
    _replace(_open_file(folder), done)


def _asked(folder: Path, gate: int, wanted: Wanted) -> Open:
    _replace(_wanted_file(folder), wanted)
    os.kill(gate, signal.SIGHUP)
    said = wait_for(lambda: found if (found := read_open(folder)).mark == wanted.mark else None)
    if said is None:
        raise LocalNodeError(f"the network process of {folder.name} does not answer", hint="try again")
    return said


def _no_network(folder: Path, network: Mapping[str, Any]) -> LocalNodeError:
    if not network:
        return LocalNodeError(f"the network of {folder.name} is gone", hint="run `pulumi refresh`, then `pulumi up`")
    hint = "`down` and `up` make it anew"
    return LocalNodeError(f"the network of {folder.name} was made by an older Skyrig and opens no ports", hint=hint)


def _wanted_file(folder: Path) -> Path:
    return switch.state_file(folder).with_name("ports.json")


def _open_file(folder: Path) -> Path:
    return switch.state_file(folder).with_name("endpoints.json")


def _replace(file: Path, said: Wanted | Open) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(said._asdict()))
    fresh.replace(file)


def _by_number(data: Mapping[str, int]) -> dict[int, int]:
    return {int(number): there for number, there in data.items()}
