"""A user's calls of image stacks, on whichever cloud their environment has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from user import BIN, User

CALLS = Path(__file__).with_name("image_calls.py")
NAME = "torch"


def call(person: User, verb: str, /, check: int = 0, **given: Any) -> Any:
    """What a call of the image stacks gives; its words where it is refused."""
    done = subprocess.run(
        [sys.executable, str(CALLS), verb, json.dumps(given)],
        cwd=person.clone, env=person.env, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == check, done.stdout + done.stderr
    return done.stderr if check else json.loads(done.stdout)


def of_image(person: User, *words: str) -> subprocess.CompletedProcess[bytes]:
    """A plain engine command on the image's stack."""
    command = [str(BIN / "pulumi"), *words, "-s", f"{NAME}-image", "--non-interactive"]
    return subprocess.run(command, cwd=person.clone, env=person.env, capture_output=True, timeout=300, check=False)


def nothing_changes(person: User) -> None:
    """A plain up, after a look at the cloud, changes nothing."""
    done = of_image(person, "up", "--yes", "--refresh", "--expect-no-changes")
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
