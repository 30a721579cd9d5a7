"""Run on a node (stdlib only, Python 3.8): buckets come to their places, and go. `given` is its JSON input; it answers
in JSON lines: {"k": "note", "text"} and {"k": "progress", "mounts"} on the way, {"k": "done", ...} at the end.

::

    {"op": "attach", "mounts": [BucketMount...], "secrets": {...}, "rclone": PATH,   done: problems by target
     "fusermount": TEXT}
    {"op": "flush", "deadline_s": S or null}                                         done: left, what is not up
    {"op": "detach", "targets": [...] or null, "deadline_s": S, "force": false}      done: left, problems by target
    {"op": "look"}                                                                   done: mounts

The engine is rclone. It is started in a session of its own under a shell that writes down its exit code, gets all it
needs to know of a bucket by its environment, and stays until it is detached. MOUNT writes streams: close() returns when
the object is in the bucket, and what is opened for reading and writing at once goes by way of a file. MOUNT_CACHED
writes to the node's disk and brings it up behind the program's back. The folder under a mount cannot be written to.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from skyrig.launch.mounting.flush import flush
from skyrig.launch.mounting.mount import MOUNTS, REMOTE, Mount, attached, mounted, plain, start_time
from skyrig.launch.mounting.rclone import GUARD, Refused, command, content, engine, environment, remote, way, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Plan = dict[str, Any]
    Tell = Callable[[dict[str, Any]], None]

PATIENCE_S = 20.0
"""How long a mount may take to answer."""
REPLACE_S = 600.0
"""How long the files of a mount may take to reach their bucket, when another one is to take its place."""
MNT_DETACH = 2


def identity(plan: Plan) -> str:
    """The name of a mount's folder."""
    defining = {name: plan[name] for name in ("target", "mode", "path", "remote", "options")}
    return hashlib.sha256(json.dumps(defining, sort_keys=True).encode()).hexdigest()[:12]


def unmount(place: str) -> None:
    """Take away every file system that is mounted at `place`, at once, whoever still uses it."""
    libc = ctypes.CDLL(None, use_errno=True)
    for _ in range(16):
        if place not in mounted():
            return
        if sys.platform != "linux" or libc.umount2(os.fsencode(place), MNT_DETACH):
            words = [["fusermount3", "-uz", place], ["fusermount", "-uz", place], ["umount", "-f", place]]
            for word in words:
                if shutil.which(word[0]) and subprocess.run(word, capture_output=True, check=False).returncode == 0:
                    break
            else:
                raise Refused(f"{place} cannot be unmounted")


def clear(place: str, plan: Plan) -> None:
    """Make `place` an empty folder that nobody can write to. Refused where something lies there."""
    unmount(place)
    if os.path.islink(place):
        raise Refused(f"{plan['target']} is a link: remove it there first")
    try:
        os.makedirs(place, exist_ok=True)
        if os.listdir(place):
            raise Refused(f"{plan['target']} is not an empty folder on this node: use another place, or mode: COPY")
        os.chmod(place, 0o555)
    except OSError as problem:
        raise Refused(f"{plan['target']}: {problem.strerror}") from problem


def link(plan: Plan, place: str) -> None:
    """Let `place` lead to the bucket's own folder."""
    if os.path.islink(place) and os.readlink(place) == plan["folder"]:
        return
    if os.path.isdir(place) and not os.path.islink(place):
        clear(place, plan)
        os.rmdir(place)
    elif os.path.lexists(place):
        raise Refused(f"{plan['target']} is there already")
    os.makedirs(os.path.dirname(place), exist_ok=True)
    os.symlink(plan["folder"], place)


def kill(mount: Mount) -> None:
    """End a mount's rclone, and nothing else that may have its number by now."""
    deadline = time.monotonic() + 5.0
    while mount.serves and time.monotonic() < deadline:
        try:
            os.kill(mount.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.01)  # the condition is the loop's


def undo(mount: Mount, *, keep: bool) -> None:
    """Take a mount away; with `keep` its folder stays, which tells of it and has what is not in the bucket yet."""
    if mount.how == "link":
        if os.path.islink(mount.place) and os.readlink(mount.place) == mount.plan["folder"]:
            os.unlink(mount.place)
    else:
        unmount(mount.place)
        kill(mount)
        if os.path.isdir(mount.place) and not os.path.ismount(mount.place):
            os.chmod(mount.place, 0o755)
            try:
                os.rmdir(mount.place)
            except OSError:
                pass  # something was written there before: it stays
    if not keep:
        shutil.rmtree(mount.folder, ignore_errors=True)


