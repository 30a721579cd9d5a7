"""Stock OpenSSH servers on loopback, each a process with a port and a host key of its own.

As root they run in mount and process namespaces of their own, with a password file in which our user's shell is
/bin/sh: a heavy .bashrc of the real account would hide everything that is measured. Nothing on the machine is changed,
and the servers end with us.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncssh
from attrs import frozen

from skyrig.errors import BadInput
from skyrig.fleet.connection import Credentials
from skyrig.fleet.target import Target

USER, USER_ID = "bench", 65534
_SBIN = ":/usr/sbin:/usr/local/sbin"
_START_S = 60.0
_AS_ROOT = (
    *("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "sh", "-c"),
    'mount --bind "$1/passwd" /etc/passwd; shift; for c in "$@"; do "$SSHD" -D -e -f "$c" 2>>"$c.log" & done; cat',
)
_AS_USER = (
    *("sh", "-c"),
    'shift; for c in "$@"; do "$SSHD" -D -e -f "$c" 2>>"$c.log" & done; cat; kill $(jobs -p)',
)


@frozen
class Farm:
    """Running servers: `targets` of the fleet, the client's key in memory and as a file, and an OpenSSH client's config
    (`ssh -F`) in which they go by their ids, host keys pinned."""

    targets: tuple[Target, ...]
    key: Credentials
    key_file: Path
    ssh_config: Path


@contextmanager
def farm(count: int, folder: Path) -> Iterator[Farm]:
    """`count` servers that keep their files in `folder`, which other users must be able to enter."""
    sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + _SBIN)
    if sshd is None:
        raise BadInput("no sshd on this machine", hint="Debian: apt-get install openssh-server")
    root = os.getuid() == 0
    home = folder / "home"
    home.mkdir(parents=True)
    own = asyncssh.generate_private_key("ssh-ed25519")
    (folder / "authorized").write_bytes(own.export_public_key())
    write_key(folder, own.export_private_key().decode())
    if root:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        accounts = Path("/etc/passwd").read_text() + f"{USER}:*:{USER_ID}:{USER_ID}::{home}:/bin/sh\n"
        (folder / "passwd").write_text(accounts)
    user = USER if root else getpass.getuser()
    targets = [_prepared(folder, f"n{at}", port, user) for at, port in enumerate(free_ports(count))]
    configs = [str(folder / target.id) for target in targets]
    command = [*(_AS_ROOT if root else _AS_USER), "farm", str(folder), *configs]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, "SSHD": sshd}) as servers:
        try:
            _wait_for([target.port for target in targets], folder)
            yield Farm(
                tuple(targets),
                Credentials(own.export_private_key().decode()),
                folder / "id",
                client_config(folder, targets),
            )
        finally:
            assert servers.stdin is not None
            servers.stdin.close()
            servers.wait()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; all are held until the last is found, so that they differ."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _prepared(folder: Path, name: str, port: int, user: str) -> Target:
    """A server's files; everything that matters to load (MaxStartups, MaxSessions) is left at its default."""
    host = asyncssh.generate_private_key("ssh-ed25519")
    private = folder / f"{name}.key"
    private.touch(mode=0o600)
    private.write_bytes(host.export_private_key())
    home = folder / "home" / name
    home.mkdir()
    home.chmod(0o777)
    (folder / name).write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {private}\nAuthorizedKeysFile {folder}/authorized\n"
        f"SetEnv HOME={home}\nStrictModes no\nPidFile none\nUsePAM no\nPasswordAuthentication no\nPrintMotd no\n"
    )
    return Target(name, "127.0.0.1", port, user, host.export_public_key().decode().strip())


def write_key(folder: Path, private_key: str) -> None:
    """Put a client's key where `client_config` names it."""
    (folder / "id").touch(mode=0o600)
    (folder / "id").write_text(private_key)


def client_config(folder: Path, targets: Sequence[Target]) -> Path:
    """A config for OpenSSH's client by which the servers go by their ids; the key is the file `id` in `folder`."""
    config, known = folder / "ssh_config", folder / "known_hosts"
    known.write_text("".join(f"{target.id} {target.host_key}\n" for target in targets))
    stanzas = [
        f"Host {target.id}\n  HostName {target.host}\n  Port {target.port}\n  HostKeyAlias {target.id}\n"
        for target in targets
    ]
    common = (
        f"Host *\n  User {targets[0].user}\n  IdentityFile {folder}/id\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {known}\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n  LogLevel ERROR\n"
    )
    config.write_text("".join(stanzas) + common)
    return config


def _wait_for(ports: Sequence[int], folder: Path) -> None:
    deadline = time.monotonic() + _START_S
    for port in ports:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if time.monotonic() > deadline:
                raise BadInput(f"an SSH server did not start; its log is in {folder}")
            time.sleep(0.05)
