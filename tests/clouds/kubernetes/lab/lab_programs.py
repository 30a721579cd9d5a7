"""The programs of a Kubernetes: built once for all from pinned Go modules (tools/kubernetes), etcd from the system.

They lie in the user's cache under a hash of what they are made from. Nothing is got where something is missing: tests
skip, with one line that says what.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from skyrig import places

MODULE = Path(__file__).parents[4] / "tools" / "kubernetes"
VERSION = "1.36.3"
SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
KUBELET = "kubelet"
LACKING = 3
"""Exit code of this as a program where something is not on this machine."""

_STAMP = "k8s.io/component-base/version"
_SAID = f"-X {_STAMP}.gitVersion=v{VERSION} -X {_STAMP}.gitMajor=1 -X {_STAMP}.gitMinor={VERSION.split('.')[1]}"


def missing() -> str:
    """What a lab lacks on this machine, in one line; empty where nothing does."""
    if os.getuid() != 0:
        return "a Kubernetes for tests runs its pods in namespaces: needs root"
    if lacking := [name for name in ("nsenter", "setpriv") if shutil.which(name) is None]:
        return f"not on this machine: {', '.join(lacking)} (Debian: util-linux)"
    if etcd() is None:
        return "not on this machine: etcd (Debian: etcd-server)"
    if shutil.which("go") is None and not (_built(servers_folder(), SERVERS) and _built(kubelet_folder(), [KUBELET])):
        return "a Kubernetes for tests is not built here, and there is no Go to build it with"
    return ""


def etcd() -> str | None:
    """The program etcd."""
    return shutil.which("etcd", path=os.environ.get("PATH", os.defpath) + ":/usr/local/bin:/usr/bin")


def servers_folder() -> Path:
    """Where the API server, the controller manager and the scheduler of these module versions lie."""
    return places.cache() / "kubernetes" / _hash([MODULE / "go.sum"])


def kubelet_folder() -> Path:
    """Where the test kubelet of these sources lies."""
    return places.cache() / "kubernetes" / f"kubelet-{_hash([MODULE / 'go.sum', *_sources()])}"


def build() -> None:
    """Have all programs; minutes where none is there yet. CalledProcessError where Go fails, whose words are on
    stderr."""
    _have(servers_folder(), SERVERS, "tool")
    _have(kubelet_folder(), [KUBELET], "./kubelet")


def main() -> int:
    """For rig: build all, or say in one line what is missing here, and end with LACKING; else as Go ends."""
    if lacking := missing():
        print(lacking)
        return LACKING
    try:
        build()
    except subprocess.CalledProcessError as failed:
        return failed.returncode
    return 0


def _have(folder: Path, names: Sequence[str], package: str) -> None:
    if _built(folder, names):
        return
    places.made(folder.parent)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _built(folder, names):
            return
        fresh = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        command = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-v", f"-ldflags=-s -w {_SAID}"]
        subprocess.run([*command, f"-o={fresh}/", package], cwd=MODULE, check=True, stdout=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)


def _sources() -> list[Path]:
    return sorted((MODULE / "kubelet").glob("*.go"))


def _built(folder: Path, names: Iterable[str]) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in names)


def _hash(files: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
