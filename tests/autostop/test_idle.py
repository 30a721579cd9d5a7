"""Whether a cluster is idle, as a pure function: cases by hand, and whole lives by hypothesis."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from attrs import field, frozen
from hypothesis import given

from skyrig.cluster.autostop import WAITS
from skyrig.errors import BadInput
from skyrig.launch.keeper import idle
from skyrig.launch.keeper.idle import Seen, Setting, Terminals, Verdict, judge

NOW = 1000.0
CLOSED = Terminals(closed_s=4.0)


@frozen
class Case:
    """A cluster whose last activity was `ago` seconds before NOW, and the verdict on it."""

    name: str
    wants: Verdict
    seen: Seen = field(factory=Seen)
    wait_for: str = "jobs"
    idle_s: float = 60.0
    ago: float = 10.0
    used: bool = False


CASES = [
    Case("not yet", Verdict(990, again_s=50)),
    Case("due to the second", Verdict(940, act=True), ago=60),
    Case("a job", Verdict(NOW, busy=True, used=True), Seen(jobs=True), ago=600),
    Case("a job, 0 minutes", Verdict(NOW, busy=True, used=True), Seen(jobs=True), idle_s=0),
    Case("a hold", Verdict(NOW, busy=True, used=True, again_s=7), Seen(hold_s=7), ago=600),
    Case(
        "a hold leaves the time after a start", Verdict(1200, busy=True, used=True, again_s=7), Seen(hold_s=7), ago=-200
    ),
    Case("a hold has left the time after a start", Verdict(1200, again_s=260), ago=-200, used=True),
    Case("a job ends the time after a start", Verdict(NOW, busy=True, used=True), Seen(jobs=True), ago=-200),
    Case("a hold that has run out", Verdict(940, act=True), Seen(hold_s=-1), ago=60),
    Case("the job has just ended", Verdict(NOW, again_s=60), ago=600, used=True),
    Case("the last job has just ended, 0 minutes", Verdict(NOW, act=True), idle_s=0, used=True),
    Case("jobs: a terminal does not count", Verdict(940, act=True), Seen(terminals=Terminals(True)), ago=60),
    Case("none: a job does not count", Verdict(940, act=True), Seen(jobs=True), "none", ago=60),
    Case("none: a hold does not count", Verdict(990, again_s=50), Seen(hold_s=9), "none", used=True),
    Case("ssh, exact: no look before it is due", Verdict(990, again_s=50), Seen(exact=True), "jobs_and_ssh"),
    Case("ssh, exact: a look when due", Verdict(940, look=True), Seen(exact=True), "jobs_and_ssh", ago=60),
    Case("ssh: a look at once", Verdict(990, look=True, again_s=50), Seen(), "jobs_and_ssh"),
    Case("ssh: open", Verdict(NOW, busy=True, again_s=15), Seen(terminals=Terminals(True)), "jobs_and_ssh", ago=600),
    Case("ssh: closed", Verdict(940, act=True), Seen(terminals=Terminals()), "jobs_and_ssh", ago=60),
    Case("ssh: looked, not due", Verdict(990, again_s=15), Seen(terminals=Terminals()), "jobs_and_ssh"),
    Case("ssh, exact: closed since", Verdict(996, again_s=56), Seen(terminals=CLOSED, exact=True), "jobs_and_ssh"),
    Case(
        "ssh, exact: open",
        Verdict(NOW, busy=True, again_s=60),
        Seen(terminals=Terminals(True), exact=True),
        "jobs_and_ssh",
        ago=600,
    ),
    Case(
        "ssh, 0 minutes: open, looked at again soon",
        Verdict(NOW, busy=True, again_s=idle.LEAST_LOOK_S),
        Seen(terminals=Terminals(True), exact=True),
        "jobs_and_ssh",
        idle_s=0,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cases(case: Case) -> None:
    asked = Setting(case.idle_s, wait_for=case.wait_for)
    assert judge(asked, case.seen, NOW - case.ago, NOW, used=case.used) == case.wants


def test_a_machine_that_was_started_anew_stays_for_whoever_started_it() -> None:
    since = idle.after_start(Setting(0), NOW)
    assert judge(Setting(0, wait_for="jobs"), Seen(), since, NOW) == Verdict(since, again_s=idle.START_GRACE_S)
    assert idle.after_start(Setting(3600), NOW) == NOW


@pytest.mark.parametrize("data", [[], {}, {"idle_s": "x"}, {"idle_s": -1}, {"idle_s": 1, "wait_for": "job"}, "5"])
def test_what_makes_no_sense_is_refused(data: object) -> None:
    with pytest.raises(BadInput):
        idle.setting(data)


@frozen
class Span:
    """A stretch of a cluster's life in which there was `what`."""

    begin: float
    end: float
    what: str


KINDS = st.sampled_from(["quiet", "job", "hold", "terminal"])
LIVES = st.lists(st.tuples(st.floats(0.01, 50), KINDS), max_size=12)


@given(LIVES, st.sampled_from(WAITS), st.floats(0, 60), st.booleans())
def test_a_life(parts: list[tuple[float, str]], wait_for: str, idle_s: float, exact: bool) -> None:
    """The cluster acts once all that counts has been quiet for as long as asked, never before, and little later."""
    counts = {"jobs_and_ssh": {"job", "hold", "terminal"}, "jobs": {"job", "hold"}, "none": set[str]()}[wait_for]
    life: list[Span] = []
    for length, what in parts:
        begin = life[-1].end if life else 0.0
        life.append(Span(begin, begin + length, what))
    acted = lived(Setting(idle_s, wait_for=wait_for), life, exact)
    busy = [span for span in life if span.what in counts and span.begin < acted]
    assert all(span.end <= acted for span in busy), "it acted in the midst of something"
    late = max(idle.LEAST_LOOK_S, 0 if exact else min(idle.LOOK_S, idle_s / 4))
    early = 0 if exact or wait_for != "jobs_and_ssh" else late  # a terminal may close right after it was looked at
    seen = [span for span in busy if exact or span.what != "terminal" or span.end - span.begin > late]
    assert acted >= max([0.0, *(span.end for span in seen)]) + idle_s - early - 1e-6
    assert acted <= max([0.0, *(span.end for span in busy)]) + idle_s + late + 1e-6


def lived(asked: Setting, life: list[Span], exact: bool) -> float:
    """When a cluster acts that has this life. As the caretaker does: judged where jobs and holds come or go, and when
    the verdict says so."""
    now, since, used = 0.0, 0.0, False
    told = sorted({moment for span in life if span.what in ("job", "hold") for moment in (span.begin, span.end)})
    for _ in range(10_000):
        here = next((span for span in life if span.begin <= now < span.end), Span(now, now, "quiet"))
        closed = [now - span.end for span in life if span.what == "terminal" and span.end <= now]
        hold_s = here.end - now if here.what == "hold" else 0.0
        terminals = Terminals(here.what == "terminal", min(closed, default=None) if exact else None)
        verdict = Verdict(since, look=True)
        for looked in (None, terminals):
            if verdict.look:
                verdict = judge(asked, Seen(here.what == "job", hold_s, looked, exact), since, now, used=used)
        since, used = verdict.since, verdict.used
        if verdict.act:
            return now
        nexts = [moment for moment in told if moment > now][:1]
        now = min(nexts + ([now + verdict.again_s] if verdict.again_s is not None else []))
    raise AssertionError("it never acts")
