"""Files with which plain `ssh` reaches the nodes of a stack: the client's key, pinned host keys, host names."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from skyrig import places
from skyrig.cluster.description import ClusterDescription, Node

_NAMES = ("key", "known_hosts", "ssh_config")


def write(stack: str, described: ClusterDescription) -> Path:
    """Write `key` (0600), `known_hosts` and `ssh_config` into the stack's folder; returns the last one's path. With
    it, `ssh -F PATH NAME` reaches the head and `NAME-worker1` and so on the others."""
    folder = places.made(places.stack(stack))
    replace(folder / "key", described.ssh.private_key.rstrip("\n") + "\n")
    replace(folder / "known_hosts", "".join(f"{_alias(described, n)} {n.host_key}\n" for n in described.nodes))
    replace(folder / "ssh_config", "\n".join(_block(folder, described, node) for node in described.nodes))
    return folder / "ssh_config"


def remove(stack: str) -> None:
    """Take the files away again, the key first."""
    for name in _NAMES:
        (places.stack(stack) / name).unlink(missing_ok=True)


def host_name(described: ClusterDescription, node: Node) -> str:
    """What `ssh` calls a node: the cluster's name for the head, NAME-workerK for rank K."""
    return described.name if node.rank == 0 else f"{described.name}-worker{node.rank}"


def replace(file: Path, text: str) -> None:
    """Put `text` into `file`, readable by its owner alone, as a whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
        Path(temporary).replace(file)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _alias(described: ClusterDescription, node: Node) -> str:
    return f"skyrig-{described.name}-{node.id}"


def _block(folder: Path, described: ClusterDescription, node: Node) -> str:
    lines = [
        f"Host {host_name(described, node)}",
        f"  HostName {node.host}",
        f"  Port {node.port}",
        f"  User {node.user}",
        f"  IdentityFile {_quoted(folder / 'key')}",
        "  IdentitiesOnly yes",
        f"  UserKnownHostsFile {_quoted(folder / 'known_hosts')}",
        "  GlobalKnownHostsFile /dev/null",
        f"  HostKeyAlias {_alias(described, node)}",
        "  StrictHostKeyChecking yes",
    ]
    if node.jump:
        lines.append(f"  ProxyJump {host_name(described, described.node(node.jump))}")
    return "\n".join(lines) + "\n"


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("%", "%%") + '"'
