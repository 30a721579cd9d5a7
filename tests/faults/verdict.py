"""What must hold after, and during, any number of faults: the invariants of the soak, as lists of what broke them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faults.load import Submission
from faults.node import FaultyNode
from faults.trouble import Struck
from skyrig.launch import records as launch_records
from skyrig.launch.job import CONVERTER
from skyrig.launch.lines import parse

PATIENCE_S = 3.0
"""Longest cut that no job may notice: TCP tries again 0.2, 0.6, 1.4, 3 and 6.2 s after it lost a packet, so that a
longer silence lasts up to twice as long as its cut, and a lease is 10 s."""

AFTERMATH_S = 20.0
"""How long a fault may show after it is over: a lease, and the patience of those who try again."""

LOST = {4}
REFUSED = {4, 5}
LINE = re.compile(rb"line (\d+)")
SHOWN = re.compile(rb"^(?:\(rank \d+, \w+\) )?line (\d+)\r?$", re.MULTILINE)
CUT = re.compile(rb"\[skyrig\] (?:(\d+) bytes of output are missing here|the log is at its limit)")

Row = dict[str, Any]


def harm(struck: Struck, head: str) -> tuple[set[str] | None, set[int]]:
    """Which nodes' jobs a fault may harm (None: all), and the exit codes that they may end with then."""
    planned, everywhere = struck.planned, struck.planned.node == head
    nodes = None if everywhere else {planned.node}
    match planned.kind:
        case "node" | "engine":
            return nodes, REFUSED
        case "cut":
            return (nodes, REFUSED) if planned.seconds > PATIENCE_S else (set(), set())
        case "full":
            return nodes, {5}
        case "daemon" | "warden" | "rank":
            return set(), {4, 137}
        case "keeper":
            return (None, LOST) if struck.note else (set(), set())
        case _:
            return set(), set()


def allowed(row: Row, submission: Submission, struck: Sequence[Struck], head: str) -> dict[int, str]:
    """The exit codes that a job may have, each with what explains it."""
    codes = {submission.kind.code: "as it was made"}
    nodes = set(row["nodes"]) if row["nodes"] and not submission.kind.setup else None
    ended = row["ended_at"] or submission.ended
    for one in struck:
        where, harmed = harm(one, head)
        overlaps = one.begin < ended + 1 and submission.began < (one.end or ended) + AFTERMATH_S
        touched = where is None or nodes is None or bool(where & nodes)
        if not one.missed and overlaps and (one.uid == row["uid"] if one.uid else touched):
            codes |= dict.fromkeys(harmed, f"{one.planned.kind} of {one.planned.node} at {one.planned.at}")
    return codes


def jobs(rows: Sequence[Row], submissions: Sequence[Submission], struck: Sequence[Struck], head: str) -> list[str]:
    """Every job that a client heard of is there, has ended, and ended as it was made or as a fault explains."""
    wrong: list[str] = []
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        by_name.setdefault(row["name"], []).append(row)
    for submission in submissions:
        found = by_name.get(submission.name, [])
        if len(found) > 1:
            wrong.append(f"{submission.name} is there {len(found)} times")
        if not found:
            if submission.job_id is not None:
                wrong.append(f"{submission.name}: job {submission.job_id} was acknowledged and is nowhere")
            continue
        wrong += _one_job(found[0], submission, allowed(found[0], submission, struck, head))
    return wrong


def _one_job(row: Row, submission: Submission, codes: Mapping[int, str]) -> list[str]:
    what = f"{submission.name} (job {row['id']}, {submission.kind.name}, on {row['nodes']})"
    how = f"{row['status']} with {row['exit_code']}: {row['reason']!r}"
    if row["status"] in ("PENDING", "SETTING_UP", "RUNNING"):
        return [f"{what} never ended: {row['status']}"]
    wrong = []
    if row["exit_code"] not in codes:
        wrong.append(f"{what} ended {how}; nothing explains it, allowed {dict(codes)}")
    if row["status"] != "SUCCEEDED" and not row["reason"]:
        wrong.append(f"{what} ended {how} without a reason")
    if (row["status"] == "SUCCEEDED") != (row["exit_code"] == 0):
        wrong.append(f"{what} ended {how}: status and exit code differ")
    code = submission.client.returncode
    if submission.job_id is not None and not submission.killed and code != row["exit_code"]:
        last = submission.output.read_bytes()[-300:].decode(errors="replace")
        wrong.append(f"{what} ended {how}, its client with {code}: {last!r}")
    return wrong


