"""Which level of isolation works on this machine for this user: found by trying, for many things can forbid it."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from skyrig.fleet.local import hosts, kernel, mounts, netlink
from skyrig.fleet.local.files import remove_tree


def level(home: Path) -> dict[str, Any]:
    """`{"level": ..., "why": ...}`: namespaces where a node can be built with its folder below `home`, else plain and
    why."""
    if sys.platform != "linux":
        return {"level": "plain", "why": f"{sys.platform} has no namespaces"}
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".probe-", dir=home))
    try:
        why = _tried(scratch)
    finally:
        remove_tree(scratch)
    return {"level": "plain" if why else "namespaces", "why": why}


def _tried(scratch: Path) -> str:
    """What went wrong with building a node in `scratch`; "" where nothing did."""
    answers, answer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _build(scratch, answer)
        except BaseException as error:  # noqa: BLE001 - a forked child must never run its parent's code on
            os.write(answer, str(error).encode() or b"unknown")
        os._exit(0)
    os.close(answer)
    with os.fdopen(answers, "rb") as said:
        told = said.read().decode()
    os.waitpid(child, 0)
    return "" if told == "built" else told or "the trial ended early"


def _build(scratch: Path, answer: int) -> None:
    if os.getuid() != 0:
        kernel.become_owner_of_namespaces()
    kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWUTS)
    netlink.add_bridge("probe")
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return
    hosts.create(scratch / "hosts")
    (scratch / "node").mkdir()
    mounts.build(
        mounts.Plan(scratch / "node", (scratch,), scratch / "hosts", scratch / "node", plain_user=os.getuid() != 0)
    )
    if not os.access(sys.executable, os.X_OK):
        raise OSError(f"{sys.executable} is not to be seen in an overlay")
    os.write(answer, b"built")
