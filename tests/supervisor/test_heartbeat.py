"""A rank that writes nothing gives signs of life."""

from __future__ import annotations

import time

from supervised import Rank, until

QUIET = """
echo begun
until [ -e go ]; do touch "$SKYRIG_HEARTBEAT_FILE"; sleep 0.05; done
"""


def test_touches_of_the_file_are_told_once_a_second(rank: Rank) -> None:
    follower = rank.start(QUIET)
    follower.saw(b"begun\n")
    began = time.monotonic()
    until(lambda: len([each for each in follower.frames if each["k"] == "alive"]) >= 3, "three signs of life")
    took = time.monotonic() - began
    assert took > 1.5, "it is looked for once a second"
    again = rank.attach()
    until(lambda: again.frame("alive") is not None, "one that attaches later hears the next")
    (rank.cwd / "go").touch()
    assert (follower.end()["code"], again.end()["code"]) == (0, 0)


def test_who_touches_nothing_gives_none(rank: Rank) -> None:
    follower = rank.start("echo begun; sleep 1.5")
    assert follower.end()["code"] == 0
    assert follower.frame("alive") is None
