"""The process of a stack's network on level `namespaces`: `python -m skyrig.fleet.local.gate FOLDER STATE`.

It keeps a network namespace with a bridge in it, to which every node has a cable, and is the proxy through which the
nodes reach the outside: its listener is in that namespace, what it dials goes out by the host's. The other way round
it listens on the host for open ports, and dials the node that serves them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from skyrig.fleet.local import kernel, netlink, proxy, switch
from skyrig.fleet.local.files import take_lock
from skyrig.fleet.local.forward import Forwarder, Inside, make_sockets
from skyrig.fleet.local.layout import NodeFolder

_LOOK_S = 2.0
"""How often is looked whether all nodes have ended themselves for good."""


async def _run(listener: socket.socket, channel: socket.socket, folder: Path) -> None:
    stopped, asked, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGHUP, asked.set)
    asked.set()  # perhaps before there was a handler
    async with await asyncio.start_server(proxy.serve, sock=listener, limit=proxy.LIMIT):
        forwarding = asyncio.ensure_future(_forward(Forwarder(folder, Inside(channel)), asked))
        before = _ended(folder) or set()  # of a network before this one: they are about to be made anew
        while not stopped.is_set() and not (_ended(folder) or set()) - before:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stopped.wait(), _LOOK_S)
        forwarding.cancel()


async def _forward(forwarder: Forwarder, asked: asyncio.Event) -> None:
    while await asked.wait():
        asked.clear()
        try:
            await forwarder.heed()
        except OSError as error:  # a full disk: whoever asked gets no answer, the next one may
            print(error, file=sys.stderr, flush=True)


def _ended(folder: Path) -> set[str] | None:
    """Incarnations of the nodes, where all that are there have ended themselves for good: then nothing of the cluster
    shall run. None where one has not."""
    nodes = [NodeFolder(entry) for entry in folder.iterdir() if NodeFolder(entry).lock.exists()]
    if not all(node.ended.exists() and node.power() == "ended" for node in nodes):
        return None
    return {str((node.read_state() or {}).get("incarnation")) for node in nodes}


def _in_network(back: socket.socket) -> None:
    """In a child: make the namespaces, the bridge and the proxy's listener, hand all back to the parent, and stay there
    to make sockets for it."""
    if os.getuid() != 0:
        kernel.become_owner_of_namespaces()
    kernel.unshare(kernel.CLONE_NEWNET)
    netlink.set_up("lo")
    netlink.add_bridge(switch.BRIDGE)
    netlink.add_address(switch.BRIDGE, switch.GATE, switch.PREFIX)
    netlink.set_up(switch.BRIDGE)
    with (
        socket.create_server((switch.GATE, switch.PROXY_PORT), backlog=256) as listener,
        Path("/proc/self/ns/net").open() as network,
        Path("/proc/self/ns/user").open() as user,
    ):
        socket.send_fds(back, [b"made"], [listener.fileno(), network.fileno(), user.fileno()])
    make_sockets(back)


def main(arguments: list[str]) -> None:
    """Keep the network of the stack whose nodes are in the folder given, until killed."""
    folder = Path(arguments[0])
    lock = take_lock(switch.lock_file(folder))
    if lock is None:
        sys.exit("another process keeps this network")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    front, back = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            os.close(lock)  # the parent's life is another one
            front.close()
            take_lock(switch.inside_lock_file(folder))
            _in_network(back)
        except OSError as error:
            print(error, file=sys.stderr, flush=True)
        os._exit(0)
    back.close()
    _, numbers, _, _ = socket.recv_fds(front, 16, 3)
    if len(numbers) != 3:
        os.waitpid(child, 0)
        sys.exit(1)
    listener, network, user = numbers
    base = f"/proc/{os.getpid()}/fd"
    state = {
        **json.loads(arguments[1]),
        "pid": os.getpid(),
        "network_namespace": f"{base}/{network}",
        "user_namespace": f"{base}/{user}" if os.getuid() != 0 else "",
        "opens_ports": True,
    }
    fresh = switch.state_file(folder).with_suffix(".new")
    fresh.write_text(json.dumps(state))
    fresh.replace(switch.state_file(folder))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_run(socket.socket(fileno=listener), front, folder))


if __name__ == "__main__":
    main(sys.argv[1:])
