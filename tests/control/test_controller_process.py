"""The controller as a process: one, there as long as there is something to do, which leaves alone what is held."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from control_host import Host, host

from skyrig.control import client, folder, table
from skyrig.control.services import wards as services
from skyrig.control.ward import Ward, Wish
from skyrig.errors import SkyrigError
from skyrig.standing import holder


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Host]:
    """Somebody who has no cluster."""
    with host(tmp_path) as somebody:
        yield somebody


def test_it_ends_what_is_to_go_and_then_leaves(person: Host) -> None:
    assert client.state() == client.ControllerState(False)
    person.entered("web")
    services.end("web")
    person.ensure()
    assert client.state().alive
    person.until(lambda: person.gone("web"), "nothing is left", "web")
    person.until(lambda: holder(folder.standing().watch) is None, "it has left", "web")
    away = client.state()
    assert not away.alive
    assert time.time() - (away.since or 0.0) < 60
    with pytest.raises(SkyrigError, match="does not answer"):
        client.metrics()


def test_what_a_command_holds_is_left_alone_until_that_ends_or_is_killed(person: Host) -> None:
    text = (
        "import sys, time\nfrom skyrig.control import client\n"
        "with client.holding('web'):\n  print('held', flush=True)\n  time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, env=person.person.env) as command:
        assert command.stdout
        assert command.stdout.readline() == b"held\n"
        person.entered("web")
        services.end("web")
        table.enter(Ward("other", "other", version=1, wish=Wish.GONE))
        person.ensure()
        person.until(lambda: table.ward("other") is None, "the one that nobody holds is ended", "other")
        assert table.ward("web") is not None
        command.kill()
    person.until(lambda: person.gone("web"), "it has taken over", "web")


def test_killed_it_comes_back_and_there_is_one(person: Host) -> None:
    with client.holding("web"):
        person.entered("web")
        for _ in range(3):
            person.ensure()
        first = person.controller()
        os.kill(first, signal.SIGKILL)
        second = person.until(lambda: (pid := person.controller()) not in (0, first) and pid, "it is back", "web")
        services.end("web")
    person.until(lambda: person.gone("web"), "nothing is left", "web")
    assert second != first


def test_it_leaves_when_its_folder_is_gone(person: Host) -> None:
    with client.holding("web"):
        person.entered("web")
        person.ensure()
        watch = holder(folder.standing().watch)
        assert watch
        moved = person.person.home.with_name("moved")
        person.person.home.rename(moved)
        deadline = time.monotonic() + 30
        while Path(f"/proc/{watch}").exists():
            assert time.monotonic() < deadline, "its watch has not ended"
            time.sleep(0.1)
        assert not person.person.home.exists()
        moved.rename(person.person.home)
