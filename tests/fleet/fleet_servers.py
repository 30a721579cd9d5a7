"""Real SSH servers for the fleet's tests: asyncssh in this process, and stock OpenSSH on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from attrs import evolve, frozen

from skyrig.fleet.connection import Credentials
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import Target

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


Serve = Callable[[], AbstractAsyncContextManager[Target]]
"""Enters a running server; what comes out is where it is."""


@frozen
class Keys:
    """A client key, a host key, and a stranger of each."""

    client: asyncssh.SSHKey
    host: asyncssh.SSHKey
    other: asyncssh.SSHKey

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.client.export_private_key().decode())

    @property
    def stranger(self) -> Credentials:
        return Credentials(self.other.export_private_key().decode())

    def target(self, name: str, port: int) -> Target:
        return Target(name, "127.0.0.1", port, getpass.getuser(), public(self.host))


def public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


def new_keys() -> Keys:
    return Keys(*(asyncssh.generate_private_key("ssh-ed25519") for _ in range(3)))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def asyncssh_server(
    keys: Keys, home: Path, port: int = 0, refused: Callable[[], bool] = lambda: False
) -> AsyncIterator[Target]:
    """An asyncssh server whose sessions run the command with bash in `home`; its target is called "a". A session is
    not opened where `refused` says so."""

    async def session(process: asyncssh.SSHServerProcess[bytes]) -> None:
        child = await asyncio.create_subprocess_exec(
            "/bin/bash",
            "-c",
            process.command or "",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=home,
            env={**os.environ, "HOME": str(home)},
            start_new_session=True,
        )
        assert child.stdin and child.stdout and child.stderr
        feeding = asyncio.create_task(_feed(process.stdin, child.stdin))
        try:
            await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
            code = await child.wait()
            if code < 0:
                process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
            else:
                process.exit(code)
        finally:
            feeding.cancel()
            if child.returncode is None:
                os.killpg(child.pid, signal.SIGKILL)
                await child.wait()

    class Server(asyncssh.SSHServer):
        def session_requested(self) -> asyncssh.SSHServerProcess[bytes]:
            if refused():
                raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")
            return asyncssh.SSHServerProcess(session, None, 3, False)

        def unix_connection_requested(self, *_: object) -> bool:
            return True

        def connection_requested(self, *_: object) -> bool:
            return True

    server = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=Server,
        server_host_keys=[keys.host],
        authorized_client_keys=asyncssh.import_authorized_keys(public(keys.client)),
        encoding=None,
        reuse_address=True,
    )
    try:
        yield keys.target("a", server.get_port())
    finally:
        server.close()
        await server.wait_closed()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy one stream; either side may end first, or the connection break."""
    try:
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    except (ConnectionError, asyncssh.Error):
        return


async def _feed(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy a client's input, its end included. (An end on one of the outputs would end both.)"""
    await _pump(source, sink)
    sink.close()


class Sshd:
    """A stock sshd with a configuration of its own, in the foreground, known by its pid; its target is called "o"."""

    def __init__(self, keys: Keys, folder: Path, env: str = "") -> None:
        assert SSHD is not None
        self.folder = folder
        self._env = env
        folder.mkdir(mode=0o700, exist_ok=True)
        keys.host.write_private_key(str(folder / "host"))
        (folder / "host").chmod(0o600)
        (folder / "authorized_keys").write_text(public(keys.client) + "\n")
        for _ in range(5):  # a port found free may be taken before sshd has it
            self.target = evolve(keys.target("o", free_port()))
            if self.start():
                return
        raise AssertionError((folder / "log").read_text())

    def start(self) -> bool:
        """Start it on its port; whether it listens."""
        assert SSHD is not None
        (self.folder / "config").write_text(
            f"Port {self.target.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host\nStrictModes no\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nPidFile none\nUsePAM no\nPasswordAuthentication no\n"
            f"PermitRootLogin prohibit-password\nMaxStartups 4:100:4\nPrintMotd no\n"
            f"SetEnv HOME={self.folder} {self._env}\n"
        )
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", str(self.folder / "config")], stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.target.port)) == 0:
                    return True
            time.sleep(0.02)
        return False

    def stop(self) -> None:
        """End it together with its sessions, at once."""
        below = descendants(self._process.pid)
        self._process.kill()
        self._process.wait()
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Processes below `pid`, parents first: killed in this order, a session has no time to report its command's end."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for line in listed.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found: list[int] = []
    todo = [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found
