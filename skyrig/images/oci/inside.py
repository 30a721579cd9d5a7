"""Running a text inside a root file system: in namespaces of its own, as root there, with the network of this machine.
Nothing outside changes. Without root here it takes user namespaces, in which this user alone is root: what gives files
to other users (some packages' installers) needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from skyrig.errors import BadInput
from skyrig.images.oci import layers

PLACE = ".skyrig-build"
"""Folder in the root file system that is there while the text runs, and no part of the image."""

_ENTER = """\
set -e
root=$1 folder=$2 mount=$3 chroot=$4 servers=$5
for place in proc sys dev; do [ -d "$root/$place" ] || mkdir "$root/$place"; done
"$mount" -t proc proc "$root/proc" 2>/dev/null || "$mount" --rbind /proc "$root/proc"
"$mount" --rbind /sys "$root/sys"
"$mount" --rbind /dev "$root/dev"
if [ -n "$servers" ]; then "$mount" --bind "$root/%s/resolv.conf" "$servers"; fi
shell=/bin/sh
[ ! -x "$root/bin/bash" ] || shell=/bin/bash
exec "$chroot" "$root" "$shell" -c 'cd "$1" && exec "$2" "$3"' sh "$folder" "$shell" "/%s/text.sh"
"""
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_SERVERS = Path("/etc/resolv.conf")


def run(root: Path, text: str, env: Mapping[str, str], folder: str, out: Callable[[bytes], object]) -> int:
    """Run a text in `root` with these variables and no others, in the `folder` there; its output goes to `out`, its
    exit code comes back. BadInput where this machine cannot do that."""
    programs = {name: _program(name) for name in ("unshare", "mount", "chroot", "sh")}
    place = root / PLACE
    layers.remove(place)
    place.mkdir()
    (place / "text.sh").write_bytes(text.encode(errors="surrogateescape"))
    how = ["--mount", "--pid", "--fork", "--kill-child"]
    how += [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    words = [str(root), folder, programs["mount"], programs["chroot"]]
    command = [programs["unshare"], *how, programs["sh"], "-c", _ENTER % (PLACE, PLACE), "sh", *words]
    if setpriv := shutil.which("setpriv", path=_PATH):  # what runs ends with us, however we end
        command = [setpriv, "--pdeathsig", "KILL", *command]
    try:
        with _name_servers(root, place) as servers:
            return _followed([*command, servers], env, out)
    finally:
        layers.remove(place)


def _followed(command: list[str], env: Mapping[str, str], out: Callable[[bytes], object]) -> int:
    with subprocess.Popen(
        command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            out(line)
    return running.returncode


@contextmanager
def _name_servers(root: Path, place: Path) -> Iterator[str]:
    """Have this machine's name servers be found in `root` while a text runs: a copy in `place` is laid over the file
    that is given back, "" where there is none to be had. What the root has of its own is as before afterwards."""
    folder = layers.located(root, "etc")
    file, kept = folder / _SERVERS.name, place / "kept"
    if not (_SERVERS.is_file() and folder.is_dir()) or file.is_dir():
        yield ""
        return
    shutil.copyfile(_SERVERS, place / _SERVERS.name)
    if file.is_symlink():
        file.rename(kept)
    if is_new := not file.exists():
        file.touch()
    try:
        yield str(file)
    finally:
        if is_new and file.is_file() and not file.is_symlink() and not file.stat().st_size:
            file.unlink()
            if kept.is_symlink():
                kept.rename(file)


def can() -> str:
    """Why texts cannot be run so on this machine; "" where they can."""
    try:
        command = [_program("unshare"), "--mount", "--pid", "--fork"]
    except BadInput as error:
        return error.message
    command += [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["unshare fails"])[-1]


def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise BadInput(f"{name} is not on this machine", hint="container images are built on Linux")
    return found
