"""Where the Pulumi project is: the folder with the Pulumi.yaml that the engine runs."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from skyrig.cluster.shape import NAMESPACE

_NAME = re.compile(rf"^name:\s*['\"]?{NAMESPACE}['\"]?\s*(#.*)?$", re.MULTILINE)


def find() -> Path:
    """The project's root: the nearest folder from the current one upwards whose Pulumi.yaml is ours, else the folder
    that Skyrig was installed into (which carries the same files). Runs nothing."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if _is_ours(folder / "Pulumi.yaml"):
            return folder
    return Path(__file__).resolve().parents[2]


def config_file(stack: str) -> Path:
    """The plain config of `stack`, whether or not it exists yet."""
    return find() / "stacks" / f"Pulumi.{stack}.yaml"


def selection_file(engine_home: Path) -> Path:
    """The file in which the engine remembers which stack of this project is selected (see `stacks.selected`)."""
    digest = hashlib.sha1(str(find() / "Pulumi.yaml").encode(), usedforsecurity=False).hexdigest()
    return engine_home / "workspaces" / f"{NAMESPACE}-{digest}-workspace.json"


def _is_ours(file: Path) -> bool:
    try:
        return bool(_NAME.search(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return False
