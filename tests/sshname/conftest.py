"""A user's home folder, in which an OpenSSH client would look for its config, and clusters that only files know of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from skyrig.cluster.description import ClusterDescription, Node, SshAccess
from skyrig.stack import ssh_files


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of somebody who has not used ssh yet, with a SKYRIG_HOME of their own."""
    folder = tmp_path / "me"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "sky"))
    monkeypatch.setenv("SKYRIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SKYRIG_SSH_CONFIG")
    return folder


@pytest.fixture
def said() -> list[str]:
    """What the reader was told."""
    return []


@pytest.fixture
def comes(said: list[str]) -> Callable[..., ClusterDescription]:
    """Lets a cluster of that name come up, as far as ssh's files are concerned."""

    def come(name: str, *, ports: tuple[int, ...] = (2201, 2202)) -> ClusterDescription:
        nodes = tuple(
            Node(f"n{rank}", rank, "127.0.0.1", port, "127.0.0.1", "me", "ssh-ed25519 AAAA", "1")
            for rank, port in enumerate(ports)
        )
        cluster = ClusterDescription(name, "local", nodes, SshAccess("ssh-ed25519 BBBB", "private"), "file:///nowhere")
        ssh_files.publish(name, cluster, said.append)
        return cluster

    return come


@pytest.fixture
def goes(said: list[str]) -> Callable[[str], None]:
    """Takes the cluster of that name away again."""
    return lambda name: ssh_files.remove(name, said.append)
