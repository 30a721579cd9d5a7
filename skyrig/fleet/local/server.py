"""The SSH server of a local node: `python -m skyrig.fleet.local.server FOLDER LOCK LISTENER...`.

LOCK is an inherited descriptor that holds the node's lock for as long as this process lives; each LISTENER is one of
a listening socket. The environment of this process is the environment of the sessions. On level `namespaces` it is
process 1 of its node: when it ends, the kernel ends everything in the node.

SIGTERM is the node's shutdown: the node is marked as stopped on purpose, and all that runs in it is told to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import signal
import socket
import subprocess
import sys
from pathlib import Path

from skyrig.fleet.local import plain, processes
from skyrig.fleet.local.children import Children
from skyrig.fleet.local.files import wait_for
from skyrig.fleet.local.layout import SHUTDOWN_S, NodeFolder
from skyrig.fleet.local.session import NodeSession
from skyrig.fleet.local.terminals import Terminals
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.title import shown_as

_LOOK_S = 0.05


class NodeServer(asyncssh.SSHServer):
    """Lets in the node's user with the keys in its authorized_keys, as they are at the time of the login."""

    def __init__(self, folder: NodeFolder, user: str, children: Children, terminals: Terminals) -> None:
        self._folder = folder
        self._user = user
        self._children = children
        self._terminals = terminals
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """A client has connected."""
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        """Keys are always asked for; without a key file, or for another user, none will do."""
        assert self._connection is not None
        if username == self._user:
            try:
                self._connection.set_authorized_keys(str(self._folder.authorized_keys))
            except (OSError, ValueError) as error:
                print(f"authorized_keys: {error}", file=sys.stderr, flush=True)
        return True

    def password_auth_supported(self) -> bool:
        """Never."""
        return False

    def kbdint_auth_supported(self) -> bool:
        """Never."""
        return False

    def session_requested(self) -> NodeSession:
        """A session in the environment of this process."""
        return NodeSession(self._children, self._terminals, os.environ)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        """Clients may reach any TCP port from here."""
        return True

    def unix_connection_requested(self, dest_path: str) -> bool:
        """Clients may reach any unix socket of the node."""
        return True

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        """Clients may listen here for themselves."""
        return True

    def unix_server_requested(self, listen_path: str) -> bool:
        """Clients may listen on a unix socket here."""
        return True


async def serve(folder: NodeFolder, listeners: list[int]) -> None:
    """Serve on the listening sockets `listeners` until SIGTERM, then shut the node down."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    children, terminals = Children(loop), Terminals(folder.terminals)
    user = pwd.getpwuid(os.getuid()).pw_name
    doors = [
        await asyncssh.listen(
            sock=socket.socket(fileno=number),
            backlog=256,
            server_factory=lambda: NodeServer(folder, user, children, terminals),
            server_host_keys=[str(folder.host_key)],
            encoding=None,
            line_editor=False,
            agent_forwarding=False,
            login_timeout=60,
        )
        for number in listeners
    ]
    if folder.at_boot.exists():
        children.start(["/bin/sh", str(folder.at_boot)], stdin=subprocess.DEVNULL, cwd=folder.home)
    await stopped.wait()
    folder.stopped.touch()
    for door in doors:
        door.close()
    await shut_down(folder)


async def shut_down(folder: NodeFolder) -> None:
    """Tell everything in the node to end, wait SHUTDOWN_S seconds at most, and kill what is left."""
    for pid in running(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    await asyncio.to_thread(wait_for, lambda: None if running(folder) else True, SHUTDOWN_S, _LOOK_S)
    if os.getpid() != 1:  # else the kernel does it, when this process ends
        await asyncio.to_thread(plain.end_leftovers, folder)


def running(folder: NodeFolder) -> list[int]:
    """Processes of the node but this one. As process 1 this one sees those of its node alone."""
    if os.getpid() != 1:
        return processes.having("SKYRIG_NODE_LOCK", str(folder.lock))
    seen = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in seen if pid != 1 and not processes.gone(pid)]


def main(arguments: list[str]) -> None:
    """Take over the inherited descriptors and serve."""
    shown_as(["skyrig.fleet.local.server", *arguments])
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    lock, *listeners = (int(number) for number in arguments[1:])
    for number in (lock, *listeners):
        os.set_inheritable(number, False)
    os.environ["SKYRIG_NODE_SERVER"] = str(os.getpid())
    asyncio.run(serve(NodeFolder(Path(arguments[0])), listeners))


if __name__ == "__main__":
    main(sys.argv[1:])
