"""A Slurm cluster with a login node, and a user who knows it, for all tests of this folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "fleet"))

from fleet_servers import SSHD, Sshd, new_keys, public
from slurm_cluster import SlurmCluster, missing
from slurm_user import SlurmUser


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A cluster of two nodes, with whatever its daemons need."""
    if lacking := missing():
        pytest.skip(f"not on this machine: {', '.join(lacking)} (Debian: slurm-wlm, munge)")
    cluster = SlurmCluster(tmp_path_factory.mktemp("slurm"))
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="session")
def login(slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """Its login node: a stock sshd whose sessions find this Slurm, and whose home is a folder of its own."""
    if SSHD is None:
        pytest.skip("not on this machine: sshd")
    keys = new_keys()
    server = Sshd(keys, tmp_path_factory.mktemp("login"), f"SLURM_CONF={slurm.conf} PATH={slurm.env['PATH']}")
    keys.client.write_private_key(str(server.folder / "id"))
    (server.folder / "id").chmod(0o600)
    host = f"[127.0.0.1]:{server.target.port}"
    (server.folder / "known_hosts").write_text(f"{host} {public(keys.host)}\n")
    (server.folder / "slurm_config").write_text(
        f"Host hpc\n  HostName 127.0.0.1\n  Port {server.target.port}\n  User {server.target.user}\n"
        f"  IdentityFile {server.folder / 'id'}\n"
    )
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def person(login: Sshd, slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmUser]:
    """A user with a stack `hpc` for that cluster, which is up."""
    user = SlurmUser(tmp_path_factory.mktemp("user"), login.folder, slurm)
    user.run("up", "-c", "hpc", "--infra", "slurm/hpc", timeout=240)
    yield user
