"""Tables of the controller: as a file, and in a real PostgreSQL."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import Postgres, program, running

from skyrig.control.database import postgres

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("control", "jobs_control")]


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """A PostgreSQL; what needs it is skipped where there is none."""
    if program("postgres") is None or program("initdb") is None:
        pytest.skip("PostgreSQL is not installed: `./rig setup system`")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("its client is not installed: `./rig setup postgres`")
    with running() as found:
        yield found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, with the table in a file."""
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SKYRIG_CONTROL_DB", raising=False)
    return tmp_path / "home"


@pytest.fixture
def shared(home: Path, server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Postgres:
    """The table in a database of the test's own."""
    monkeypatch.setenv("SKYRIG_CONTROL_DB", server.database())
    monkeypatch.setattr(postgres._Patience, "seconds", 20.0)
    return server


@pytest.fixture(params=["file", "postgres"])
def table_home(request: pytest.FixtureRequest, home: Path) -> Path:
    """The user's data folder, with the table in a file, and in PostgreSQL."""
    if request.param == "postgres":
        request.getfixturevalue("shared")
    return home
