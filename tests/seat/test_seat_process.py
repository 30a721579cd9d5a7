"""The controller as a process whose folder, or whose database, goes away."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from control_host import Host, host
from postgres_server import Postgres

from skyrig.control import client, folder, table
from skyrig.control.services import wards as services
from skyrig.standing import holder


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Host]:
    """Somebody who has no cluster."""
    with host(tmp_path) as somebody:
        yield somebody


def test_a_controller_whose_folder_went_leaves_the_field_to_the_next(person: Host) -> None:
    with client.holding("web"):
        person.entered("web")
        person.ensure()
        first = person.controller()
        assert first
        folder.root().rename(person.person.home / "lost")
    with client.holding("web"):
        person.entered("web")
        person.ensure()
        second = person.controller()
        assert second not in (0, first)
        deadline = time.monotonic() + 30
        while Path(f"/proc/{first}").exists():
            assert time.monotonic() < deadline, "two controllers of one home"
            time.sleep(0.1)
        assert person.controller() == second
        assert client.ask({"op": "hello"})["release"]
        services.end("web")
    person.until(lambda: person.gone("web"), "nothing is left", "web")


def test_a_controller_whose_database_goes_away_waits_for_it(
    person: Host, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.person.env["SKYRIG_CONTROL_DB"] = server.database()
    monkeypatch.setenv("SKYRIG_CONTROL_DB", person.person.env["SKYRIG_CONTROL_DB"])
    with client.holding("web"):
        person.entered("web")
        person.ensure()
        pid = person.controller()
        server.stop()
        try:
            person.until(lambda: "cannot be used" in folder.standing().log.read_text(), "it has noticed")
        finally:
            server.start()
        assert person.controller() == pid
        services.end("web")
    assert not folder.database().exists()
    person.until(lambda: person.gone("web"), "nothing is left", "web")
    person.until(lambda: holder(folder.standing().watch) is None, "it has left", "web")
    assert not Path(f"/proc/{pid}").exists()
    assert table.wards(past=True) == []
    assert os.environ["SKYRIG_CONTROL_DB"] not in folder.standing().log.read_text()
