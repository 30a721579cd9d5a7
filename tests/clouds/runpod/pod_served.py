"""A pod that runs: what the API was told to start, in a root, processes and a network of its own. Its port 22 is a port
of this machine, as RunPod maps it. Its root is an overlay of this machine's, whose changes lie in memory; the volume at
its home lies in a folder."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

HOME = "/root"
ROOT = f"""
set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
mkdir "$1/root" "$1/upper" "$1/work"
mount -t overlay none -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
for each in home tmp run; do mount -t tmpfs -o mode=1777 none "./$each"; done
mount --bind "$2" .{HOME}
mount -t proc proc ./proc
mount --rbind /dev ./dev
pivot_root . mnt
cd /
umount -l /mnt
ip link set lo up
exec sh -c "$3"
"""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NEW_NETWORK = 0x40000000


def missing() -> str:
    """What pods lack on this machine; "" where they can run."""
    programs = ("unshare", "pivot_root", "ip", "/usr/sbin/sshd")
    lacking = [name for name in programs if shutil.which(name, path=f"{PATH}:{os.environ['PATH']}") is None]
    if lacking:
        return f"not on this machine: {', '.join(lacking)}"
    return "" if os.getuid() == 0 else "pods are made of namespaces: needs root"


class Pod:
    """One start of a pod; its volume is `volume`, which outlives it."""

    def __init__(self, scratch: Path, volume: Path, env: Mapping[str, str], args: str) -> None:
        for folder in (scratch, volume):
            folder.mkdir(parents=True, exist_ok=True)
        self._log = (scratch.parent / f"{scratch.name}.log").open("ab")
        spaces = ("--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child")
        self._process = subprocess.Popen(
            ["unshare", *spaces, "sh", "-c", ROOT, "pod", str(scratch), str(volume), args],
            env={"PATH": PATH, "HOME": HOME, **env},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """End all of it at once."""
        self._listener.close()
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def _serve(self) -> None:
        """Bring whoever comes to the pod's own port 22: this thread is in its network, and so is what it connects."""
        network = os.open(f"/proc/{self._inside()}/ns/net", os.O_RDONLY)
        if ctypes.CDLL(None, use_errno=True).setns(network, _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(network)
        while True:
            try:
                outside, _ = self._listener.accept()
            except OSError:
                return
            try:
                inside = socket.create_connection(("127.0.0.1", 22))
            except OSError:
                outside.close()
                continue
            for source, target in ((outside, inside), (inside, outside)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()

    def _inside(self) -> int:
        """The pod's first process as this machine knows it; unshare itself stays outside of the process namespace."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        while not (found := children.read_text().split()):
            assert self._process.poll() is None, "the pod has ended"
        return int(found[0])


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        target.close()
