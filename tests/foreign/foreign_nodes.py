"""Machines as somebody else made them: stock sshd, an empty home, an old Python, and no way to the internet.

Each node is a network, mount, pid and UTS namespace. The client's network holds the head alone; the other nodes are on
a second network behind the head, which forwards nothing. No namespace has a default route. Nothing of the machine that
runs the tests is changed: `Lab.entered` takes the test's own thread into the client's network.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import asyncssh
from attrs import field, frozen

from skyrig import places
from skyrig.cluster.description import ClusterDescription, Node, SshAccess

ROOT = Path(__file__).parents[2]
SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
_CLONE_NEWNET = 0x40000000
_DEADLINE_S = 20.0
T = TypeVar("T")


@frozen
class Python:
    """An interpreter by its installation's folder and version ("3.9")."""

    prefix: Path
    version: str

    @property
    def program(self) -> Path:
        return self.prefix / "bin" / f"python{self.version}"


def pythons(*versions: str) -> dict[str, Python]:
    """Those of `versions` ("3.9") that this machine has, on PATH or as pyenv's."""
    found: dict[str, Python] = {}
    for version in versions:
        candidates = [shutil.which(f"python{version}"), *_of_pyenv(version)]
        for program in filter(None, candidates):
            with contextlib.suppress(OSError, ValueError, subprocess.TimeoutExpired):
                ask = "import sys, json; print(json.dumps([sys.base_prefix, list(sys.version_info[:2])]))"
                told = subprocess.run([program, "-I", "-c", ask], capture_output=True, timeout=20, check=False).stdout
                prefix, numbers = json.loads(told)
                if numbers == [int(part) for part in version.split(".")]:
                    found[version] = Python(Path(prefix), version)
                    break
    return found


def _of_pyenv(version: str) -> list[str]:
    pyenv = shutil.which("pyenv")
    if pyenv is None:
        return []
    root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
    return sorted(map(str, Path(root, "versions").glob(f"{version}.*/bin/python{version}"))) if root else []


@frozen
class Machine:
    """What a node is to be: its user (root or a fresh one) with home and login shell, its Python, the size of its home
    in MB, and files in the home at first (name -> text). Folders of this machine that are there too are `shown`."""

    id: str
    python: Python
    user: str = "root"
    home: str = "/home/sky rig"
    shell: str = "/bin/sh"
    home_mb: int = 600
    files: dict[str, str] = field(factory=dict)
    shown: tuple[Path, ...] = ()


_SETUP = """\
set -e
read go
mount -t proc proc /proc
hostname {id}
ip link set lo up
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd /run/node
cp {folder}/* /run/node/
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
{python}
{kept}
mount -t tmpfs -o mode=755,size={home_mb}m tmpfs /home
for file in passwd shadow group; do mount --bind /run/node/$file /etc/$file; done
mkdir -p {home}/.ssh
cp /run/node/authorized_keys {home}/.ssh/
for file in /run/node/home-*; do
  [ -e "$file" ] && cp "$file" {home}/"${{file#/run/node/home-}}"
done
chown -R {user}: {home}
chmod 700 {home}
for folder in {hidden}; do
  [ -d "$folder" ] && mount -t tmpfs -o mode=755 tmpfs "$folder" || true
done
{again}
mount -t tmpfs -o mode=1777 tmpfs /tmp
{shown}
cd /
umask 077
exec {sshd} -D -e -f /run/node/config 2>/run/node/log
"""

_PYTHON = """\
mkdir -p /run/node/py
mount --bind {prefix} /run/node/py
mount -o remount,bind,ro /run/node/py
mount -t tmpfs -o mode=755 tmpfs /usr/local
mkdir -p /usr/local/bin
ln -s {prefix}/bin/python{version} /usr/local/bin/python3"""
_AGAIN = "[ -e {prefix}/bin ] || {{ mkdir -p {prefix}; mount --bind /run/node/py {prefix}; }}"
"""A Python built with a shared library finds that under its own path alone, which may be hidden by now."""


