"""Fixtures of the fleet's tests: each test that talks SSH runs against both kinds of server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fleet_servers import SSHD, Keys, Serve, Sshd, asyncssh_server, new_keys

from skyrig.fleet.target import Target


@pytest.fixture(scope="session")
def keys() -> Keys:
    return new_keys()


@pytest.fixture(scope="session")
def shared_sshd(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One OpenSSH server for all tests that do not stop it."""
    if SSHD is None:
        pytest.skip("no sshd on this machine (Debian: openssh-server)")
    server = Sshd(keys, tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture
def asyncssh_serve(keys: Keys, tmp_path: Path) -> Serve:
    """One kind of server, for what does not depend on the kind."""
    return lambda: asyncssh_server(keys, tmp_path)


@pytest.fixture(params=["asyncssh", "openssh"])
def serve(request: pytest.FixtureRequest, keys: Keys, tmp_path: Path) -> Serve:
    """An SSH server to be entered inside the test's event loop."""
    if request.param == "asyncssh":
        return lambda: asyncssh_server(keys, tmp_path)
    sshd: Sshd = request.getfixturevalue("shared_sshd")

    @asynccontextmanager
    async def running() -> AsyncIterator[Target]:
        yield sshd.target

    return running
