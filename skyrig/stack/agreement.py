"""Whether the config in this clone and the stack's last deployment agree, and what is done where they do not.

Several clones may work on one stack. Each one's config is compared with the config of the last deployment and with the
last deployment that this clone has seen (a note of a hash, in the stack's folder): so what another clone did is told
from what the user has edited here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from skyrig import places
from skyrig.cluster.keys import NAMESPACE
from skyrig.cluster.shape import Shape
from skyrig.errors import BadInput
from skyrig.stack import backend, config, deployed, project, ssh_files

Notify = Callable[[str], None]
"""Takes one line for the reader."""


PLANNED = "SKYRIG_PLANNED"
"""Variable of a preview whose config lies in a file of its own: whoever wrote that has looked at the clone's."""


class Verdict(Enum):
    """What to do with the config of a clone."""

    KEEP = "it is what was deployed last, or the user's own change of that"
    TAKE = "it is missing or older: the last deployment's holds"
    CONFLICT = "it was changed here, and by a deployment from elsewhere"


def judge(here: Shape, there: Shape | None, *, bare: bool, seen: str | None, known_past: Callable[[], bool]) -> Verdict:
    """The verdict on the shape `here`, where the last deployment had the shape `there` (None: there was none). `bare`
    says that no key of ours stands in the config, `seen` is the mark of the deployment that this clone saw last, and
    `known_past` tells whether an earlier deployment was just like `here`; it is asked where nothing was seen."""
    if there is None or here == there:
        return Verdict.KEEP
    if bare:
        return Verdict.TAKE
    if seen is None:
        return Verdict.TAKE if known_past() else Verdict.CONFLICT
    if seen == mark(there):
        return Verdict.KEEP
    return Verdict.TAKE if seen == mark(here) else Verdict.CONFLICT


def settle(stack: str, notify: Notify, *, lenient: bool = False) -> None:
    """Bring the config of this clone up to the last deployment where it is missing or older, and say so. The user's
    own edits are kept. BadInput where both have changed; `lenient` passes over that, for what takes nodes away anyway
    or only looks."""
    there = deployed.last(stack)
    here, bare = config.read_shape(stack), config.is_bare(stack)
    verdict = _judged(stack, here, there, bare=bare)
    if there is None:
        return
    if verdict is Verdict.CONFLICT and not lenient:
        raise conflict(stack, here, there)
    if verdict is Verdict.TAKE:
        was = "is not here" if bare else "is older here than its last deployment"
        notify(f"the config of stack {stack} {was}: taking it from there ({difference(here, there) or 'defaults'})")
        if bare:
            with deployed.fetched(stack) as file:
                config.fill(stack, file)
        config.write_shape(stack, there)
    if verdict is Verdict.TAKE or here == there:
        note_seen(stack, there)


def come_to(stack: str) -> Shape:
    """The shape that `settle` would leave in the config; nothing is written. BadInput where it would refuse."""
    there, here = deployed.last(stack), config.read_shape(stack)
    verdict = _judged(stack, here, there, bare=config.is_bare(stack))
    if there is None or verdict is Verdict.KEEP:
        return here
    if verdict is Verdict.CONFLICT:
        raise conflict(stack, here, there)
    return there


def check(stack: str, here: Shape) -> None:
    """For the Pulumi program, which must not change the config it runs with: BadInput where `settle` would change it
    or refuse. A stack that has nothing is at nobody's cost, and passes; so does a preview that is PLANNED."""
    if os.environ.get(PLANNED):
        return
    bare = config.is_bare(stack)
    looked_up = bare if backend.folder() is None else backend.has_anything(stack)
    there = deployed.last(stack) if looked_up else None
    verdict = _judged(stack, here, there, bare=bare)
    if there is None or verdict is Verdict.KEEP:
        return
    if verdict is Verdict.CONFLICT:
        raise conflict(stack, here, there)
    raise BadInput(
        f"the config of stack {stack} is missing or older here than its last deployment ({difference(here, there)})",
        hint=f"`up -c {stack}`, or pulumi in the activated environment, takes the deployed one",
    )


def note_run(stack: str, here: Shape) -> None:
    """For a run that is about to deploy `here` from this clone."""
    deployed.note_start(stack, here)
    note_seen(stack, here)


def note_seen(stack: str, there: Shape) -> None:
    """Remember that this clone knows the deployment `there`."""
    file = seen_file(stack)
    places.made(file.parent)
    ssh_files.replace(file, mark(there) + "\n")


def take(stack: str) -> None:
    """Give this clone the shape of the last deployment, whatever its config says."""
    there = deployed.last(stack)
    if there is not None:
        config.write_shape(stack, there)
        note_seen(stack, there)


def conflict(stack: str, here: Shape, there: Shape) -> BadInput:
    """The error that shows both sides."""
    changed = difference(here, there)
    return BadInput(
        f"the config of stack {stack} was changed here, and by a deployment from elsewhere: {changed}",
        hint=f"`pulumi config refresh --stack {stack} --force` takes the deployed one, then make your change again",
    )


def difference(here: Shape, there: Shape) -> str:
    """The keys in which two shapes differ, with both values."""
    ours, theirs = here.to_config(), there.to_config()
    keys = [key for key in {**theirs, **ours} if ours.get(key) != theirs.get(key)]
    return "; ".join(f"{NAMESPACE}:{key} {_said(ours.get(key))} here, {_said(theirs.get(key))} there" for key in keys)


def mark(shape: Shape) -> str:
    """What stands for a shape in the note of what a clone has seen."""
    return hashlib.sha256(json.dumps(shape.to_config(), sort_keys=True).encode()).hexdigest()


def _judged(stack: str, here: Shape, there: Shape | None, *, bare: bool) -> Verdict:
    return judge(here, there, bare=bare, seen=_seen(stack), known_past=lambda: deployed.was(stack, here))


def _seen(stack: str) -> str | None:
    try:
        return seen_file(stack).read_text().strip()
    except FileNotFoundError:
        return None


def seen_file(stack: str) -> Path:
    """Where this clone keeps the mark of the deployment of `stack` that it saw last."""
    clone = hashlib.sha256(str(project.find()).encode()).hexdigest()[:16]
    return places.stack(stack) / "seen" / clone


def _said(value: object) -> str:
    return "default" if value is None else json.dumps(value).replace('"', "")
