"""The cluster's internal key, and what every node is given so that the nodes reach one another.

The key pair is made on the head at first contact and never leaves the cluster. Inside a job `ssh ADDRESS`,
`ssh ALIAS` and `ssh NAME-workerK` then reach every node, host keys verified, without a prompt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from skyrig.cluster.description import ClusterDescription, Node
from skyrig.errors import SkyrigError
from skyrig.fleet import fanout
from skyrig.fleet.connection import Credentials
from skyrig.fleet.pool import Pool
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import Target, inside
from skyrig.launch import nodeside

_COMMENT = "skyrig-internal"


class InternalKey:
    """The key pair in the folder `folder` on the head, made if it is not there."""

    def __init__(self, folder: Path) -> None:
        private = folder / "id_ed25519"
        if not private.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = asyncssh.generate_private_key("ssh-ed25519", comment=_COMMENT)
            fresh = folder / ".id_ed25519.new"
            fresh.touch(mode=0o600)
            fresh.write_bytes(key.export_private_key("openssh"))
            fresh.replace(private)
        self.private = private.read_text()
        self.public = asyncssh.import_private_key(self.private).export_public_key("openssh").decode().strip()

    @property
    def credentials(self) -> Credentials:
        """The key as the fleet wants it."""
        return Credentials(self.private)


def names(cluster: ClusterDescription, node: Node) -> list[str]:
    """Host names under which `node` is reached inside the cluster."""
    usual = cluster.name if node.rank == 0 else f"{cluster.name}-worker{node.rank}"
    return list(dict.fromkeys(name for name in (node.address, node.alias, node.id, usual) if name))


def ssh_files(cluster: ClusterDescription, key: InternalKey) -> dict[str, str]:
    """OpenSSH's client files below ~/.skyrig that make every node reachable by name."""
    stanzas = [
        f"Host {' '.join(names(cluster, node))}\n"
        f"  HostName {node.address}\n  Port {node.internal_port}\n  User {node.user}\n  HostKeyAlias skyrig-{node.id}\n"
        '  IdentityFile "@HOME@/.skyrig/ssh/id_ed25519"\n  IdentitiesOnly yes\n'
        '  UserKnownHostsFile "@HOME@/.skyrig/ssh/known_hosts"\n  StrictHostKeyChecking yes\n  LogLevel ERROR\n'
        for node in cluster.nodes
    ]
    known = "".join(f"skyrig-{node.id} {node.host_key}\n" for node in cluster.nodes)
    return {"ssh/config": "\n".join(stanzas), "ssh/known_hosts": known, "ssh/id_ed25519": key.private}


async def prepare(pool: Pool, cluster: ClusterDescription, key: InternalKey, nodes: Sequence[Node]) -> dict[str, str]:
    """Give every one of `nodes` our programs and the files above, at once. Returns node id -> reason of failures."""
    files = {**ssh_files(cluster, key), **nodeside.files()}
    command, stdin = nodeside.program("prepare", {"files": files, "include": True})

    async def one(target: Target) -> str:
        try:
            done = await fanout.run(pool, target, command, stdin=stdin, timeout_s=60)
        except SkyrigError as error:
            return error.message
        return "" if done.code == 0 else done.stderr.decode(errors="replace").strip()[-300:] or f"code {done.code}"

    reasons = await asyncio.gather(*(one(inside(node)) for node in nodes))
    return {node.id: reason for node, reason in zip(nodes, reasons, strict=True) if reason}
