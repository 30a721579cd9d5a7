"""Ports below 1024, which Linux gives to root alone unless it is told otherwise."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

from skyrig.errors import SkyrigError

_FIRST_FREE = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_DEADLINE_S = 20.0


def needs_root(port: int) -> bool:
    """Whether this user cannot listen on `port` as this machine is set."""
    if os.geteuid() == 0:
        return False
    try:
        return port < int(_FIRST_FREE.read_text())
    except (OSError, ValueError):  # no Linux
        return port < 1024


async def allow(port: int) -> None:
    """Have every user of this machine allowed to listen on `port` and those above it, where this one is not yet: by
    sudo, where that asks for no password. It holds until the machine is started anew. SkyrigError where that cannot be
    done."""
    if not needs_root(port):
        return
    words = ("sudo", "-n", "sysctl", "-q", "-w", f"net.ipv4.ip_unprivileged_port_start={port}")
    hint = f"on the head: sudo sysctl -w net.ipv4.ip_unprivileged_port_start={port}"
    try:
        child = await asyncio.create_subprocess_exec(
            *words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        await asyncio.wait_for(child.wait(), _DEADLINE_S)
    except (OSError, asyncio.TimeoutError):
        pass  # what matters is whether it may now
    if needs_root(port):
        raise SkyrigError(f"port {port} is for root alone on the head of the service", hint=hint)