def clients(submissions: Sequence[Submission]) -> list[str]:
    """A client that could not submit says why in a line, and no client ends with a traceback."""
    wrong = []
    for each in submissions:
        told = each.output.read_text(errors="replace")
        if "Traceback" in told:
            wrong.append(f"{each.name}: its client ended with a traceback: {told[-1500:]}")
        if not each.killed and each.job_id is None and (each.client.returncode not in (4, 5) or not told.strip()):
            wrong.append(f"{each.name}: not submitted, code {each.client.returncode}: {told[-300:]!r}")
    return wrong


def table(rows: Sequence[Row]) -> list[str]:
    """Ids never repeat, and grow in the order of submission."""
    ids = [row["id"] for row in rows]
    wrong = [] if len(ids) == len(set(ids)) else [f"ids repeat: {ids}"]
    times = [row["submitted_at"] for row in sorted(rows, key=lambda row: int(row["id"]))]
    return wrong + ([] if times == sorted(times) else [f"ids {ids} are not in the order of submission {times}"])


def changed(before: Sequence[Row], after: Sequence[Row]) -> list[str]:
    """What ended stays as it ended; no job vanishes."""
    now = {row["id"]: row for row in after}
    wrong = []
    for row in before:
        later = now.get(row["id"])
        if later is None:
            wrong.append(f"job {row['id']} vanished")
        elif row["ended_at"] and (row["status"], row["exit_code"]) != (later["status"], later["exit_code"]):
            wrong.append(f"job {row['id']} had ended {row['status']} and is {later['status']}: {later['reason']!r}")
    return wrong


def kept(rows: Sequence[Row], records: Path) -> list[str]:
    """The records folder, as it is read once the cluster is gone, tells the same as the table."""
    wrong, told = [], {record.id: CONVERTER.unstructure(record) for record in launch_records.queue(records)}
    for row in rows:
        record = told.get(row["id"])
        if record is None:
            wrong.append(f"job {row['id']} has no record")
            continue
        fields = ("uid", "status", "exit_code", "reason")
        if any(record[name] != row[name] for name in fields):
            wrong.append(f"job {row['id']}: table {[row[n] for n in fields]}, record {[record[n] for n in fields]}")
    return wrong


def logs(rows: Sequence[Row], submissions: Iterable[Submission], records: Path) -> list[str]:
    """Every rank's kept lines follow one another without gap or repetition but for marked cuts; a job that succeeded
    has them all, and so has the output of a client that saw it through."""
    wrong = []
    by_name = {each.name: each for each in submissions}
    for row in rows:
        submission, path = by_name.get(row["name"]), records / str(row["id"]) / "job.log"
        if submission is None:
            continue
        kept_lines = [parse(line) for line in path.read_bytes().split(b"\n")] if path.exists() else []
        for rank in range(row["num_nodes"]):
            text = b"".join(line + b"\n" * ended for number, line, ended in kept_lines if number == rank)
            whole = row["status"] == "SUCCEEDED"
            wrong += [f"job {row['id']} rank {rank}: {gap}" for gap in gaps(text, submission.kind.lines, whole)]
        shown = submission.output.read_bytes()
        cut = any(CUT.search(line) for _, line, _ in kept_lines)
        if not submission.killed and row["status"] == "SUCCEEDED" and not cut:
            wanted, found = submission.kind.lines * row["num_nodes"], len(SHOWN.findall(shown))
            if wanted != found:
                wrong.append(f"job {row['id']}: its client showed {found} of {wanted} lines")
    return wrong


def gaps(text: bytes, count: int, whole: bool) -> list[str]:
    """Where the numbered lines of a rank do not follow one another; `whole`: all `count` must be there."""
    wrong, due, loose = [], 0, False
    for line in text.split(b"\n"):
        found = LINE.fullmatch(line)
        if CUT.search(line):
            loose = True
        elif found:
            number = int(found[1])
            if number != due and not (loose and number > due):
                wrong.append(f"line {number} where {due} was due")
            due, loose = number + 1, False
    if whole and due != count and not loose:
        wrong.append(f"ends with line {due - 1} of {count}")
    return wrong[:3]


def leftovers(nodes: Iterable[FaultyNode], rows: Sequence[Row], now: float, patience_s: float) -> list[str]:
    """Processes of jobs that ended more than `patience_s` seconds ago."""
    over = {row["uid"]: row["id"] for row in rows if row["ended_at"] and row["ended_at"] < now - patience_s}
    wrong = []
    for node in nodes:
        for process in node.ranks():
            uid = process.variable("SKYRIG_RANK_DIR").rpartition("/jobs/")[2].partition("/")[0]
            if uid in over and process.alive:
                wrong.append(f"{node.id}: pid {process.pid} {process.argv[:3]} of job {over[uid]}, which has ended")
    return wrong


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Slope of the line through samples (x, y) by least squares; 0 for fewer than two."""
    count = len(samples)
    mean_x = sum(x for x, _ in samples) / max(1, count)
    mean_y = sum(y for _, y in samples) / max(1, count)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0
