"""Run on a head (stdlib only, Python 3.8): takes the layers of a runtime, checks them and makes ~/.skyrig/runtime them.

`given` is its JSON input: `runtime` (name), `python` (layer with the interpreter), `paths` (layers to import from),
`module` (imported as a trial), all layers in ~/.skyrig/layers/NAME. It answers with marked JSON lines: `waiting`, then
`missing` (names of layers); then it reads one JSON line, a list of {name, sha256, packed, unpacked}, answers `offsets`
(bytes of each that an earlier, broken attempt left here), reads the rest of each file in turn, and answers `done` or
`error`. Nothing is half made, whatever ends it: folders appear by renaming, and a hash is checked before that.
"""

# ruff: noqa: SIM105, B905  (contextlib costs start-up time; zip has no `strict` in Python 3.8)

import errno
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from typing import Any, Dict, List

given = globals()["given"]
MARK = "skyrig-unpack "
SPARE = 32 << 20
CHUNK = 1 << 18

os.umask(0o077)
root = os.path.join(os.path.expanduser("~"), ".skyrig")
layers, runtimes, incoming = (os.path.join(root, name) for name in ("layers", "runtimes", "incoming"))
stdin = sys.stdin.buffer


class Failed(Exception):
    """The runtime cannot be had here; the text is one line."""


def say(**what: object) -> None:
    """One marked line to the client."""
    sys.stdout.write(MARK + json.dumps(what) + "\n")
    sys.stdout.flush()


