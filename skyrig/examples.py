"""The examples that come with Skyrig: what there is, as the folders' own READMEs say it, and copies of them.

A README of an example begins with front matter, YAML between two lines `---`: `about` (one line), `needs` (what has to
be there to run it as it stands) and `full` (its full size, in words). A folder without that is no example.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import yaml
from attrs import frozen

from skyrig import places
from skyrig.errors import BadInput, SkyrigError

UNFINISHED = ".skyrig-copy"
"""Folder in which a copy into a folder that was there already is prepared; where it is left, the copy was ended. Those
beside a new one begin with it."""

_LEFT_OUT = ("__pycache__", "*.pyc")
_KEYS = ("about", "needs", "full")


@frozen
class Example:
    """One example; `needs` and `full` may be empty."""

    name: str
    about: str
    needs: str
    full: str
    folder: Path

    def to_json(self) -> dict[str, str]:
        """As `examples --json` shows it."""
        return {"name": self.name, "about": self.about, "needs": self.needs, "full": self.full}


def listed() -> list[Example]:
    """All examples, by name."""
    folders = sorted(each for each in (places.shipped() / "examples").iterdir() if each.is_dir())
    return [found for folder in folders if (found := _read(folder)) is not None]


def named(name: str) -> Example:
    """The example called `name`, else BadInput with what there is."""
    found = {each.name: each for each in listed()}
    if name not in found:
        raise BadInput(f"no example is called {name!r}", hint=f"there are {', '.join(found)}")
    return found[name]


def copy(name: str, target: Path | None = None) -> tuple[Example, Path]:
    """Copy an example whole into `target` (default: a new folder of its name), which must be empty or not there:
    BadInput otherwise. Where it fails nothing is left; after kill -9 the same call copies anew."""
    example = named(name)
    try:
        target = (target or Path(name)).expanduser().absolute()
    except RuntimeError as error:  # nobody of that name has a home
        raise BadInput(f"{target} is no folder", hint="give a new or an empty one") from error
    if target.is_dir():
        _into(example.folder, target)
    elif os.path.lexists(target):
        raise BadInput(f"{target} is no folder", hint="give a new or an empty one")
    else:
        _beside(example.folder, target)
    return example, target


def files_of(folder: Path) -> list[Path]:
    """The files of an example by their paths in its folder: neither byte code nor what its .gitignore names."""
    ignored = (*_LEFT_OUT, *_ignored(folder))
    found = (each.relative_to(folder) for each in folder.rglob("*") if each.is_file())
    return sorted(path for path in found if not any(fnmatch(part, one) for part in path.parts for one in ignored))


def _read(folder: Path) -> Example | None:
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    if not text.startswith("---\n"):
        return None
    try:
        given = yaml.safe_load(text[4:].partition("\n---\n")[0])
    except yaml.YAMLError as error:
        raise SkyrigError(f"{folder / 'README.md'}: front matter is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(given, dict) or not given.get("about"):
        raise SkyrigError(f"{folder / 'README.md'}: front matter has no `about`")
    about, needs, full = (" ".join(str(given.get(key) or "").split()) for key in _KEYS)
    return Example(folder.name, about, needs, full, folder)


def _ignored(folder: Path) -> Sequence[str]:
    file = folder / ".gitignore"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [line.strip().strip("/") for line in lines if line.strip() and not line.startswith("#")]


def _beside(source: Path, target: Path) -> None:
    """Make `target`, which appears with all that is in it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{UNFINISHED}-") as scratch:
        fresh = Path(scratch) / target.name
        fresh.mkdir()
        _copied(source, fresh)
        fresh.rename(target)


def _into(source: Path, target: Path) -> None:
    """Fill the empty folder `target`. It stays the folder that it is, for somebody may work in it: what it gets is
    prepared inside of it and moved up."""
    names = {path.parts[0] for path in files_of(source)}
    present = {each.name for each in target.iterdir()}
    if present and (UNFINISHED not in present or present - names - {UNFINISHED}):
        raise BadInput(f"{target} is not empty", hint="give a new or an empty folder")
    fresh = target / UNFINISHED
    try:
        _cleared(target, present)
        fresh.mkdir()
        _copied(source, fresh)
        for name in sorted(names):
            (fresh / name).rename(target / name)
        fresh.rmdir()
    except OSError:
        _cleared(target, {*names, UNFINISHED})
        raise


def _copied(source: Path, target: Path) -> None:
    """Copies with modes of their own: what a wheel put somewhere may be read-only."""
    for path in files_of(source):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / path)
        if os.access(source / path, os.X_OK):
            (target / path).chmod(0o755)


def _cleared(folder: Path, names: set[str]) -> None:
    """Remove what an unfinished copy left, the mark last."""
    for name in sorted(names, key=lambda name: name == UNFINISHED):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
