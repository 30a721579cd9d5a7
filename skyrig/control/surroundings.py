"""What a command finds around it: its environment and the project's folder. The controller's children find the same as
the command that asked for a ward, whoever started the controller: other credentials would be another account.

Kept sealed, since credentials are in it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from attrs import field, frozen

from skyrig import places
from skyrig.control import folder, sealing
from skyrig.stack import project

_OF_A_TERMINAL = ("TERM", "COLUMNS", "LINES", "SSH_TTY", "SSH_CLIENT", "SSH_CONNECTION", "_", "PWD", "OLDPWD")


@frozen
class Surroundings:
    """The `project`'s folder, and the environment."""

    project: Path
    environment: dict[str, str] = field(repr=False)


def here() -> Surroundings:
    """Those of this process."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_TERMINAL}
    environment |= {"SKYRIG_HOME": str(places.home()), "SKYRIG_CACHE": str(places.cache())}
    return Surroundings(project.find(), environment)


def keep(kind: str, name: str) -> None:
    """Keep those of this process for a ward."""
    ours = here()
    plain = {"project": str(ours.project), "environment": ours.environment}
    put(folder.surroundings(kind, name), sealing.seal(json.dumps(plain).encode(), f"{kind} {name}"))


def put(file: Path, sealed: bytes) -> None:
    """Write what was sealed to `file`, whole or not at all."""
    fresh = places.made(file.parent) / f".{file.name}.{os.getpid()}"
    fresh.touch(mode=0o600)
    fresh.write_bytes(sealed)
    fresh.replace(file)


def of(kind: str, name: str) -> Surroundings:
    """Those that were kept for a ward; of this process where none were."""
    try:
        plain = json.loads(sealing.opened(folder.surroundings(kind, name).read_bytes(), f"{kind} {name}"))
    except FileNotFoundError:
        return here()
    return Surroundings(Path(plain["project"]), plain["environment"])
