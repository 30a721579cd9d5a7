"""A rank is told that a machine of its job is about to go."""

from __future__ import annotations

import json
import time
from typing import Any

from supervised import Rank, until


def notice(key: str, left_s: float | None = 60.0) -> dict[str, Any]:
    """As the keeper says it."""
    said = {"id": key, "node": "n1", "kind": "preemption", "source": "aws spot", "left_s": left_s}
    return {"op": "notice", "notice": json.dumps(said, separators=(",", ":")).replace(" ", "\\u0020")}


WAITS = """
echo "grace $SKYRIG_GRACE_S"
until [ -e "$SKYRIG_NOTICE_FILE" ]; do sleep 0.02; done
cat "$SKYRIG_NOTICE_FILE"
read -r first <"$SKYRIG_NOTICE_FILE"
while read -r now <"$SKYRIG_NOTICE_FILE" && [ "$now" = "$first" ]; do sleep 0.02; done
cat "$SKYRIG_NOTICE_FILE"
"""


def test_the_job_finds_a_notice_in_its_file_and_goes_on(rank: Rank) -> None:
    follower = rank.start(WAITS, grace_s=7)
    follower.saw(b"grace 7\n")
    before = time.time()
    follower.order(**notice("a"))
    follower.saw(b"}\n")
    for again in (notice("a", 50.0), {"op": "notice"}, {"op": "notice", "notice": "{"}, notice("b", None)):
        follower.order(**again)
    assert (follower.end()["code"], follower.end()["why"]) == (0, "exit")
    first, second = (json.loads(line) for line in follower.log.splitlines()[1:])
    assert (first["id"], first["node"], first["kind"], first["source"]) == ("a", "n1", "preemption", "aws spot")
    assert before + 60 <= first["deadline"] <= time.time() + 60
    assert (second["id"], second["deadline"]) == ("b", None)


CATCHES = """
python3 -c '
import os, signal, time
def told(*_):
    print("told", flush=True)
signal.signal(signal.SIGTERM, told)
print("ready", flush=True)
while not os.path.exists("go"):
    time.sleep(0.02)
print("went on", flush=True)
'
"""


def test_a_job_that_asks_for_it_gets_term_and_goes_on(rank: Rank) -> None:
    follower = rank.start(CATCHES, env={"SKYRIG_NOTICE_SIGNAL": "TERM"})
    follower.saw(b"ready\n")
    follower.order(**notice("a"))
    follower.saw(b"told\n")
    follower.order(**notice("a"))
    (rank.cwd / "go").touch()
    assert (follower.end()["code"], follower.log) == (0, b"ready\ntold\nwent on\n")


def test_no_other_job_gets_a_signal(rank: Rank) -> None:
    follower = rank.start(CATCHES, env={"SKYRIG_NOTICE_SIGNAL": "KILL"})
    follower.saw(b"ready\n")
    follower.order(**notice("a"))
    until((rank.dir / "notice").exists, "the notice")
    (rank.cwd / "go").touch()
    assert (follower.end()["code"], follower.log) == (0, b"ready\nwent on\n")
