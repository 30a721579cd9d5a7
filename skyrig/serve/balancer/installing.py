"""HAProxy and certbot by the system's packages, on a head that has none."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from skyrig import places
from skyrig.errors import SkyrigError

_DEADLINE_S = 300.0
_HINT = "install it on the head: `apt install haproxy`, `dnf install haproxy` or `brew install haproxy`; 2.4 or newer"
_CERTBOT_HINT = "install it on the head: `apt install certbot`, `dnf install certbot` or `brew install certbot`"


def missing(why: str = "") -> SkyrigError:
    """What is said where there is no HAProxy."""
    return SkyrigError("there is no HAProxy on the head of the service" + (f": {why}" if why else ""), hint=_HINT)


async def install() -> None:
    """Install HAProxy: as root, or with sudo where that asks for no password. SkyrigError where that cannot be done,
    and on local nodes: their packages are those of your own machine."""
    if why := await _installed("haproxy"):
        raise missing(why)


async def certbot() -> Path:
    """The certbot to run: beside this Python, on PATH, or else by the system's packages, which then takes a minute.
    SkyrigError where there is no way to one."""
    found = _certbot()
    if found is None:
        why = await _installed("certbot")
        found = _certbot()
        if found is None:
            raise SkyrigError(f"there is no certbot on the head of the service: {why}", hint=_CERTBOT_HINT)
    return found


def _certbot() -> Path | None:
    around = (str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/local/bin", "/usr/bin", "/snap/bin")
    found = shutil.which("certbot", path=os.pathsep.join(around))
    return Path(found) if found else None


async def _installed(name: str) -> str:
    """Install a program; why that cannot be done, "" where it was."""
    if os.environ.get("SKYRIG_NODE_LOCK"):
        return "a local node has the programs of your own machine"
    script = (places.shipped() / "templates" / "serve" / "program-install.sh").read_text()
    child = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-s", name),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = await asyncio.wait_for(child.communicate(script.encode()), _DEADLINE_S)
    except asyncio.TimeoutError:
        os.killpg(child.pid, signal.SIGKILL)
        return f"its installation did not end within {_DEADLINE_S:.0f} s"
    lines = said.decode(errors="replace").strip().splitlines()
    return f"it cannot be installed: {lines[-1] if lines else 'no reason given'}" if child.returncode else ""
