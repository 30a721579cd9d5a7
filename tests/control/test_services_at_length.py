"""What takes longer: load that comes and goes, deaths at any moment, services that fail, clusters that somebody else
changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from control_host import Host, host
from user import until

from skyrig.control import client, folder, table
from skyrig.control.services import wards as services
from skyrig.serve.state import ServiceStatus
from skyrig.stack import described, lock

pytestmark = [pytest.mark.e2e, pytest.mark.soak]

NAME = "web"


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Host]:
    """Somebody who has no cluster yet."""
    with host(tmp_path) as somebody:
        yield somebody


def nodes(of: Host) -> list[str]:
    """The nodes of the service's cluster that live."""
    rows = of.person.json("local.ls")["nodes"]
    return sorted(row["name"] for row in rows if row["cluster"] == NAME and row["status"] == "UP")


def enough(of: Host, count: int) -> bool:
    """Whether so many replicas are READY."""
    return of.ready(NAME) >= count


def shown_to_nodes(of: Host, secrets: list[str]) -> list[str]:
    """Where one of `secrets` is in a process of the service's nodes, or in a file there."""
    place, words = of.person.home / "local" / NAME, [secret.encode() for secret in secrets]
    found, looked = [], 0
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            environment = entry.read_bytes()
            if f"HOME={place}/".encode() in environment:
                looked += 1
                found += [str(entry) for word in words if word in environment]
    assert looked >= 6, "keeper, steward and a replica are among them"
    files = [path for path in place.rglob("*") if path.is_file() and not path.is_symlink()]
    return found + [str(path) for path in files for word in words if word in path.read_bytes()]


def test_load_brings_replicas_and_nodes_and_takes_them_away_again(person: Host, monkeypatch: Any) -> None:
    person.person.env["AWS_SECRET_ACCESS_KEY"] = "a-secret-of-the-cloud"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-cloud")
    person.up(NAME, most=3, target_qps=4.0, window_s=4.0, upscale_delay_s=1.0, downscale_delay_s=4.0)
    where = person.until(lambda: person.ready(NAME) == 1 and person.endpoint(NAME), "one is READY", NAME)
    first, over = person.pid(NAME, "n0"), threading.Event()

    def load() -> None:
        while not over.wait(0.08):
            person.get(where)

    asking = threading.Thread(target=load)
    asking.start()
    try:
        person.until(lambda: person.ready(NAME) == 3, "three are READY", NAME)
        assert nodes(person) == ["n0", "n1", "n2"]
        said = {person.get(where) for _ in range(40)}
        assert len(said) == 3, said
        passphrase = (person.person.home / "passphrase").read_text()
        assert shown_to_nodes(person, [passphrase, "a-secret-of-the-cloud", "PULUMI_BACKEND_URL="]) == []
    finally:
        over.set()
        asking.join()
    person.until(lambda: nodes(person) == ["n0"], "one node is left", NAME, seconds=120)
    assert person.pid(NAME, "n0") == first
    assert person.get(where)


def test_killed_while_the_engine_runs_it_goes_on_and_there_is_one_cluster(person: Host) -> None:
    person.up(NAME)
    person.until(lambda: person.ready(NAME) == 1, "one is READY", NAME)
    for number in (2, 3):
        with client.holding(NAME):
            person.entered(NAME, replicas=number, says=f"v{number}")
        person.until(lambda: lock.is_held(NAME), "the engine runs", NAME)
        os.kill(person.controller(), signal.SIGKILL)
        more = partial(enough, person, number)
        person.until(more, f"{number} are READY", NAME, seconds=180)
        assert len(nodes(person)) >= number
    person.until(lambda: person.get(person.endpoint(NAME)).startswith("v3"), "the newest version serves", NAME)


