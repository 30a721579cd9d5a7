"""How far the build of an image has come: kept on this machine until it is done, so that a build that was cut off goes
on, and a builder that nobody waits for any more is known."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import asdict, evolve, field, frozen

from skyrig import places
from skyrig.errors import BadInput

PREPARED, SEALING, SEALED, MADE = "prepared", "sealing", "sealed", "made"
UNMARKED = "unmarked"
"""What a build passes, in order, beside the texts that it runs: all of them have run; the builder is being cleaned; it
is clean, and lets nobody in; the image is there. UNMARKED: the builder remembers nothing of the setup that ran."""


@frozen
class Progress:
    """Of the build with the recipe `digest`: `passed` are names of what was done, `seconds` what the setup took,
    `first_job` the number of the first job on the builder that can have run it (0: none can), `machine` the builder's
    incarnation ("": there was none yet): what was done on another machine behind its id was not done."""

    digest: str
    passed: tuple[str, ...] = ()
    seconds: float = 0.0
    salt: str = field(default="", repr=False)
    first_job: int = 0
    machine: str = ""

    def has(self, step: str) -> bool:
        """Whether a step was passed."""
        return step in self.passed

    def past(self, step: str, seconds: float = 0.0) -> Progress:
        """The progress once a step is passed too."""
        return evolve(self, passed=(*self.passed, step), seconds=self.seconds + seconds)


def builder_of(name: str) -> str:
    """Name of the stack of the node that an image is made of."""
    return f"{name}-builder"


def read(name: str) -> Progress | None:
    """How far the build of an image has come; None where none was begun, or it was ended."""
    try:
        said = json.loads(_file(name).read_bytes())
        return Progress(**{**said, "passed": tuple(said["passed"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(name: str, progress: Progress) -> Progress:
    """Keep that; whole file or none."""
    file = _file(name)
    places.made(file.parent)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(progress)))
    fresh.replace(file)
    return progress


def forget(name: str) -> None:
    """It is done, or given up."""
    _file(name).unlink(missing_ok=True)


def unfinished() -> list[str]:
    """Names of the images whose build was begun and not ended."""
    return sorted(file.stem for file in (places.images() / "building").glob("*.json"))


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One process at a time builds or deletes an image: BadInput for a second one."""
    places.made(_file(name).parent)
    held = os.open(_file(name).with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(f"another process is at work on image {name}", hint="wait for it") from None
        yield
    finally:
        os.close(held)


def _file(name: str) -> Path:
    return places.images() / "building" / f"{name}.json"