class ForeignNode:
    """A running node. `pid` is its first process, as seen from outside."""

    def __init__(self, machine: Machine, folder: Path, client_key: str) -> None:
        self.machine = machine
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._log = folder.with_name(f"{machine.id}.log")
        folder.mkdir(mode=0o755)
        self._lay_out(folder, client_key)
        self._process = subprocess.Popen(
            [
                "unshare",
                "--net",
                "--mount",
                "--uts",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                self._script(folder),
            ],
            stdin=subprocess.PIPE,
            stderr=self._log.open("wb"),
            start_new_session=True,
        )
        self.pid = wait_for(lambda: _child(self._process.pid), f"{machine.id} to start")

    def boot(self) -> None:
        """Start sshd, the network being there."""
        assert self._process.stdin
        self._process.stdin.write(b"go\n")
        self._process.stdin.close()

    def listening(self) -> None:
        """Wait for sshd."""
        table = Path(f"/proc/{self.pid}/net/tcp")
        wait_for(lambda: self._process.poll() is not None or ":0016 " in table.read_text(), "sshd to listen")
        assert self._process.poll() is None, self._log.read_text()

    def stop(self) -> None:
        """End the node with all that runs on it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._process.wait()

    def run(self, command: str, *, check: bool = True) -> str:
        """Output of a command on the node, run by root from outside of SSH."""
        words = [
            "nsenter",
            f"--target={self.pid}",
            "--net",
            "--mount",
            "--uts",
            "--pid",
            "--",
            "env",
            f"HOME={self.machine.home}",
            "sh",
            "-c",
        ]
        return subprocess.run([*words, command], stdout=subprocess.PIPE, text=True, check=check).stdout

    def path(self, name: str) -> Path:
        """A file of the node's home, from outside."""
        return Path(f"/proc/{self.pid}/root{self.machine.home}", name)

    def pids(self, mark: str) -> list[int]:
        """Pids, as seen from outside, of the node's processes with `mark` in their command line."""
        space, found = _namespace(self.pid, "pid"), []
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):  # it ended meanwhile
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ") if process.name.isdigit() else b""
                if mark.encode() in words and _namespace(int(process.name), "pid") == space:
                    found.append(int(process.name))
        return found

    def packets_without_route(self) -> int:
        """How many packets the node wanted to send where no route leads: out of the cluster."""
        rows = [row.split() for row in self.run("cat /proc/net/snmp").splitlines() if row.startswith("Ip:")]
        return int(dict(zip(*rows, strict=True))["OutNoRoutes"])

    def _script(self, folder: Path) -> str:
        machine = self.machine
        prefix = machine.python.prefix
        system = prefix in (Path("/usr"), Path("/"))
        hidden = [Path.home(), ROOT, places.cache().parent, Path(sys.prefix)]
        shown = [(f"/run/node/shown-{number}", shlex.quote(str(path))) for number, path in enumerate(machine.shown)]
        return _SETUP.format(
            kept="\n".join(f"mkdir -p {kept}; mount --bind {path} {kept}" for kept, path in shown),
            shown="\n".join(f"mkdir -p {path}; mount --bind {kept} {path}" for kept, path in shown),
            id=machine.id,
            folder=shlex.quote(str(folder)),
            python="" if system else _PYTHON.format(prefix=shlex.quote(str(prefix)), version=machine.python.version),
            again="" if system else _AGAIN.format(prefix=shlex.quote(str(prefix))),
            home_mb=machine.home_mb,
            home=shlex.quote(machine.home),
            user=machine.user,
            hidden=" ".join(shlex.quote(str(path)) for path in dict.fromkeys(hidden) if path.is_dir()),
            sshd=SSHD,
        )

    def _lay_out(self, folder: Path, client_key: str) -> None:
        """Write what the node's start copies into it."""
        user, home, shell = self.machine.user, self.machine.home, self.machine.shell
        accounts = {name: Path("/etc", name).read_text().splitlines() for name in ("passwd", "shadow", "group")}
        kept = {name: [row for row in rows if not row.startswith(f"{user}:")] for name, rows in accounts.items()}
        number = 0 if user == "root" else 4242
        kept["passwd"].append(f"{user}:x:{number}:{number}::{home}:{shell}")
        kept["shadow"].append(f"{user}:*:19000:0:99999:7:::")
        kept["group"].append(f"{user}:x:{number}:")
        for name, rows in kept.items():
            (folder / name).write_text("\n".join(rows) + "\n")
        self.host_key.write_private_key(str(folder / "host"))
        (folder / "host").chmod(0o600)
        (folder / "authorized_keys").write_text(client_key + "\n")
        (folder / "config").write_text("HostKey /run/node/host\nPidFile none\n")
        for name, text in self.machine.files.items():
            (folder / f"home-{name}").write_text(text)


