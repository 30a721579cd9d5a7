"""The file system of a node on level `namespaces`: absolute paths behave as on a machine of its own.

The node's root is a folder of its own, so that `mkdir /data` stays in the node. Every folder of the host's root
appears in it as an overlay whose changes lie in the node's folder: a job may install into /usr and changes nothing
outside. The stack's local folder and its records are the real ones, for supervisors and keeper use them. Overlayfs
refuses changes that lie inside what they change, so the folders above those (say /root) keep theirs in memory, with
the python installations in them overlaid on their own. A folder that cannot be overlaid is the host's own in the node;
/run/skyrig-host-folders there names those, for what must not write to the host.
A node that was stopped finds all of it again when it starts, but for what was in memory.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import sys
from pathlib import Path
from typing import NamedTuple

from skyrig.fleet.local import kernel
from skyrig.fleet.local.files import remove_tree

_SPECIAL = {"proc", "sys", "dev", "tmp", "run", "lost+found"}
_PSEUDO = {
    "proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "mqueue", "securityfs", "debugfs", "tracefs", "bpf",
    "pstore", "configfs", "fusectl", "hugetlbfs", "binfmt_misc", "autofs", "rpc_pipefs", "nsfs", "efivarfs",
}  # fmt: skip

HOST_FOLDERS = "skyrig-host-folders"


class Plan(NamedTuple):
    """What the root is built from: the node's `folder`, `kept` folders that stay the host's, the shared `hosts` file,
    `home` for the password file, and whether this user is unprivileged (`plain_user`)."""

    folder: Path
    kept: tuple[Path, ...]
    hosts: Path
    home: Path
    plain_user: bool

    @property
    def root(self) -> Path:
        """What becomes the node's root."""
        return self.folder / "root"


def build(plan: Plan) -> None:
    """Make the node's root and enter it. To be called in a new mount namespace, by process 1 of a new pid namespace."""
    kernel.mount("none", Path("/"), flags=kernel.MS_REC | kernel.MS_PRIVATE)
    plan.root.mkdir(exist_ok=True)
    kernel.mount(plan.root, plan.root, flags=kernel.MS_BIND)
    volatile = plan.folder / "volatile"
    volatile.mkdir(exist_ok=True)
    kernel.mount("tmpfs", volatile, "tmpfs", options="mode=700")
    own = [path for path in _top(plan) if not _overlay(plan, path)]
    _special(plan)
    own += [path for path in _inner(plan) if not _overlay(plan, path)]
    (plan.root / "run" / HOST_FOLDERS).write_text("".join(f"{path}\n" for path in own))
    for path in plan.kept:
        _bind(path, _inside(plan, path))
    _bind(plan.hosts, plan.root / "etc/hosts")
    _enter(plan.root)


def _top(plan: Plan) -> list[Path]:
    """Folders of the host's root; what is a link there becomes one in the node's root."""
    top = []
    for entry in sorted(Path("/").iterdir()):
        if entry.name in _SPECIAL:
            continue
        if entry.is_symlink():
            with contextlib.suppress(FileExistsError):  # the node was started before
                _inside(plan, entry).symlink_to(entry.readlink())
        elif entry.is_dir():
            top.append(entry)
    return top


def _inner(plan: Plan) -> list[Path]:
    """Folders further inside that need an overlay of their own, outer ones first: other file systems, and everything
    that the python here consists of, which may even lie below /tmp."""
    pythons = [Path(place).resolve() for place in (sys.prefix, sys.base_prefix, *sys.path)]
    found: list[Path] = []
    for path in sorted({*_mounted_folders(), *pythons}):
        covered = path in pythons and any(path.is_relative_to(outer) for outer in found)
        if path.is_dir() and len(path.parts) > 2 and not covered and not _kept(plan, path):
            found.append(path)
    return found


def _kept(plan: Plan, path: Path) -> bool:
    return any(path.is_relative_to(kept) for kept in plan.kept)


def _mounted_folders() -> list[Path]:
    """Where other file systems of the host are mounted: an overlay shows those only that it is made of."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        place = before.split()[4].encode().decode("unicode_escape")
        path = Path(place)
        if after.split()[0] not in _PSEUDO and path.parts[1:2] and path.parts[1] not in _SPECIAL:
            found.append(path)
    return found


def _overlay(plan: Plan, lower: Path) -> bool:
    """Whether it could be done; where not, the folder is the host's."""
    above_kept = any(kept.is_relative_to(lower) for kept in plan.kept)
    store = plan.folder / ("volatile" if above_kept else "changes") / str(lower).strip("/").replace("/", "%")
    upper, work = store / "upper", store / "work"
    remove_tree(work)
    work.mkdir(parents=True)
    if not upper.exists():
        upper.mkdir()
        upper.chmod(lower.stat().st_mode & 0o7777)
        if lower == Path("/etc"):
            (upper / "passwd").write_text(_passwd(plan.home))
    options = f"lowerdir={_escaped(lower)},upperdir={_escaped(upper)},workdir={_escaped(work)}"
    target = _inside(plan, lower)
    target.mkdir(parents=True, exist_ok=True)
    try:
        kernel.mount("overlay", target, "overlay", options=options + (",userxattr" if plan.plain_user else ""))
    except OSError as error:
        # File systems of the host below `lower` forbid that to plain users, and some cannot be overlaid at all.
        print(f"{lower} in this node is the host's own: {error}", file=sys.stderr, flush=True)
        _bind(lower, target)
        return False
    return True


def _special(plan: Plan) -> None:
    root = plan.root
    for name in ("proc", "sys", "dev", "tmp", "run"):
        (root / name).mkdir(exist_ok=True)
    kernel.mount("proc", root / "proc", "proc")
    try:
        kernel.mount("sysfs", root / "sys", "sysfs")
    except OSError:
        _bind(Path("/sys"), root / "sys")
    else:
        _bind(Path("/sys/fs/cgroup"), root / "sys/fs/cgroup")
    _bind(Path("/dev"), root / "dev")
    kernel.mount("tmpfs", root / "dev/shm", "tmpfs", options="mode=1777")
    kernel.mount("tmpfs", root / "run", "tmpfs", options="mode=755")
    for name, target in (("tmp", "tmp"), ("var-tmp", "var/tmp")):
        own = plan.folder / name
        own.mkdir(exist_ok=True)
        own.chmod(0o1777)
        _bind(own, root / target)


def _bind(source: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    kernel.mount(source, target, flags=kernel.MS_BIND | kernel.MS_REC)


def _enter(root: Path) -> None:
    former = root / ".former"
    former.mkdir(exist_ok=True)
    kernel.pivot_root(root, former)
    os.chdir("/")
    kernel.detach(Path("/.former"))
    Path("/.former").rmdir()


def _inside(plan: Plan, path: Path) -> Path:
    return plan.root / path.relative_to("/")


def _passwd(home: Path) -> str:
    """The host's password file, in which this user is at home in the node."""
    user = pwd.getpwuid(os.getuid()).pw_name
    lines = [line.split(":") for line in Path("/etc/passwd").read_text().splitlines()]
    return "".join(":".join([*f[:5], str(home), *f[6:]] if f[0] == user else f) + "\n" for f in lines)


def _escaped(path: Path) -> str:
    text = str(path)
    for letter in ("\\", ":", ","):
        text = text.replace(letter, "\\" + letter)
    return text
