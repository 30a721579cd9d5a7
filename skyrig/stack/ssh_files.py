"""Files with which plain `ssh` reaches the nodes of a stack: the client's key, pinned host keys, host names."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from skyrig import places
from skyrig.cluster.description import ClusterDescription, Node
from skyrig.stack import ssh_include, ssh_names

Notify = Callable[[str], None]
"""Takes one line for the reader."""

SURE = ".skyrig"
"""What a host name ends with that is there also where the user's own config has another host of the shorter one."""

_FIXED = """\
  AddKeysToAgent no
  AddressFamily any
  CanonicalizeHostname no
  CheckHostIP no
  ControlMaster no
  ControlPath none
  GlobalKnownHostsFile /dev/null
  IdentitiesOnly yes
  KbdInteractiveAuthentication no
  NoHostAuthenticationForLocalhost no
  PasswordAuthentication no
  PermitLocalCommand no
  PreferredAuthentications publickey
  ProxyUseFdpass no
  PubkeyAuthentication yes
  RequestTTY auto
  StrictHostKeyChecking yes
  UpdateHostKeys no
  VerifyHostKeyDNS no
"""
"""What a `Host *` of the user's must not decide. Keywords that clients older than OpenSSH 7.3 do not know would make
the whole of the user's config useless to them, so there are none here."""

_NAMES = ("key", "known_hosts", "ssh_config")


def write(stack: str, described: ClusterDescription) -> Path:
    """Write `key` (0600), `known_hosts` and `ssh_config` into the stack's folder; returns the last one's path. With
    it, `ssh -F PATH NAME.skyrig` reaches the head and `NAME-worker1.skyrig` and so on the others; the shorter names do
    too, but for those that the user's own config has a host of. Gates have the sure name alone, which ends with their
    id: they are passed through."""
    folder = places.made(places.stack(stack))
    theirs = _taken(folder, described)
    replace(folder / "key", described.ssh.private_key.rstrip("\n") + "\n")
    replace(folder / "known_hosts", "".join(f"{_alias(described, n)} {n.host_key}\n" for n in _all(described)))
    replace(folder / "ssh_config", _text(folder, described, theirs))
    return folder / "ssh_config"


def publish(stack: str, described: ClusterDescription, notify: Notify) -> None:
    """Write the files and let plain `ssh` know them. Says which names it knows for another host's, and what there is
    to know about the user's config; it is no error where that cannot be written."""
    if not all(node.host_key for node in described.nodes):  # no SSH servers: the API server of a queue
        return
    theirs = _taken(write(stack, described).parent, described)
    ssh_include.add(described.name, notify)
    lost = [node for node in described.nodes if host_name(described, node) in theirs]
    if lost:
        names, sure = " and ".join(host_name(described, node) for node in lost), sure_name(described, lost[0])
        where = theirs[host_name(described, lost[0])]
        instead = sure if sure not in theirs else f"-c {described.name}"
        notify(f"{where} has a host {names} of its own, which stays: `ssh {instead}` is the cluster's")


def remove(stack: str, notify: Notify) -> None:
    """Take the files away again, the key first, and after the last cluster plain ssh's way to them."""
    for name in _NAMES:
        (places.stack(stack) / name).unlink(missing_ok=True)
    ssh_include.remove(notify)


def host_name(described: ClusterDescription, node: Node) -> str:
    """What plain `ssh` calls a node: the cluster's name for the head, NAME-workerK for rank K; a gate by its id."""
    if node in described.gates:
        return f"{described.name}-{node.id}"
    return described.name if node.rank == 0 else f"{described.name}-worker{node.rank}"


def sure_name(described: ClusterDescription, node: Node) -> str:
    """What `ssh` calls a node whatever else is called so."""
    return host_name(described, node) + SURE


def replace(file: Path, text: str) -> None:
    """Put `text` into `file`, readable by its owner alone, as a whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
        Path(temporary).replace(file)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _all(described: ClusterDescription) -> tuple[Node, ...]:
    """All that `ssh` logs in to: nodes, and what is before them."""
    return (*described.nodes, *described.gates)


def _alias(described: ClusterDescription, node: Node) -> str:
    return f"skyrig-{described.name}-{node.id}"


def _taken(folder: Path, described: ClusterDescription) -> dict[str, Path]:
    file = ssh_include.users_file()
    names = {name(described, node) for node in described.nodes for name in (host_name, sure_name)}
    return ssh_names.taken(file, names, but=folder / "ssh_config") if file is not None else {}


def _text(folder: Path, described: ClusterDescription, theirs: Collection[str]) -> str:
    """A block for every node, then one of what they share: of two values OpenSSH takes the first."""
    every = f"Host {' '.join(name for node in _all(described) for name in _names(described, node, theirs))}\n"
    blocks = [_block(described, node, theirs) for node in _all(described)]
    shared = [
        f"  IdentityFile {_quoted(folder / 'key')}",
        f"  UserKnownHostsFile {_quoted(folder / 'known_hosts')}",
        f"  PubkeyAcceptedKeyTypes {_algorithms(described.ssh.public_key)}",
    ]
    return "\n".join([*blocks, every + "\n".join(shared) + "\n" + _FIXED])


def _names(described: ClusterDescription, node: Node, theirs: Collection[str]) -> list[str]:
    name = host_name(described, node)
    return [*([] if name in theirs or node in described.gates else [name]), sure_name(described, node)]


def _block(described: ClusterDescription, node: Node, theirs: Collection[str]) -> str:
    way = ["  ProxyCommand none", "  ProxyJump none"]
    if node.jump:  # after `ProxyCommand none` no jump would count
        way = [f"  ProxyJump {sure_name(described, described.way(node.jump))}"]
    elif node.proxy:
        way = [f"  ProxyCommand {shlex.join(word.replace('%', '%%') for word in node.proxy)}"]
    lines = [
        f"Host {' '.join(_names(described, node, theirs))}",
        f"  HostName {node.host}",
        f"  Port {node.port}",
        f"  User {node.user}",
        *way,
        f"  HostKeyAlias {_alias(described, node)}",
        f"  HostKeyAlgorithms {_algorithms(node.host_key)}",
    ]
    return "\n".join(lines) + "\n"


def _algorithms(key: str) -> str:
    """With which signatures a key of this type may show itself."""
    kind = key.split()[0]
    return "rsa-sha2-512,rsa-sha2-256" if kind == "ssh-rsa" else kind


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("%", "%%") + '"'