def _forget(folder: str, *names: str) -> None:
    for name in names:
        try:
            os.unlink(os.path.join(folder, name))
        except FileNotFoundError:
            pass


def begin(plan: Plan, given: dict[str, Any], place: str, folder: str) -> None:
    """Start what serves a mount and wait until it answers. Refused with its own reason where it does not."""
    how, front = way(plan, os.path.expanduser("~/.skyrig/bin"), given["fusermount"])
    shown = {name: value for name, value in plan.items() if name != "secret"}
    if how == "link":
        link(plan, place)
        write(os.path.join(folder, "mount.json"), json.dumps({"plan": shown, "place": place, "how": how}))
        return
    clear(place, plan)
    env = environment(plan, given["secrets"])
    env["PATH"] = f"{front}:{env.get('PATH', os.defpath)}" if front else env.get("PATH", os.defpath)
    _forget(folder, "pid", "ended", "rc", "log")
    words = ["/bin/sh", "-c", GUARD, "sh", *command(plan, engine(given.get("rclone", "")), how, place)]
    quiet = subprocess.DEVNULL
    shell = subprocess.Popen(
        words, cwd=folder, env=env, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )
    shell.returncode = 0  # it lives on: nobody waits for it here
    pid = _until(lambda: int(content(os.path.join(folder, "pid")) or 0), 5.0) or 0
    record = {"plan": shown, "place": place, "how": how, "pid": pid, "start": start_time(pid)}
    write(os.path.join(folder, "mount.json"), json.dumps(record))
    mount = Mount(folder, record)
    _until(lambda: place in mounted() or not mount.serves, PATIENCE_S)
    problem = mount.trouble() or _until_let_in(mount)
    if problem:
        undo(mount, keep=bool(mount.dirty()))
        raise Refused(f"{plan['bucket']} cannot be attached at {plan['target']}: {problem}")