def test_a_service_that_never_is_ready_fails_and_its_nodes_go_and_another_version_is_tried(person: Host) -> None:
    person.up(NAME, run="echo nobody can start this; exit 3")
    failed = person.until(lambda: (now := table.ward(NAME)) and now.gave_up and now, "it is given up", NAME)
    person.until(lambda: described.describe(NAME) is None, "its cluster goes", NAME)
    assert failed.status == ServiceStatus.FAILED
    assert "nobody can start this" in "\n".join(failed.data["last_lines"])
    assert nodes(person) == []
    time.sleep(3)
    assert table.ward(NAME) == person.until(lambda: table.ward(NAME), "its ward"), "what is known of it stays"
    assert nodes(person) == []
    person.up(NAME, says="v2")
    person.until(lambda: person.ready(NAME) == 1, "the other one is READY", NAME)
    now = person.until(lambda: (now := table.ward(NAME)) and now.status == ServiceStatus.READY and now, "noted", NAME)
    assert not now.gave_up
    assert "last_lines" not in now.data


UP = """
import sys
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
from control_host import Host
from user import User
import control_host
class There(Host):
    def __init__(self, work):
        self.work, self.lines = Path(work), []
    def ensure(self):
        print("deployed", flush=True)
There(sys.argv[3]).up("web", replicas=2)
"""


def started(person: Host) -> subprocess.Popen[bytes]:
    """A command that brings the service up."""
    tests = Path(__file__).parents[1]
    words = [sys.executable, "-c", UP, str(tests / "control"), str(tests), str(person.work)]
    return subprocess.Popen(words, env=person.person.env, cwd=person.person.clone, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("after_s", [1.5, 4.0, 7.0])
def test_a_command_that_is_killed_on_its_way_up_is_taken_over(person: Host, after_s: float) -> None:
    command = started(person)
    until(lambda: table.ward(NAME) is not None, "the ward is entered", 60)
    person.ensure()
    time.sleep(after_s)
    command.kill()
    command.wait()
    person.until(lambda: person.ready(NAME) == 2, "it is up", NAME, seconds=180)
    assert nodes(person) == ["n0", "n1"]


@pytest.mark.parametrize("after_s", [0.0, 2.0, 5.0, 8.0, 11.0])
def test_whenever_it_shall_go_nothing_is_left(person: Host, after_s: float) -> None:
    command = started(person)
    until(lambda: table.ward(NAME) is not None, "the ward is entered", 60)
    person.ensure()
    time.sleep(after_s)
    command.kill()
    command.wait()
    services.end(NAME)
    client.poke(NAME)
    person.until(lambda: person.gone(NAME), "nothing is left", NAME, seconds=180)
    assert nodes(person) == []


def test_a_cluster_that_somebody_takes_down_is_not_brought_back(person: Host) -> None:
    person.up(NAME)
    person.until(lambda: person.ready(NAME) == 1, "one is READY", NAME)
    person.person.run("stop", "-c", NAME, "-y")
    person.until(lambda: (now := table.ward(NAME)) and "stopped" in now.reason, "it is told", NAME)
    time.sleep(5)
    assert nodes(person) == []
    person.person.run("start", "-c", NAME)
    person.until(lambda: person.ready(NAME) == 1, "it serves again", NAME)
    person.person.run("down", "-c", NAME, "-y")
    person.until(lambda: person.gone(NAME), "the service went with its cluster", NAME)


def test_it_is_small_and_does_next_to_nothing_where_nothing_happens(person: Host) -> None:
    person.up(NAME)
    person.until(lambda: person.ready(NAME) == 1, "one is READY", NAME)
    person.until(lambda: (now := table.ward(NAME)) and now.status == ServiceStatus.READY, "it is noted", NAME)
    time.sleep(10)
    pid = person.controller()

    def spent_s() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    before = spent_s()
    time.sleep(30)
    status = Path(f"/proc/{pid}/status").read_text()
    memory_mb = int(status.partition("VmRSS:")[2].split()[0]) / 1024
    print(f"controller: {memory_mb:.0f} MB, {(spent_s() - before) / 30:.2%} of a core")
    assert memory_mb < 200
    assert (spent_s() - before) / 30 < 0.02
    assert folder.standing().log.read_text() == ""
