"""What Skyrig does on a login node: looks at Slurm, submits, cancels, tells of jobs and their logs.

Standard library only, Python 3.8 or newer: it is sent along with each question, as one text, and run by whichever
Python is there. A job is a folder on the shared file system, `jobs/UID` below the cluster's own:

job.json, run/, setup/, batch.sh, node.py    what it is: written before Slurm hears of it, never changed
secret.json     its environment, 0600; gone when it has ended
id              Slurm's number for it
state.json, result.json, told.json, job.log  written by its batch step (skyrig.schedulers.slurm.batch)
cancelled       why we cancelled it
seen.json       what Slurm said last of a job that has ended: it forgets them after minutes
"""

# Paths are plain text here; the standard library of 3.8 has no shorter way.

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import shutil
import sys
import time
from typing import Any, BinaryIO

from skyrig.schedulers.slurm.asking import Rows, Wrong, accounted, attempt, command, last_line, queue

_ENDS = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL",
         "DEADLINE", "GONE")  # fmt: skip
"""States of jobs that will not run again."""

_FILES_S, _SLURM_S, _TICK_S = 0.2, 2.0, 5.0
"""How often a follower looks at a job's files, asks Slurm, and says that it is there."""

_CHUNK = 1 << 18


def main(given: dict[str, Any]) -> None:
    """Answer one question: `verb` and what belongs to it."""
    try:
        answer: dict[str, Any] = {"answer": _VERBS[given["verb"]](given)}
    except Wrong as wrong:
        answer = {"error": str(wrong), "hint": wrong.hint or None, "bad": wrong.bad}
    except OSError as error:
        answer = {"error": f"on the login node: {error}"}
    with contextlib.suppress(BrokenPipeError):
        print("\nskyrig-slurm " + json.dumps(answer), flush=True)


def look(given: dict[str, Any]) -> dict[str, Any]:
    """What Slurm is here and what it has."""
    said = command("sinfo", "--version")
    rows = command("sinfo", "-h", "-e", "-o", "%R|%D|%c|%m|%l|%P|%G")
    return {
        "version": said.strip(),
        "rows": [row.split("|", 6) for row in rows.splitlines() if row.count("|") >= 6],
        "python": sys.version.split()[0],
    }


