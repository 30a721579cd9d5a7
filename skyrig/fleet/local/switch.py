"""The place of a stack's local nodes: their common folder and, on level `namespaces`, the network between them.

That network is one small detached process (`gate`). Nothing is changed on the host's own network, and all of it
vanishes with the process. On level `plain` there is only the folder.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from skyrig.fleet.local import hosts, processes
from skyrig.fleet.local.files import locked, remove_tree, wait_for
from skyrig.fleet.local.layout import LEVELS, LocalNodeError

BRIDGE = "skyrig"
GATE = "10.31.0.1"
PREFIX = 16
PROXY_PORT = 3128
_PLAIN_NUMBERS = 64
_FOLDER = ".network"


def start(folder: Path, level: str) -> dict[str, Any]:
    """The running network of the stack whose nodes are in `folder`; made unless it is there."""
    if level not in LEVELS:
        raise LocalNodeError(f"isolation level {level!r} is none of {', '.join(LEVELS)}")
    found = check(folder)
    if found.get("level") == level:
        return found
    stop(folder)
    own = folder / _FOLDER
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = {"level": level, "incarnation": secrets.token_hex(8)}
    if level == "plain":
        state_file(folder).write_text(json.dumps(state))
        return state
    hosts.create(hosts_file(folder))
    _launch(folder, state)
    return check(folder)


def check(folder: Path) -> dict[str, Any]:
    """The network's state; nothing where it is not there, or its process is gone."""
    try:
        state: dict[str, Any] = json.loads(state_file(folder).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return state if state["level"] == "plain" or locked(lock_file(folder)) else {}


def stop(folder: Path) -> None:
    """End the network of the stack whose nodes are in `folder`; nothing where there is none."""
    if not (folder / _FOLDER).exists():
        return

    def all_gone() -> bool | None:
        left = _keepers(folder) if locked(lock_file(folder)) else []
        for pid in left:
            processes.kill(pid)
        return None if left or locked(inside_lock_file(folder)) else True

    if wait_for(all_gone) is None:
        raise LocalNodeError(f"the network process of {folder} does not end", hint="end it by hand")
    remove_tree(folder / _FOLDER)


def forget(folder: Path, address: str) -> None:
    """Drop the names of a node that is gone."""
    hosts.remove(hosts_file(folder), address)


def hosts_file(folder: Path) -> Path:
    """Names of the nodes, for /etc/hosts of each of them."""
    return folder / _FOLDER / "hosts"


def proxy_environment() -> dict[str, str]:
    """What leads a node's programs to the outside. Addresses of nodes are named one by one too (the first ones), for
    Python's urllib knows no ranges."""
    outside = f"http://{GATE}:{PROXY_PORT}"
    near = [str(number) for number in (f"10.31.0.{10 + n}" for n in range(_PLAIN_NUMBERS))]
    never = ",".join(["localhost", "127.0.0.1", "::1", f"10.31.0.0/{PREFIX}", *near])
    values = {"http_proxy": outside, "https_proxy": outside, "no_proxy": never}
    return values | {name.upper(): value for name, value in values.items()}


def state_file(folder: Path) -> Path:
    """What is known of the network; there once it is complete."""
    return folder / _FOLDER / "network.json"


def lock_file(folder: Path) -> Path:
    """Locked by the process of the network for as long as it lives."""
    return folder / _FOLDER / "switch.lock"


def inside_lock_file(folder: Path) -> Path:
    """Locked by the process inside the network, which ends when the process of the network has."""
    return folder / _FOLDER / "inside.lock"


def _keepers(folder: Path) -> list[int]:
    """The process that keeps a network which is there; of one that was never completed, whoever has its lock open."""
    try:
        return [int(json.loads(state_file(folder).read_text())["pid"])]
    except (FileNotFoundError, KeyError):
        return processes.holding(lock_file(folder))


def _launch(folder: Path, state: dict[str, Any]) -> None:
    """Start the process of the network, fully detached, and wait until the bridge is there."""
    with (folder / _FOLDER / "switch.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "skyrig.fleet.local.gate", str(folder), json.dumps(state)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    wait_for(lambda: True if check(folder) or process.poll() is not None else None)
    if not check(folder):
        process.kill()
        process.wait()
        lines = (folder / _FOLDER / "switch.log").read_text().strip().splitlines() or ["it said nothing"]
        raise LocalNodeError(f"the network between the nodes did not start: {lines[-1]}")
    process.returncode = 0  # it lives on: nobody waits for it here
