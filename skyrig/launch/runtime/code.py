"""Skyrig's own code as a head runs it: which files it is, and the digest that names this build.

Used on both sides: the client compares its build with that of the keeper it meets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from skyrig import __version__

RELEASE = __version__
"""Version of this code; of two releases the higher one replaces the other's keeper."""

PYTHON = "3.11.11+20241219"
"""The CPython of a head: version and release of python-build-standalone."""

PINS = Path(__file__).parent / "pins"
"""What the other two layers are made from: keeper.txt (packages), go.mod and go.sum (one way to CPython)."""

_PARTS = (
    "__init__.py",
    "errors.py",
    "places.py",
    "progress.py",
    "standing.py",
    "cluster",
    "fleet",
    "launch",
    "preflight",
    "serve/__init__.py",
    "serve/asking.py",
    "serve/balancer",
    "serve/metrics",
    "serve/spec.py",
    "serve/state.py",
    "serve/steward",
    "storage/__init__.py",
    "storage/mount.py",
)
_SHIPPED = ("templates/serve/haproxy.cfg.j2", "templates/serve/program-install.sh")
"""What it reads of that which lies beside the package in a clone, and inside it elsewhere (skyrig.places.shipped)."""
_CLIENT_SIDE = (
    "fleet/local/",
    "fleet/gitignore.py",
    "fleet/manifest.py",
    "fleet/workdir.py",
    "launch/client.py",
    "launch/commands.py",
    "launch/files.py",
    "launch/keeping.py",
    "launch/link.py",
    "launch/meeting.py",
    "launch/metering.py",
    "launch/mends.py",
    "launch/mounts.py",
    "launch/preflights.py",
    "launch/program.py",
    "launch/render.py",
    "launch/serving.py",
    "launch/submission.py",
    "launch/watching.py",
    "launch/runtime/layers.py",
    "launch/runtime/sending.py",
    "launch/runtime/sources.py",
)
"""Left out: what only a client imports. A change there must not replace keepers."""

_SERVED = "builds"
"""File in ~/.skyrig with the builds that keepers of this head had, the newest last."""


def files(package: Path = Path(__file__).parents[2]) -> Iterator[tuple[str, Path]]:
    """(name, file) of what the head runs of the package in the folder `package`; names begin with `skyrig/`."""
    for part in _PARTS:
        top = package / part
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            name = path.relative_to(package).as_posix()
            if path.is_file() and "__pycache__" not in path.parts and not name.startswith(_CLIENT_SIDE):
                yield f"skyrig/{name}", path
    beside = package / "shipped" if (package / "shipped").is_dir() else package.parent
    yield from ((f"skyrig/shipped/{part}", beside / part) for part in _SHIPPED)


def digest(named: Iterable[tuple[str, Path]]) -> str:
    """What names a build: 16 hexadecimal digits over the names and contents of its files."""
    whole = hashlib.sha256()
    for name, path in named:
        whole.update(b"%s %s\n" % (name.encode(), hashlib.sha256(path.read_bytes()).hexdigest().encode()))
    return whole.hexdigest()[:16]


@cache
def build() -> str:
    """Digest of this code as it lay on disk at the first call; the pins are part of it."""
    return digest(files())


def mark_served(home: Path) -> None:
    """Write into `home` (~/.skyrig) that a keeper of this build runs here now."""
    builds = _served(home)
    if builds[-1:] != [build()]:
        fresh = home / f"{_SERVED}.new"
        fresh.write_text("".join(f"{known}\n" for known in [*(b for b in builds if b != build()), build()]))
        fresh.replace(home / _SERVED)


def superseded(home: Path, other: str) -> bool:
    """Whether a keeper of the build `other` ran on this head, and was replaced since: its client is an older one."""
    return other in _served(home)[:-1]


def _served(home: Path) -> list[str]:
    try:
        return (home / _SERVED).read_text().split()
    except FileNotFoundError:
        return []
