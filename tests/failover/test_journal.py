"""What is written down of attempts, whose turn it is, and how rounds follow each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from skyrig import acquiring
from skyrig.acquiring import Wanted
from skyrig.catalog.refusals import Refusal
from skyrig.cluster.machine import Capacity, Machine
from skyrig.cluster.shape import Shape, resized
from skyrig.errors import BadInput
from skyrig.failover import attempts, journal, place, rounds
from skyrig.failover.attempts import REFUSED, REMOVED, TRYING, UP, Attempt, NoneLeft
from skyrig.failover.journal import Journal
from skyrig.failover.order import Turn
from skyrig.failover.rounds import Pauses
from skyrig.task.model import Task

FULL = Refusal("capacity", "Full", "zone", "type")
HERE = Shape(cloud="gcp", machine=Machine("g2-standard-4", "us-central1", "us-central1-a", Capacity("spot")))
ELSEWHERE = evolve(HERE, machine=evolve(HERE.machine, zone="us-central1-b"))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path))
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))


def with_a_resource(home: Path) -> None:
    """Have the state of the stack hold something."""
    file = home / "state" / ".pulumi" / "stacks" / "skyrig" / "trip.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"checkpoint": {"latest": {"resources": [{"type": "pulumi:pulumi:Stack"}]}}}')


def attempt(outcome: str, shape: Shape = HERE) -> Attempt:
    refusal = FULL if outcome in (REFUSED, REMOVED) else None
    return Attempt(place.of_shape(shape), 2, 1.5, 1000.0, outcome, refusal, 12.0)


def test_it_is_read_as_it_was_written_and_belongs_to_whoever_wrote_it(tmp_path: Path) -> None:
    before = resized(Shape(ports=("8000",), owner="ada"), 3)
    written = Journal(before).began(attempt(REMOVED)).began(attempt(TRYING, ELSEWHERE))
    assert journal.read("trip") is None and not journal.is_mine("trip")
    journal.write("trip", written)
    assert journal.read("trip") == written and journal.is_mine("trip")
    journal.write("trip", evolve(written, by=1))
    assert not journal.is_mine("trip")
    assert journal.said("trip") == ""  # its state has nothing
    with_a_resource(tmp_path)
    assert "was cut off" in journal.said("trip") and "down -c trip" in journal.said("trip")
    journal.write("trip", evolve(written, restored=True))
    assert journal.said("trip") == ""
    journal.clear("trip")
    assert journal.read("trip") is None and journal.said("trip") == ""


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"before": {"cloud": "mars"}, "by": 1, "attempts": [], "restored": false}']
)
def test_one_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "stacks" / "trip" / "attempts.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert journal.read("trip") is None


@pytest.mark.parametrize(
    ("made", "wanted", "goes_on"),
    [
        ([attempt(TRYING)], HERE, True),
        ([attempt(TRYING)], evolve(HERE, machine=evolve(HERE.machine, zone="")), True),
        ([attempt(TRYING)], ELSEWHERE, False),
        ([attempt(REMOVED), attempt(TRYING, ELSEWHERE)], ELSEWHERE, False),
        ([attempt(REFUSED)], HERE, False),
        ([attempt(REMOVED)], ELSEWHERE, False),
    ],
)
def test_only_a_first_attempt_that_nobody_refused_goes_on(made: list[Attempt], wanted: Shape, goes_on: bool) -> None:
    left = Journal(Shape(), attempts=tuple(made))
    assert acquiring._goes_on(left, Wanted(HERE, wanted, Task())) is goes_on
    assert acquiring._goes_on(left, Wanted(HERE, wanted, None))  # the config alone names its place


def test_a_turn_ends_with_its_process_and_who_waited_is_told() -> None:
    program = (
        "import sys\nfrom skyrig.failover import journal\n"
        "with journal.turn('trip', print):\n    print('mine', flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"mine\n"
        journal.write("trip", Journal(Shape(), by=other.pid).began(attempt(TRYING)))
        assert f"(process {other.pid})" in journal.said("trip")
        told: list[str] = []

        def notify(line: str) -> None:
            told.append(line)
            other.kill()

        with journal.turn("trip", notify) as waited:
            assert waited and f"another run (process {other.pid})" in told[0]
    with journal.turn("trip", told.append) as waited:
        assert not waited


def test_rounds_go_on_while_waiting_may_help() -> None:
    told: list[str] = []
    began: list[float] = []

    def work(when: float, number: int) -> int:
        began.append(when)
        if number < 3:
            raise NoneLeft(f"nothing in round {number}")
        return number

    assert rounds.until_up(work, told.append, Pauses(0.01, 0.02), "trip") == 3
    assert [line for line in told if "nothing in" in line] == ["nothing in round 1", "nothing in round 2"]
    assert "trip: round 2 begins in 0 s, at " in told[1] and began == sorted(began)

    def hopeless(when: float, number: int) -> int:
        raise NoneLeft("no billing", may_pass=False)

    with pytest.raises(NoneLeft, match="no billing"):
        rounds.until_up(hopeless, told.append, Pauses(0.01, 0.02), "trip")


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_pause_is_a_number_of_seconds(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rounds.pauses() == Pauses(30.0, 600.0)
    monkeypatch.setenv(rounds.RETRY, "2")
    assert rounds.pauses() == Pauses(2.0, 40.0)
    monkeypatch.setenv(rounds.RETRY, text)
    with pytest.raises(BadInput, match="SKYRIG_RETRY_S"):
        rounds.pauses()


def test_the_table_and_the_error_say_what_came_of_each() -> None:
    found = [attempt(REMOVED), attempt(REMOVED, ELSEWHERE), attempt(UP, evolve(HERE, cloud="aws"))]
    assert attempts.rows(found)[1] == [
        "2", "gcp/us-central1-b", "2x g2-standard-4 spot", "$1.50/h", "no capacity (Full)", "12 s",
    ]  # fmt: skip
    assert attempts.rows(found)[2][4] == "up"
    passed = [Turn(3, evolve(place.of_shape(HERE), cloud="azure"), "no quota 5 min ago (Small)")]
    error = attempts.none_left(found[:2], passed)
    assert error.exit_code == 3 and error.may_pass
    assert error.message == (
        "no cloud has the machines now, after 2 attempts: g2-standard-4 spot in gcp/us-central1-a, gcp/us-central1-b: "
        "no capacity (Full); g2-standard-4 spot in azure/us-central1-a: no quota 5 min ago (Small)"
    )