def _until_let_in(mount: Mount) -> str:
    """Ask the bucket itself, for rclone mounts what it cannot reach, too."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        said = mount.refusal()
        if "rclone does not answer" not in said or not mount.serves or time.monotonic() > deadline:
            return plain(said)
        time.sleep(0.05)  # the condition is the loop's: its socket is about to be there


def _until(look: Callable[[], Any], patience_s: float) -> Any:
    """The first answer of `look` that is true; its last one after `patience_s` seconds."""
    deadline = time.monotonic() + patience_s
    while not (answer := look()) and time.monotonic() < deadline:
        time.sleep(0.02)  # the condition is the loop's
    return answer


def stands(mount: Mount, plan: Plan, given: dict[str, Any]) -> bool:
    """Whether a mount is alive and can stay. With other credentials than it has it stays while those that it has do."""
    if mount.trouble():
        return False
    if mount.how == "link":
        return True
    wanted = {f"{name}={value}" for name, value in remote(plan, given["secrets"]).items()}
    try:
        with open(f"/proc/{mount.pid}/environ", "rb") as file:
            has = set(file.read().decode("utf-8", "replace").split("\0"))
    except OSError:
        has = wanted
    return wanted <= has or not mount.refusal()


def copy(plan: Plan, given: dict[str, Any], place: str, tell: Tell) -> None:
    """Bring what a bucket (or its one object) holds to `place`, as far as it differs from what is there."""
    if os.path.islink(place) and plan.get("folder") == os.readlink(place):
        os.unlink(place)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    words = [engine(given.get("rclone", "")), "copyto", f"{REMOTE}:{plan['path']}", place, "--config="]
    words += ["--use-server-modtime", "--transfers=16", "--checkers=32", "--contimeout=10s", "--log-level=NOTICE"]
    words += ["--stats=5s", "--stats-one-line", "--stats-log-level=NOTICE"]
    if plan.get("folder"):
        words.append("--ignore-checksum")  # what was written as a file keeps the checksum of what was there before
    env = environment(plan, given["secrets"])
    kwargs: dict[str, Any] = {"env": env, "stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    said = ""
    with subprocess.Popen(words, **kwargs) as process:
        for line in process.stderr or ():
            text = line.decode("utf-8", "replace")
            counted = re.search(r"NOTICE: +(\d.*), ETA", text)
            if counted and " 100%" not in text:
                tell({"k": "note", "text": f"copies {plan['bucket']} to {plan['target']}: {counted[1]}"})
            elif not counted and text.strip():
                said = text
    if process.returncode:
        raise Refused(f"{plan['bucket']} could not be copied to {plan['target']}: {plain(said)}")
    if not os.path.lexists(place):
        os.makedirs(place)  # an empty bucket


def one(plan: Plan, given: dict[str, Any], tell: Tell) -> None:
    """Have one mount be there. Refused where that cannot be."""
    place = os.path.normpath(os.path.expanduser(plan["target"]))
    place = os.path.join(os.path.realpath(os.path.dirname(place)), os.path.basename(place))
    folder = os.path.join(os.path.expanduser(MOUNTS), identity(plan))
    others = []
    for mount in attached():
        if mount.folder == folder and plan["mode"] != "COPY":
            if stands(mount, plan, given):
                return
            undo(mount, keep=True)
        elif mount.place == place:
            others.append(mount)
    give_way(others, tell)
    if plan["mode"] == "COPY":
        copy(plan, given, place, tell)
        return
    os.makedirs(folder, mode=0o700, exist_ok=True)
    begin(plan, given, place, folder)


def give_way(mounts: Sequence[Mount], tell: Tell) -> None:
    """Take `mounts` away, after their files have reached their buckets. Refused where those do not."""
    left = [each for each in flush(mounts, REPLACE_S, tell) if each.left]
    if left:
        why = left[0].failed or "files are not in the bucket"
        raise Refused(f"{left[0].mount.name} cannot be replaced: {why}: {left[0].named()}")
    for mount in mounts:
        undo(mount, keep=False)


def attach(given: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """`attach`: see the top of the file."""
    problems: dict[str, str] = {}

    def work(plan: Plan) -> None:
        try:
            one(plan, given, tell)
        except (Refused, OSError) as problem:
            problems[plan["target"]] = str(problem)

    threads = [threading.Thread(target=work, args=(plan,)) for plan in given["mounts"]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"problems": problems}


def wait(given: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """`flush`: see the top of the file."""
    flushes = flush(attached(), given.get("deadline_s"), tell)
    return {"left": [{**each.as_json(), "named": each.named()} for each in flushes if each.left]}


def detach(given: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """`detach`: see the top of the file."""
    wanted = given.get("targets")
    mounts = [mount for mount in attached() if wanted is None or mount.plan["target"] in wanted]
    force = bool(given.get("force"))
    left = [] if force else [each for each in flush(mounts, given.get("deadline_s"), tell) if each.left]
    problems = {}
    for mount in mounts:
        if any(each.mount is mount for each in left):
            continue
        try:
            undo(mount, keep=bool(force and mount.dirty()))
        except (Refused, OSError) as problem:
            problems[mount.plan["target"]] = str(problem)
    return {"left": [{**each.as_json(), "named": each.named()} for each in left], "problems": problems}


def look(given: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """`look`: see the top of the file."""
    shown = [
        {
            "target": mount.plan["target"],
            "bucket": mount.plan["bucket"],
            "mode": mount.plan["mode"],
            "how": mount.how,
            "pid": mount.pid,
            "trouble": mount.trouble(),
            "dirty": mount.dirty(),
        }
        for mount in attached()
    ]
    return {"mounts": shown}


def answer(given: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Do what is asked, one such program at a time but for looks and waits; how it went."""
    os.umask(0o077)
    base = os.path.expanduser(MOUNTS)
    verbs = {"attach": attach, "flush": wait, "detach": detach, "look": look}
    if given["op"] in ("attach", "detach"):
        os.makedirs(base, mode=0o700, exist_ok=True)
        os.makedirs(os.path.expanduser("~/.skyrig/bin"), mode=0o700, exist_ok=True)
        held = os.open(os.path.join(base, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
    return verbs[given["op"]](given, tell)


def run(given: dict[str, Any]) -> None:
    """Answer on stdout, as is said at the top of the file."""
    lock = threading.Lock()

    def tell(frame: dict[str, Any]) -> None:
        with lock:
            os.write(1, json.dumps(frame).encode() + b"\n")

    tell({"k": "done", **answer(given, tell)})
