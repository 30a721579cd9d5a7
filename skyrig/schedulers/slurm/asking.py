"""Slurm's own commands on a login node: what they are asked, and what they say.

Standard library only, Python 3.8 or newer; see skyrig.schedulers.slurm.login for why.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any, Dict

Rows = Dict[int, Dict[str, Any]]
"""What squeue said, by number."""

_FIELDS = (("id", "JobID", 20), ("state", "State", 20), ("reason", "Reason", 80), ("restarts", "RestartCnt", 10),
           ("start", "StartTime", 24), ("end", "EndTime", 24), ("exit", "exit_code", 10), ("comment", "Comment", 80),
           ("nodes", "NodeList", 400))  # fmt: skip
"""What squeue is asked: our name, its name, and the width of the column."""


class Wrong(Exception):
    """What was asked cannot be; the hint says what to do."""

    def __init__(self, message: str, hint: str = "", bad: bool = True) -> None:
        super().__init__(message)
        self.hint, self.bad = hint, bad


def queue() -> Rows:
    """What squeue knows of this user's jobs, by number, those that ended a while ago among them."""
    columns = ",".join(f"{name}:{width}" for _, name, width in _FIELDS)
    said = command("squeue", "-h", "--states=all", "-u", str(os.getuid()), "-O", columns)
    found = {}
    for line in said.splitlines():
        row: dict[str, Any] = {}
        at = 0
        for key, _, width in _FIELDS:
            row[key], at = line[at : at + width].strip(), at + width
        if row["id"].isdigit():
            row["restarts"] = int(row["restarts"]) if row["restarts"].isdigit() else 0
            found[int(row["id"])] = row
    return found


def accounted(number: int) -> dict[str, Any]:
    """What the accounting, where there is one, knows of a job that the queue has forgotten."""
    done = attempt(["sacct", "-nXP", "-j", str(number), "-o", "State,ExitCode"])
    rows = done.stdout.splitlines() if not done.returncode else []
    if rows and "|" in rows[-1]:
        state, _, code = rows[-1].partition("|")
        return {"state": state.split()[0], "exit": code, "reason": "", "restarts": 0}
    return {"state": "GONE"}


def command(*words: str) -> str:
    done = attempt(list(words))
    if done.returncode:
        raise Wrong(f"{words[0]} failed: {last_line(done.stderr)}", "is slurmctld up?", bad=False)
    return done.stdout


def attempt(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run one of Slurm's commands."""
    try:
        return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, errors="replace", timeout=100)  # fmt: skip
    except FileNotFoundError:
        if words[0] == "sacct":
            return subprocess.CompletedProcess(words, 1, "", "")
        raise Wrong(f"there is no {words[0]} on this login node", "is Slurm on the PATH of a login?") from None
    except subprocess.TimeoutExpired:
        raise Wrong(f"{words[0]} gave no answer", "is slurmctld up?", bad=False) from None


def last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].replace("sbatch: error: ", "") if lines else "no reason given"