def submit(given: dict[str, Any]) -> dict[str, Any] | None:
    """Hand a job to Slurm, once: who asks again with the same uid gets the same job."""
    base = _base(given)
    folder = os.path.join(base, "jobs", given["uid"])
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    with open(os.path.join(base, "jobs", ".lock-" + given["uid"]), "w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        try:
            return _submitted(base, folder, given)
        finally:
            os.unlink(lock.name)


def _submitted(base: str, folder: str, given: dict[str, Any]) -> dict[str, Any] | None:
    if not os.path.isdir(folder):
        _write_folder(base, folder, given)
    number = _number(folder) or _adopted(folder, queue())
    if number is None:
        words = ["sbatch", "--parsable", "--chdir", folder, "--comment", "skyrig:" + given["uid"]]
        done = attempt([*words, os.path.join(folder, "batch.sh")])
        if done.returncode:
            shutil.rmtree(folder)
            raise Wrong("Slurm refused the job: " + last_line(done.stderr), "`queue` and sinfo show what there is")
        number = int(done.stdout.strip().splitlines()[-1].split(";")[0])
        _put(os.path.join(folder, "id"), str(number))
    return _facts(folder, queue())


def _write_folder(base: str, folder: str, given: dict[str, Any]) -> None:
    """All that the job is, in one move."""
    fresh = f"{folder}.{os.getpid()}"
    os.makedirs(fresh, mode=0o700)
    job = dict(given["job"])
    if given["setup_parts"] is not None:
        job["setup_hash"] = _keyed(base, given["setup_parts"])
    texts = {**given["files"], "job.json": json.dumps(job)}
    for name, text in texts.items():
        path = os.path.join(fresh, name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        if name.count("/") > 1:  # programs for the job's PATH lie in a folder of their own
            os.chmod(path, 0o755)
    descriptor = os.open(os.path.join(fresh, "secret.json"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(given["secret"], file)
    os.rename(fresh, folder)


def _keyed(base: str, parts: Any) -> str:
    """A name for what a setup is made of, secrets among it, which tells nobody anything about them."""
    path = os.path.join(base, "setup.key")
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    with open(path) as file:
        return hmac.new(file.read().encode(), json.dumps(parts, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def jobs(given: dict[str, Any]) -> list[dict[str, Any]]:
    """The facts of all our jobs. What has ended loses its secrets."""
    base = _base(given)
    listed = queue()
    found = []
    for folder in _folders(base):
        facts = _facts(folder, listed)
        if facts is not None:
            found.append(facts)
    return found


def cancel(given: dict[str, Any]) -> list[int]:
    """Cancel jobs by Slurm's numbers (None: all that have not ended); those that had not ended."""
    base, wanted, cancelled = _base(given), given["ids"], []
    listed = queue()
    for folder in _folders(base):
        facts = _facts(folder, listed)
        if facts is None or (wanted is not None and facts["id"] not in wanted) or _is_over(facts):
            continue
        _put(os.path.join(folder, "cancelled"), given["reason"])
        done = attempt(["scancel", str(facts["id"])])
        if done.returncode:
            raise Wrong("Slurm did not cancel job {}: {}".format(facts["id"], last_line(done.stderr)), bad=False)
        _forget(folder)
        cancelled.append(facts["id"])
    return sorted(cancelled)


def remove(given: dict[str, Any]) -> dict[str, Any]:
    """Take away the cluster's folder: records, logs, files and setups."""
    base = _base(given)
    if os.path.isdir(base):
        shutil.rmtree(base)
    return {}


def follow(given: dict[str, Any]) -> dict[str, Any]:
    """Tell of one job until it has ended (or once): `facts` when they change, and its log from a byte on."""
    base, out = _base(given), sys.stdout.buffer
    out.write(b"\nskyrig-slurm begin\n")
    try:
        folder = _folder_of(base, given["id"])
    except Wrong as wrong:
        _say(out, {"error": str(wrong), "hint": wrong.hint})
        return {}
    with contextlib.suppress(BrokenPipeError):
        _follow(out, folder, given)
    return {}


def _follow(out: BinaryIO, folder: str, given: dict[str, Any]) -> None:
    path, offset, told, listed = os.path.join(folder, "job.log"), given["offset"], None, {}
    asked_at = ticked_at = -_TICK_S
    if given.get("tail") is not None and os.path.exists(path):
        offset = _tail_offset(path, given["tail"], given["rank"])
    while True:
        if time.monotonic() > asked_at + _SLURM_S:
            listed, asked_at = queue(), time.monotonic()
        facts = _facts(folder, listed)
        over = facts is None or _is_over(facts)
        if facts != told and (told is None or not over):
            _say(out, {"event": "facts", "facts": facts})
        while True:
            data = _whole_lines(path, offset)
            if not data:
                break
            offset += len(data)
            _say(out, {"event": "log", "offset": offset, "len": len(data)}, data)
        if over and facts != told:
            _say(out, {"event": "facts", "facts": facts})
        told = facts
        if over or not given["follow"]:
            _say(out, {"event": "end"})
            return
        if time.monotonic() > ticked_at + _TICK_S:  # a follower whose client is gone ends by this
            _say(out, {"event": "tick"})
            ticked_at = time.monotonic()
        time.sleep(_FILES_S)


def _say(out: BinaryIO, message: dict[str, Any], payload: bytes = b"") -> None:
    out.write(json.dumps(message).encode() + b"\n" + payload)
    out.flush()


def _whole_lines(path: str, offset: int) -> bytes:
    """The lines of a log from a byte on that are there whole."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read(_CHUNK)
            while data and b"\n" not in data:
                more = file.read(_CHUNK)
                if not more:
                    return b""
                data += more
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1]


def _tail_offset(path: str, count: int, rank: int | None) -> int:
    """Where the last `count` lines of a log begin, of one rank if that is given."""
    starts: list[int] = []
    position = 0
    with open(path, "rb") as file:
        for line in file:
            mine = rank is None or line.startswith((b"%d|" % rank, b"%d+" % rank, b"%d!" % rank))
            if mine and count:
                starts = [*starts, position][-count:]
            position += len(line)
    return starts[0] if starts else position


def _folder_of(base: str, number: int | None) -> str:
    """The folder of the job with Slurm's `number`, of the newest one for None."""
    known = {int(text): folder for folder in _folders(base) for text in [_read(folder, "id")] if text}
    if number is None and known:
        return known[max(known)]
    if number is None or number not in known:
        listed = ", ".join(map(str, sorted(known))) or "none"
        raise Wrong("there is no job {}".format(number if number is not None else "at all"), "jobs: " + listed)
    return known[number]


def _folders(base: str) -> list[str]:
    where = os.path.join(base, "jobs")
    names = os.listdir(where) if os.path.isdir(where) else []
    return [os.path.join(where, name) for name in sorted(names) if "." not in name]


def _facts(folder: str, listed: Rows) -> dict[str, Any] | None:
    """All that is known of one job, from its files and from `listed`, what squeue said. None where Slurm never took
    it."""
    number = _number(folder) or _adopted(folder, listed)
    if number is None:
        return None
    names = ("job", "state", "result", "told")
    known = {name: _read_json(os.path.join(folder, name + ".json")) for name in names}
    facts = {"id": number, "uid": os.path.basename(folder), **known, "cancelled": _read(folder, "cancelled")}
    facts["slurm"] = _slurms_word(folder, number, listed, facts)
    if _is_over(facts):
        _forget(folder)
    return facts


def _slurms_word(folder: str, number: int, listed: Rows, facts: dict[str, Any]) -> dict[str, Any]:
    """What Slurm says of a job; what it said last where it has forgotten it since."""
    now = listed.get(number)
    seen = os.path.join(folder, "seen.json")
    if now is not None:
        if now["state"] in _ENDS and not os.path.exists(seen):
            _put(seen, json.dumps(now))
        return now
    kept: dict[str, Any] | None = _read_json(seen)
    if kept is None:
        over = facts["result"] is not None or facts["cancelled"] is not None or facts["told"] is not None
        kept = {"state": "GONE"} if over else accounted(number)
        if kept["state"] in _ENDS:
            _put(seen, json.dumps(kept))
    return kept


def _is_over(facts: dict[str, Any]) -> bool:
    """Whether a job will not run again. What its batch step said counts only if Slurm has not begun it anew since."""
    slurm, result = facts["slurm"], facts["result"]
    if slurm["state"] in _ENDS:
        return True
    return (
        result is not None
        and slurm["state"] not in ("PENDING", "REQUEUED")
        and result["attempt"] >= ((facts["state"] or {}).get("attempt", 0))
    )


def _adopted(folder: str, listed: Rows) -> int | None:
    """The number of a job whose submission was cut off after Slurm had taken it."""
    for number, row in listed.items():
        if row.get("comment") == "skyrig:" + os.path.basename(folder):
            _put(os.path.join(folder, "id"), str(number))
            return number
    return None


def _number(folder: str) -> int | None:
    text = _read(folder, "id")
    return int(text) if text else None


def _forget(folder: str) -> None:
    """Take away what must not lie there longer than the job needs it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, "secret.json"))


def _read(folder: str, name: str) -> str | None:
    try:
        with open(os.path.join(folder, name), errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _read_json(path: str) -> Any:
    try:
        with open(path) as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):  # files appear whole; a half one is of a dying machine
        return None


def _put(path: str, text: str) -> None:
    """Write a file, whole or not at all."""
    fresh = f"{path}.{os.getpid()}"
    with open(fresh, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def _base(given: dict[str, Any]) -> str:
    return os.path.expanduser(str(given["base"]))


_VERBS = {"look": look, "submit": submit, "jobs": jobs, "cancel": cancel, "remove": remove, "follow": follow}
