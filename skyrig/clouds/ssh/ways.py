"""How a machine is reached and its identity checked: what the inventory says, and the user's own known_hosts and keys.

A host key that is not known is refused: nobody accepts one by the way. No agent takes part, and no password.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from skyrig.clouds.ssh.inventory import Machine, Pool, own_file, settled
from skyrig.errors import BadInput
from skyrig.fleet.connection import Credentials
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import Target

_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
"""Host keys, the one that is pinned first where several are known."""

_IDENTITIES = ("id_ed25519", "id_ecdsa", "id_rsa")


@frozen
class Way:
    """How one machine is reached from here: `target` without its jump, `identity` the file with the user's key,
    `before` the way to what it is reached through. `address`:`internal_port` is where a cluster's head reaches it."""

    pool: str
    name: str
    target: Target
    identity: str
    address: str
    internal_port: int
    before: Way | None = None
    is_gate: bool = False

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.pool}/{self.name}"

    @property
    def place(self) -> str:
        """Where it is reached from what it is reached through, as sshd's permitopen has it."""
        host = f"[{self.target.host}]" if ":" in self.target.host else self.target.host
        return f"{host}:{self.target.port}"

    def credentials(self) -> Credentials:
        """The user's key; BadInput where it cannot be read without a passphrase."""
        return Credentials(private_key(Path(self.identity)))

    def to_json(self) -> dict[str, Any]:
        """As a stack's state keeps it: no secret."""
        return {
            "pool": self.pool,
            "name": self.name,
            "host": self.target.host,
            "port": self.target.port,
            "user": self.target.user,
            "host_key": self.target.host_key,
            "identity": self.identity,
            "address": self.address,
            "internal_port": self.internal_port,
            "before": self.before.to_json() if self.before is not None else None,
            "is_gate": self.is_gate,
        }


def from_json(said: Mapping[str, Any]) -> Way:
    """The same back; numbers come from the engine as floats, and what is nothing not at all."""
    target = Target(said["name"], said["host"], int(said["port"]), said["user"], said["host_key"])
    before = from_json(said["before"]) if said.get("before") else None
    return Way(
        said["pool"], said["name"], target, said["identity"], said["address"], int(said["internal_port"]), before,
        bool(said["is_gate"]),
    )  # fmt: skip


def to(pool: Pool, machine: Machine) -> Way:
    """The way to a machine of a pool. BadInput where its host key is not known, or there is no key to log in with."""
    usual = settled(machine, getpass.getuser())
    target = Target(usual.name, usual.host, usual.port, usual.user, usual.host_key or _known(usual))
    before = to(pool, pool.way(usual.jump)) if usual.jump else None
    return Way(
        pool.name, usual.name, target, str(_identity(usual)), usual.address, usual.internal_port, before, usual.is_gate
    )


def _known(machine: Machine) -> str:
    """The key that the user has accepted for this machine, one OpenSSH line."""
    files = [Path("~/.ssh/known_hosts").expanduser(), Path("/etc/ssh/ssh_known_hosts")]
    found: list[str] = []
    for file in files:
        trusted, _, revoked, *_ = _read(file).match(machine.alias, "", machine.port)
        found += [key.export_public_key().decode().strip() for key in trusted if key not in revoked]
    for kind in _KINDS:
        for key in found:
            if key.split()[0] == kind:
                return " ".join(key.split()[:2])
    port = f"-p {machine.port} " if machine.port != 22 else ""
    raise BadInput(
        f"{machine.where}: the host key of {machine.title} is not known, so who answers there cannot be told",
        hint=f"compare what `ssh-keyscan {port}{machine.host}` prints with what the machine itself says "
        f"(/etc/ssh/ssh_host_*_key.pub), and write it as host_key into {own_file()}, or log in once with `ssh`",
    )


def _read(file: Path) -> asyncssh.SSHKnownHosts:
    try:
        return asyncssh.read_known_hosts(str(file))
    except FileNotFoundError:
        return asyncssh.import_known_hosts("")
    except (OSError, ValueError) as error:
        raise BadInput(f"{file} cannot be read: {error}", hint="or write host_key for each machine") from error


def _identity(machine: Machine) -> Path:
    """The file with the key that opens a machine."""
    given = machine.identity_file
    files = [Path(given).expanduser()] if given else [Path("~/.ssh").expanduser() / name for name in _IDENTITIES]
    for file in files:
        if file.is_file():
            return file.absolute()
    lacks = f"{given} is not there" if given else f"~/.ssh has none of {', '.join(_IDENTITIES)}"
    raise BadInput(
        f"{machine.where}: {lacks}, so there is nothing to log in to {machine.title} with",
        hint="identity_file names the key",
    )


def private_key(file: Path) -> str:
    """The text of a key without a passphrase; BadInput where it cannot be had."""
    try:
        text = file.read_text()
        asyncssh.import_private_key(text)
    except OSError as error:
        raise BadInput(f"{file}: {(error.strerror or 'cannot be read').lower()}") from error
    except (asyncssh.KeyImportError, ValueError) as error:
        raise BadInput(
            f"{file} cannot be used: it is no key, or has a passphrase, which nobody is there to type",
            hint="name a key without one as identity_file",
        ) from error
    return text
