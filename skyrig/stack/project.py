"""Where the Pulumi project is: the folder with the Pulumi.yaml that the engine runs.

In a clone that is the clone. An installed Skyrig has one in the user's data folder, and makes it when the engine first
needs it. Its program is two small files that lead to what was installed, so they fit every version, and plain `pulumi`
runs them too: `stacks/` is where the engine runs the program and its dynamic providers, so `components` is found there
by the name that states hold, and does not lie as a package of so general a name among everybody's.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from skyrig import places
from skyrig.cluster.keys import NAMESPACE

_NAME = re.compile(rf"^name:\s*['\"]?{NAMESPACE}['\"]?\s*(#.*)?$", re.MULTILINE)

_COMPONENTS = Path("stacks", "components", "__init__.py")
_LEADING = {
    Path("stacks", "__main__.py"): '''\
"""Runs the Pulumi program of the Skyrig that this Python has. Skyrig keeps this file; changes are lost."""

import runpy

from skyrig import places

runpy.run_path(str(places.shipped() / "stacks" / "__main__.py"), run_name="__main__")
''',
    _COMPONENTS: '''\
"""The components of the Skyrig that this Python has. Skyrig keeps this file; changes are lost."""

from skyrig import places

__path__ = [str(places.shipped() / "components")]
''',
}


def find() -> Path:
    """The project's root: the nearest folder from the current one upwards that holds one of ours, else the clone or
    the installed Skyrig's own, which may not be there yet. Runs and writes nothing."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if _is_ours(folder):
            return folder
    return places.project() if places.is_installed() else places.shipped()


def made() -> Path:
    """The project's root, for the engine to run: the installed Skyrig's own is made, or brought up to date, file by
    file. The config of stacks is left alone."""
    folder = find()
    return own() if folder == places.project() else folder


def own() -> Path:
    """The project in the user's data folder, made or brought up to date, whether or not there is a clone."""
    folder = places.made(places.project())
    for name, text in _LEADING.items():
        _keep(folder / name, text)
    _keep(folder / "Pulumi.yaml", (places.shipped() / "Pulumi.yaml").read_text(encoding="utf-8"))
    return folder


def config_file(stack: str) -> Path:
    """The plain config of `stack`, whether or not it exists yet."""
    return find() / "stacks" / f"Pulumi.{stack}.yaml"


def config_files() -> list[Path]:
    """The plain configs of all stacks that have one here, sorted."""
    return sorted((find() / "stacks").glob("Pulumi.*.yaml"))


def selection_file(engine_home: Path) -> Path:
    """The file in which the engine remembers which stack of this project is selected (see `stacks.selected`)."""
    digest = hashlib.sha1(str(find() / "Pulumi.yaml").encode(), usedforsecurity=False).hexdigest()
    return engine_home / "workspaces" / f"{NAMESPACE}-{digest}-workspace.json"


def _is_ours(folder: Path) -> bool:
    """Whether this Skyrig can run the project in `folder`: an installed one runs those that lead to it."""
    try:
        named = _NAME.search((folder / "Pulumi.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False
    return bool(named) and (not places.is_installed() or (folder / _COMPONENTS).exists())


def _keep(file: Path, text: str) -> None:
    """Have `text` in `file`; a reader sees the old file or the new one."""
    try:
        if file.read_text(encoding="utf-8") == text:
            return
    except (OSError, UnicodeDecodeError):
        places.made(file.parent)
    descriptor, fresh = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
        Path(fresh).replace(file)
    finally:
        Path(fresh).unlink(missing_ok=True)
