"""Level `namespaces`: the node has a network with an address of its own, own processes and an own file system.

Nothing is set up on the host itself: the namespaces, and all that is in them, vanish with process 1 of the node,
which is its SSH server. Needs root, or user namespaces for everyone.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skyrig.fleet.local import hosts, kernel, mounts, netlink, plain, switch
from skyrig.fleet.local.layout import LocalNodeError, NodeFolder, NodeRequest

_CARD = "eth0"
_KINDS = kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC


def launch(
    request: NodeRequest, folder: NodeFolder, session: Mapping[str, str], lock: int, listener: socket.socket
) -> int:
    """Start the server as process 1 of new namespaces; its process id on the host."""
    network = switch.check(request.folder.parent)
    if network.get("level") != "namespaces":
        raise LocalNodeError(f"the network of {request.stack} is gone", hint="run `pulumi refresh`, then `pulumi up`")
    hosts.add(switch.hosts_file(request.folder.parent), request.address, (request.alias, request.node_id))
    reports, report = os.pipe()
    child = os.fork()
    if child == 0:
        _first_child(request, folder, session, (lock, listener.fileno()), network, report)
    os.close(report)
    with os.fdopen(reports, "rb") as said:
        answer: dict[str, Any] = {}
        for line in said:
            answer |= json.loads(line)
    os.waitpid(child, 0)
    if "error" in answer or "pid" not in answer:
        switch.forget(request.folder.parent, request.address)
        raise LocalNodeError(f"node {request.node_id}: {answer.get('error', 'its first process ended early')}")
    return int(answer["pid"])


def _first_child(
    request: NodeRequest,
    folder: NodeFolder,
    session: Mapping[str, str],
    passed: tuple[int, int],
    network: Mapping[str, Any],
    report: int,
) -> None:
    """Make the namespaces, start process 1 in them, say its id on `report`, and end. Never returns."""
    try:
        _leave_the_caller(folder)
        own = _make_namespaces(request, network)
        first = os.fork()
        if first == 0:
            _become_server(request, folder, session, (*passed, own.fileno()))
        os.write(report, json.dumps({"pid": first}).encode() + b"\n")
    except BaseException as error:  # noqa: BLE001 - a forked child must never run its parent's code on
        os.write(report, json.dumps({"error": str(error)}).encode() + b"\n")
    os._exit(0)


def _leave_the_caller(folder: NodeFolder) -> None:
    """Own session, and nothing of the caller's but what is passed on by intent: it would be waited for."""
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDONLY)
    log = os.open(folder.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(quiet, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _make_namespaces(request: NodeRequest, network: Mapping[str, Any]) -> socket.socket:
    """Enter new namespaces, with a cable to the stack's switch; the node's own listener for SSH."""
    outside = os.open(network["network_namespace"], os.O_RDONLY)
    if network["user_namespace"]:
        with Path(network["user_namespace"]).open() as namespace:
            kernel.join(namespace.fileno(), kernel.CLONE_NEWUSER)
    kernel.unshare(kernel.CLONE_NEWNET)
    with Path("/proc/self/ns/net").open() as own:
        kernel.join(outside, kernel.CLONE_NEWNET)
        netlink.remove(cable(request.address))  # a dead node's goes away some time after it
        netlink.add_cable(cable(request.address), switch.BRIDGE, _CARD, own.fileno(), request.address)
        kernel.join(own.fileno(), kernel.CLONE_NEWNET)
    netlink.set_up("lo")
    netlink.add_address(_CARD, request.address, switch.PREFIX)
    netlink.set_up(_CARD)
    kernel.unshare(_KINDS)
    return socket.create_server((request.address, 22), backlog=256)


def cable(address: str) -> str:
    """Name of a node's end at the switch: an interface's name holds 15 letters."""
    return "n" + socket.inet_aton(address).hex()


def _become_server(
    request: NodeRequest, folder: NodeFolder, session: Mapping[str, str], passed: tuple[int, ...]
) -> None:
    """As process 1 of the node: build its root, then turn into its server."""
    socket.sethostname(request.alias)
    mounts.build(
        mounts.Plan(
            folder=folder.path,
            kept=(folder.path.parent, request.records),
            hosts=switch.hosts_file(folder.path.parent),
            home=folder.home,
            plain_user=os.getuid() != 0,
        )
    )
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")
    for number in passed:
        os.set_inheritable(number, True)
    os.chdir(folder.home)
    command = plain.server_command(folder, passed[0], list(passed[1:]))
    os.execve(command[0], command, dict(session))
