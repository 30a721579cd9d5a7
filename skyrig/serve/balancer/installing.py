"""HAProxy by the system's packages, on a head that has none."""

from __future__ import annotations

import asyncio
import os
import subprocess

from skyrig import places
from skyrig.errors import SkyrigError

_DEADLINE_S = 300.0
_HINT = "install it on the head: `apt install haproxy`, `dnf install haproxy` or `brew install haproxy`; 2.4 or newer"


def missing(why: str = "") -> SkyrigError:
    """What is said where there is no HAProxy."""
    return SkyrigError("there is no HAProxy on the head of the service" + (f": {why}" if why else ""), hint=_HINT)


async def install() -> None:
    """Install it: as root, or with sudo where that asks for no password. SkyrigError where that cannot be done, and on
    local nodes: their packages are those of your own machine."""
    if os.environ.get("SKYRIG_NODE_LOCK"):
        raise missing("a local node has the programs of your own machine")
    script = (places.shipped() / "templates" / "serve" / "haproxy-install.sh").read_text()
    child = await asyncio.create_subprocess_exec(
        "/bin/sh", "-s", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        said, _ = await asyncio.wait_for(child.communicate(script.encode()), _DEADLINE_S)
    except asyncio.TimeoutError:
        os.killpg(child.pid, 9)
        raise missing(f"its installation did not end within {_DEADLINE_S:.0f} s") from None
    if child.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        raise missing(f"it cannot be installed: {lines[-1] if lines else 'no reason given'}")
