"""The controller's table, the same in a file and in a PostgreSQL that several homes share."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from postgres_server import PASSWORD, Postgres

from skyrig.control import folder, settings, table
from skyrig.control.database import address, postgres
from skyrig.control.ward import JOB, SERVICE, Ward, Wish
from skyrig.errors import BadInput, SkyrigError

WRITER = """
import sys
from skyrig.control import table
from skyrig.control.ward import Ward
for k in range(15):
    table.enter(Ward(f'{sys.argv[1]}-{k}', 's', version=1))
    table.note(sys.argv[1], k)
    print(table.number('job'))
"""


def test_a_ward_is_kept_changed_and_dropped(table_home: Path) -> None:
    assert table.wards() == []
    assert table.ward("m") is None
    assert table.fact("f") is None
    made = table.enter(Ward("m", "stack", version=1, alone=False, data={"doing": "ü%?'"}))
    assert table.ward("m") == made
    changed = table.change("m", status="READY", data={"doing": None, "head": "i1"})
    assert changed is not None
    assert (changed.status, changed.data, changed.alone) == ("READY", {"head": "i1"}, False)
    again = table.enter(Ward("m", "stack", version=2))
    assert (again.version, again.data, again.created_at) == (2, {"head": "i1"}, made.created_at)
    assert table.enter(Ward("m", "other"), only_new=True) == again
    assert table.on_stack("stack") == again
    assert table.change("other", status="READY") is None
    table.enter(Ward("7", "j-7", JOB, wish=Wish.PAST))
    assert table.wards() == [again]
    assert [each.name for each in table.wards(past=True)] == ["7", "m"]
    assert table.wards(JOB) == []
    assert [each.name for _, each in table.of_everybody(JOB)] == ["7"]
    table.note("f", [1, None])
    table.note("f", {"a": 2})
    found = table.fact("f")
    assert found is not None
    assert found[0] == {"a": 2}
    table.drop("m")
    assert table.ward("m") is None


def test_what_fails_within_is_not_written(table_home: Path) -> None:
    table.enter(Ward("m", "s"))
    with pytest.raises(TypeError):
        table.change("m", status="READY", data={"no": object()})
    found = table.ward("m")
    assert found is not None
    assert found.status == ""


def test_numbers_never_repeat_and_many_write_at_once(table_home: Path) -> None:
    table.at_least("job", 40)
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(number)], stdout=subprocess.PIPE) for number in range(3)
    ]
    numbers = [int(line) for process in running for line in process.communicate(timeout=60)[0].split()]
    assert [process.returncode for process in running] == [0] * 3
    assert sorted(numbers) == list(range(41, 86))
    assert len(table.wards()) == 45
    assert [found[0] for found in map(table.fact, "012") if found] == [14] * 3
    table.at_least("job", 3)
    assert table.number("job") == 86


def test_two_homes_share_numbers_and_nothing_else(
    shared: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = table.number("job")
    table.enter(Ward(str(first), "a", JOB))
    table.note("heartbeat", 1)
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "other"))
    assert not table.is_there()
    second = table.number("job")
    assert second == first + 1
    assert table.wards() == []
    assert table.fact("heartbeat") is None
    table.enter(Ward(str(second), "b", JOB))
    table.drop(str(first), JOB)
    table.change(str(first), JOB, status="READY")
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "home"))
    assert [each.stack for each in table.wards()] == ["a"]
    everybody = table.of_everybody(JOB)
    assert sorted(each.stack for _, each in everybody) == ["a", "b"]
    assert address.home() in dict(everybody)


def test_a_database_that_goes_and_comes_back_is_used_again(shared: Postgres) -> None:
    table.enter(Ward("m", "s"))
    shared.stop()
    back = threading.Timer(1.0, shared.start)
    back.start()
    try:
        assert table.ward("m") is not None  # its line broke, and it waited
        assert table.change("m", status="READY") is not None
    finally:
        back.join()
    shared.stop()
    try:
        postgres.be_patient(0.3)
        with pytest.raises(SkyrigError, match="cannot be used") as failed:
            table.wards()
        assert PASSWORD not in str(failed.value) + str(failed.value.hint)
        assert f"127.0.0.1:{shared.port}" in failed.value.message
    finally:
        shared.start()
    found = table.ward("m")
    assert found is not None
    assert found.status == "READY"


def test_a_database_of_a_newer_skyrig_is_left_alone(shared: Postgres) -> None:
    import psycopg

    table.enter(Ward("m", "s"))
    with psycopg.connect(address.url()) as line:
        line.execute("UPDATE skyrig.version SET number = 99")
    with pytest.raises(SkyrigError, match="newer"):
        table.wards()


def test_a_file_of_the_first_version_is_taken_over(home: Path) -> None:
    folder.root().mkdir(parents=True)
    with sqlite3.connect(folder.database()) as db:
        db.executescript("""
            CREATE TABLE wards (kind TEXT NOT NULL, name TEXT NOT NULL, stack TEXT NOT NULL, alone INTEGER NOT NULL,
                wish TEXT NOT NULL, version INTEGER NOT NULL, applied INTEGER NOT NULL, failed INTEGER NOT NULL,
                status TEXT NOT NULL, reason TEXT NOT NULL, data TEXT NOT NULL, created_at REAL NOT NULL,
                changed_at REAL NOT NULL, PRIMARY KEY (kind, name));
            CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL, at REAL NOT NULL);
            INSERT INTO wards VALUES ('service', 'm', 's', 1, 'UP', 3, 2, 0, 'READY', '', '{"head": "i0"}', 5.5, 6.5);
            INSERT INTO facts VALUES ('heartbeat', '12.5', 13.5);
            PRAGMA user_version = 1;
        """)
    expected = Ward("m", "s", version=3, applied=2, status="READY", data={"head": "i0"}, created_at=5.5, changed_at=6.5)
    assert table.ward("m", SERVICE) == expected
    assert table.fact("heartbeat") == (12.5, 13.5)
    assert table.change("m", applied=3) is not None


@pytest.mark.parametrize("damage", [b"this is no database at all, " * 400, None])
def test_a_damaged_file_is_set_aside_with_a_line(
    home: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(60):
        table.enter(Ward(f"m{number}", "s", data={"much": "x" * 900}))
    file = folder.database()
    if damage is not None:
        file.write_bytes(damage)
    else:
        with file.open("r+b") as pages:
            pages.seek(4096)
            pages.write(b"\xff" * (file.stat().st_size - 4096))
    with caplog.at_level(logging.WARNING, "skyrig.control"):
        assert table.wards() == []
    assert len(caplog.records) == 1
    assert "set aside as control.db.damaged-" in caplog.text
    assert list(folder.root().glob("control.db.damaged-*"))
    assert table.enter(Ward("n", "s")) == table.ward("n")


def test_where_the_table_is_said_and_by_whom(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.read() == settings.Settings()
    home.mkdir()
    (home / "config.yaml").write_text("jobs: {controller: stack, controller_db: 'postgresql://u:p@h/d'}\n")
    assert settings.read().controller == "stack"
    assert address.url() == "postgresql://u:p@h/d"
    assert "p@h" not in repr(settings.read())
    monkeypatch.setenv("SKYRIG_CONTROL_DB", "mysql://u:p@h/d")
    with pytest.raises(BadInput, match="SKYRIG_CONTROL_DB"):
        table.wards()
    for text, match in (
        ("jobs: {controler: here}", "controler"),
        ("jobs: {controller: moon}", "moon"),
        ("a: [", "YAML"),
    ):
        (home / "config.yaml").write_text(text)
        with pytest.raises(BadInput, match=match):
            settings.read()