def take_turn() -> int:
    """The lock that one installation at a time holds."""
    turn = os.open(os.path.join(root, "runtime.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(waiting=True)
        fcntl.flock(turn, fcntl.LOCK_EX)
    return turn


def sweep() -> None:
    """Remove what a killed installation left half unpacked."""
    for folder in (layers, runtimes):
        for name in os.listdir(folder):
            if name.startswith(".new-"):
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)


def part(sha256: str) -> str:
    """Where a file lies while it arrives."""
    return os.path.join(incoming, "layer-" + sha256)


def size(path: str) -> int:
    """Bytes of a file; 0 if there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def receive(coming: List[Dict[str, Any]]) -> None:
    """Take the layers that the client has announced."""
    offsets = [min(size(part(layer["sha256"])), layer["packed"]) for layer in coming]
    needed = sum(layer["packed"] + layer["unpacked"] for layer in coming) - sum(offsets) + SPARE
    free = shutil.disk_usage(root).free
    if free < needed:
        raise Failed("too little disk in ~/.skyrig: %d MB are needed, %d MB are free" % (needed >> 20, free >> 20))
    say(offsets=offsets)
    for layer, offset in zip(coming, offsets):
        path = part(layer["sha256"])
        with open(path, "ab") as file:
            file.truncate(offset)
            left = layer["packed"] - offset
            while left:
                block = stdin.read(min(CHUNK, left))
                if not block:
                    raise Failed("the client broke off")
                file.write(block)
                left -= len(block)
        unpack(layer["name"], path, layer["sha256"])


def unpack(name: str, path: str, sha256: str) -> None:
    """Check a file that has arrived and make its layer appear."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(CHUNK), b""):
            digest.update(block)
    if digest.hexdigest() != sha256:
        os.unlink(path)
        raise Failed("layer %s arrived damaged: its hash differs" % name)
    fresh = os.path.join(layers, ".new-" + name)
    os.mkdir(fresh)
    with tarfile.open(path) as tar:
        for member in tar:
            inside = os.path.normpath(member.name)
            if inside.startswith(("/", "..")) or not (member.isreg() or member.issym()) or "/" in member.linkname:
                raise Failed("layer %s holds %r, which has no place there" % (name, member.name))
            member.mode |= 0o600
            tar.extract(member, fresh)
    os.rename(fresh, os.path.join(layers, name))
    os.unlink(path)


def compose() -> str:
    """The folder of the runtime, made if it is not there: a virtual environment whose packages are the layers."""
    home = os.path.join(runtimes, given["runtime"])
    if os.path.isdir(home):
        return home
    fresh = os.path.join(runtimes, ".new-" + given["runtime"])
    site = os.path.join(fresh, "lib", "python3.11", "site-packages")
    os.makedirs(site)
    os.mkdir(os.path.join(fresh, "bin"))
    program = os.path.join(layers, given["python"], "bin")
    for name in ("python", "python3", "python3.11"):
        os.symlink(os.path.join(program, "python3.11"), os.path.join(fresh, "bin", name))
    files = {
        os.path.join(fresh, "pyvenv.cfg"): "home = %s\ninclude-system-site-packages = false\n" % program,
        os.path.join(site, "skyrig.pth"): "".join(os.path.join(layers, name) + "\n" for name in given["paths"]),
        os.path.join(fresh, "layers.json"): json.dumps([given["python"]] + given["paths"]),
    }
    for path, text in files.items():
        with open(path, "w") as file:
            file.write(text)
    trial = [os.path.join(fresh, "bin", "python"), "-I", "-c", "import " + given["module"]]
    ran = subprocess.run(trial, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if ran.returncode:
        words = ran.stdout.decode("utf-8", "replace").strip().splitlines() or ["code %d" % ran.returncode]
        shutil.rmtree(fresh)
        raise Failed("the runtime does not work here: " + words[-1])
    os.rename(fresh, home)
    return home


def switch(home: str) -> None:
    """Make ~/.skyrig/runtime mean this runtime, at once."""
    link = os.path.join(root, "runtime")
    if os.path.exists(link) and os.path.samefile(link, home):
        return
    fresh = link + ".new"
    try:
        os.unlink(fresh)
    except FileNotFoundError:
        pass
    os.symlink(os.path.relpath(home, root), fresh)
    os.replace(fresh, link)


def held(name: str) -> bool:
    """Whether a keeper holds the lock of a layer that it was loaded from (skyrig/launch/keeper/__main__.py)."""
    try:
        lock = os.open(os.path.join(layers, name + ".lock"), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def programs() -> List[str]:
    """Files that processes of this machine run, as far as we may see."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.append(os.readlink("/proc/%s/exe" % pid))
        except OSError:
            pass  # gone, or another user's
    return found


def prune(current: str) -> None:
    """Remove runtimes, layers and files that neither the current runtime nor a live process needs."""
    running = programs()
    keep = set()
    for name in os.listdir(runtimes):
        with open(os.path.join(runtimes, name, "layers.json")) as file:
            used = json.load(file)
        if os.path.join(runtimes, name) == current or any(held(layer) for layer in used):
            keep.update(used)
        else:
            shutil.rmtree(os.path.join(runtimes, name))
    for name in os.listdir(layers):
        folder = os.path.join(layers, name)
        if name in keep or not os.path.isdir(folder) or any(path.startswith(folder + "/") for path in running):
            continue
        shutil.rmtree(folder)
    for name in os.listdir(incoming):
        if name.startswith("layer-"):
            os.unlink(os.path.join(incoming, name))


def main() -> int:
    """Serve one installation; returns the exit code."""
    try:
        for folder in (layers, runtimes, incoming):
            os.makedirs(folder, exist_ok=True)
        take_turn()
        sweep()
        wanted = [given["python"]] + given["paths"]
        missing = [name for name in wanted if not os.path.isdir(os.path.join(layers, name))]
        say(missing=missing)
        if missing:
            line = stdin.readline()
            if not line.endswith(b"\n"):
                raise Failed("the client broke off")
            receive(json.loads(line))
        home = compose()
        switch(home)
        prune(home)
        say(done=True)
        return 0
    except Failed as problem:
        say(error=str(problem))
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            sweep()
            for name in os.listdir(incoming):
                if name.startswith("layer-"):
                    os.unlink(os.path.join(incoming, name))
            say(error="the disk with ~/.skyrig is full")
        else:
            say(error="~/.skyrig: %s" % problem)
    return 1


sys.exit(main())