class Lab:
    """Nodes and their two networks. The first of `machines` is the head."""

    def __init__(self, folder: Path, machines: list[Machine]) -> None:
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.nodes: list[ForeignNode] = []
        self._client = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], start_new_session=True)
        try:
            wait_for(
                lambda: _namespace(self._client.pid, "net") != _namespace(os.getpid(), "net"), "the client's network"
            )
            for machine in machines:
                self.nodes.append(ForeignNode(machine, folder / machine.id, _public(self.key)))
            self._wire()
            for node in self.nodes:
                node.boot()
            for node in self.nodes:
                node.listening()
        except BaseException:
            self.close()
            raise

    @property
    def head(self) -> ForeignNode:
        return self.nodes[0]

    def close(self) -> None:
        for node in self.nodes:
            node.stop()
        self._client.kill()
        self._client.wait()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is in the client's network: it reaches the head, and nothing else."""
        with (
            Path("/proc/thread-self/ns/net").open() as before,
            Path(f"/proc/{self._client.pid}/ns/net").open() as there,
        ):
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def description(self, name: str, count: int | None = None) -> ClusterDescription:
        """The cluster of the first `count` nodes, as a component would describe it."""
        nodes = [
            Node(
                id=node.machine.id,
                rank=rank,
                host="10.7.0.2" if rank == 0 else f"10.8.0.{rank + 1}",
                port=22,
                address=f"10.8.0.{rank + 1}",
                user=node.machine.user,
                host_key=_public(node.host_key),
                incarnation=_public(node.host_key)[-12:],
                jump="" if rank == 0 else self.head.machine.id,
                cpus=4.0,
            )
            for rank, node in enumerate(self.nodes[:count])
        ]
        access = SshAccess(_public(self.key), self.key.export_private_key("openssh").decode())
        return ClusterDescription(name=name, cloud="ssh", nodes=tuple(nodes), ssh=access, records="", egress="none")

    def _wire(self) -> None:
        head = self.head.pid
        _ip(f"link add c type veth peer name eth0 netns {head}", self._client.pid)
        _address("c", "10.7.0.1", self._client.pid)
        _address("eth0", "10.7.0.2", head)
        _ip("link add inside type bridge forward_delay 0", head)
        _address("inside", "10.8.0.1", head)
        for rank, node in enumerate(self.nodes[1:], start=1):
            _ip(f"link add w{rank} type veth peer name eth0 netns {node.pid}", head)
            _ip(f"link set w{rank} master inside up", head)
            _address("eth0", f"10.8.0.{rank + 1}", node.pid)


def wait_for(condition: Callable[[], T], what: str, deadline_s: float = _DEADLINE_S) -> T:
    """The first true value of `condition`; AssertionError after `deadline_s`."""
    deadline = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.02)
    return value


def _child(pid: int) -> int:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return 0
    return int(children[0]) if children else 0


def _namespace(pid: int, kind: str) -> Path:
    return Path(f"/proc/{pid}/ns/{kind}").readlink()


def _ip(words: str, pid: int) -> None:
    subprocess.run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", *words.split()], check=True)


def _address(device: str, address: str, pid: int) -> None:
    _ip(f"addr add {address}/24 dev {device}", pid)
    _ip(f"link set {device} up", pid)


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()
