"""States that nobody can use any more, because the passphrase of their secrets is lost, or a killed engine has left
half a file: told apart, and put aside."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from skyrig import places
from skyrig.cluster.keys import NAMESPACE
from skyrig.errors import EngineError, SkyrigError
from skyrig.stack import backend, described, engine

Notify = Callable[[str], None]
"""Takes one line for the reader."""

_GIVEN = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
_WORDS = ("passphrase", "failed to load checkpoint")
"""What the engine says of them."""


def reason(stack: str) -> str:
    """Why the state of `stack` cannot be used, where its passphrase is not the right one or it is no whole file; ""
    where it can be. Any other error of the engine is raised."""
    try:
        engine.query(["stack", "export", "--show-secrets"], stack=stack)
    except EngineError as error:
        if is_lost(error):
            return error.message
        raise
    return ""


def is_lost(error: EngineError) -> bool:
    """Whether an engine call has failed for want of a state that can be used."""
    return any(word in str(error) for word in _WORDS)


def hit(stack: str) -> list[str]:
    """The stacks whose states go with that of `stack`: where our own backend's file with the passphrase is gone, all
    that are on it; else it alone has another passphrase."""
    base = backend.folder()
    gone = backend.is_ours() and not places.passphrase().exists() and not any(os.environ.get(each) for each in _GIVEN)
    if base is None or not gone:
        return [stack]
    return sorted(file.stem for file in (base / "stacks" / NAMESPACE).glob("*.json"))


def put_aside(stack: str, notify: Notify) -> Path:
    """Give the state of a stack another name, under which no engine sees it; where it is now. Nothing is deleted."""
    file = backend.state_file(stack)
    if file is None:
        hint = f"`pulumi stack rm --force {stack}` forgets it there; what it made stays, and can be adopted"
        raise SkyrigError(f"the state of {stack} is on {backend.url()}, where it cannot be put aside", hint=hint)
    aside = file.with_name(f"{file.name}.lost-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}")
    file.rename(aside)
    described.lose(stack)
    notify(f"{stack}: its state cannot be read, and is put aside: {aside}")
    return aside
