"""Cutting a node off from the others on purpose, on level `namespaces`: its cable is taken out of the switch, and put
back. Packets are lost in silence, both ways, also those to the outside; the node's processes run on, and whoever logs
in from this machine still gets in, as that way is none of the network's. A node that is started anew has another
cable."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

from skyrig.fleet.local import kernel, netlink, spaces, switch
from skyrig.fleet.local.layout import LocalNodeError, NodeFolder

_LOOK_EVERY_S = 0.2


def cut(path: Path, until: float = 0.0) -> dict[str, Any]:
    """Cut the node in `path` off, and say by which `id` it is `mend`ed; `until`, unix time, is written down (0: nobody
    knows). LocalNodeError where the node is not up, or its level is another one."""
    folder = NodeFolder(path)
    state = folder.read_state()
    if state is None or folder.power() != "up":
        raise LocalNodeError(f"node {path.name} is not up")
    if state["level"] != "namespaces":
        raise LocalNodeError(
            f"node {path.name} is on level {state['level']}, where nodes share the machine's network",
            hint="isolation: namespaces",
        )
    mark = secrets.token_hex(4)
    fresh = folder.cut.with_suffix(".new")
    fresh.write_text(json.dumps({"id": mark, "boot": state["boot"], "until": until}))
    fresh.replace(folder.cut)
    _enter_network(path.parent)
    netlink.set_master(spaces.cable(state["address"]), None)
    return {"id": mark}


def mend(path: Path, mark: str = "", at: float = 0.0) -> dict[str, Any]:
    """Put the node's cable back when it is `at`, unix time; with a `mark` only if that cut is still the last one."""
    folder = NodeFolder(path)
    while (left := at - time.time()) > 0 and _marked(folder).get("id") == mark:
        time.sleep(min(left, _LOOK_EVERY_S))
    said, state = _marked(folder), folder.read_state()
    if not said or mark not in ("", said["id"]):
        return {"mended": False}
    there = state is not None and state["boot"] == said["boot"] and folder.power() == "up"
    if state is not None and there:
        _enter_network(path.parent)
        netlink.set_master(spaces.cable(state["address"]), switch.BRIDGE)
    folder.cut.unlink(missing_ok=True)
    return {"mended": there}


def is_cut(path: Path) -> bool:
    """Whether the node in `path` is cut off."""
    folder = NodeFolder(path)
    said, state = _marked(folder), folder.read_state()
    return bool(said) and state is not None and said["boot"] == state["boot"]


def _marked(folder: NodeFolder) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads(folder.cut.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return said


def _enter_network(stack: Path) -> None:
    """Be in the network of the stack in the folder `stack`, with all rights there: for good, as this process does
    nothing else after that."""
    network = switch.check(stack)
    if network.get("level") != "namespaces":
        raise LocalNodeError(f"the network of {stack.name} is gone", hint="run `pulumi refresh`, then `pulumi up`")
    inside = os.open(network["network_namespace"], os.O_RDONLY)
    if network["user_namespace"]:
        with Path(network["user_namespace"]).open() as namespace:
            kernel.join(namespace.fileno(), kernel.CLONE_NEWUSER)
    kernel.join(inside, kernel.CLONE_NEWNET)
