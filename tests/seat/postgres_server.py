"""A real PostgreSQL for tests: of its own, on a free port, gone with them."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PLACES = os.pathsep.join(
    (os.environ.get("PATH", ""), "/usr/local/bin", *map(str, Path("/usr/lib/postgresql").glob("*/bin")))
)
PASSWORD = "s3cret-of-the-database"


def program(name: str) -> str | None:
    """Where one of its programs is; None where it is not installed."""
    return shutil.which(name, path=PLACES)


class Postgres:
    """A server that can be stopped and started again."""

    def __init__(self, base: Path) -> None:
        self.base, self.data = base, base / "data"
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:  # it refuses to run as root
            other = pwd.getpwnam("nobody")
            self._as = {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}
            os.chown(base, other.pw_uid, other.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.server: subprocess.Popen[bytes] | None = None

    def made(self) -> None:
        """Make its data."""
        secret = self.base / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        words = [
            program("initdb") or "", "-D", str(self.data), "-U", "skyrig", "--pwfile", str(secret),
            "-A", "scram-sha-256", "--no-sync", "-E", "UTF8", "--locale", "C",
        ]  # fmt: skip
        subprocess.run(words, check=True, capture_output=True, cwd=self.base, **self._as)

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        words = [program("postgres") or "", "-D", str(self.data), "-p", str(self.port), "-k", str(self.base)]
        words += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        with (self.base / "log").open("ab") as log:
            self.server = subprocess.Popen(words, stdout=log, stderr=log, cwd=self.base, **self._as)
        deadline = time.monotonic() + 60
        while not self.answers():
            assert self.server.poll() is None, (self.base / "log").read_text()
            assert time.monotonic() < deadline, (self.base / "log").read_text()
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether it takes connections."""
        import psycopg

        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End it at once, with all connections."""
        if self.server is not None:
            self.server.send_signal(2)  # "fast": it ends sessions and leaves
            self.server.wait(30)
            self.server = None

    def url(self, database: str = "postgres") -> str:
        """The url of one of its databases."""
        return f"postgresql://skyrig:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """The url of a new, empty database."""
        import psycopg

        name = f"d{time.monotonic_ns()}"
        with psycopg.connect(self.url(), autocommit=True) as line:
            line.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """A server for as long as the block takes."""
    base = Path(tempfile.mkdtemp(prefix="skyrig-pg-"))
    server = Postgres(base)
    try:
        server.made()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(base, ignore_errors=True)
