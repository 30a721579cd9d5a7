"""What can be done with a stack as a whole: find it, bring it up, look, refresh it, take it away."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from skyrig.cluster.shape import NAMESPACE, Shape, stack_name
from skyrig.stack import backend, config, described, engine, lock, project
from skyrig.stack.progress import Changes, Progress

DEFAULT = "dev"
"""The stack that is used where none is named or selected."""

Notify = Callable[[str], None]
"""Takes one line of progress for the reader."""


def selected() -> str:
    """The selected stack, without asking the engine: PULUMI_STACK, else the engine's own note, else `dev`."""
    given = os.environ.get("PULUMI_STACK")
    if given:
        return stack_name(given.rpartition("/")[2])
    try:
        note = json.loads(project.selection_file(backend.engine_home()).read_bytes())
        name = note.get("stacks", {}).get(backend.url(), "") or note.get("stack", "")
    except (OSError, ValueError, AttributeError):
        name = ""
    return str(name).rpartition("/")[2] or DEFAULT


def known() -> list[str]:
    """Names of all stacks of this project on the backend, sorted; cheap on a file backend."""
    base = backend.folder()
    if base is not None:
        return sorted(file.stem for file in (base / "stacks" / NAMESPACE).glob("*.json"))
    listed = json.loads(engine.query(["stack", "ls", "--json"]))
    return sorted(str(entry["name"]).rpartition("/")[2] for entry in listed)


def exists(stack: str) -> bool:
    """Whether the backend has this stack, empty or not."""
    return stack in known()


def up(stack: str, shape: Shape | None, notify: Notify, *, refresh: bool = True) -> Changes:
    """Make the stack what its config says, after writing `shape` (if given) there, so that plain `pulumi up` means
    the same afterwards. Makes the stack if it is not there. With `refresh`, nodes that are gone come back."""
    stack_name(stack)
    with lock.held(stack, notify):
        _ready(stack, notify)
        if shape is not None:
            config.write_shape(stack, shape)
        config.read_shape(stack)
        _resolve_pending(stack, notify)
        progress = Progress(notify)
        flags = ["--skip-preview", *(["--refresh"] if refresh and not _is_new(stack) else [])]
        engine.change(["up", *flags], stack=stack, on_event=progress)
    return progress.changes


def preview(stack: str) -> Changes:
    """What `up` would change. Reads only."""
    with lock.held(stack, lambda line: None):
        document = json.loads(engine.query(["preview", "--json"], stack=stack))
    counts = document.get("changeSummary", {})
    return Changes(*(int(counts.get(name, 0)) for name in ("create", "update", "replace", "delete")))


def refresh(stack: str, notify: Notify) -> Changes:
    """Ask the cloud what is still there; what is gone leaves the state."""
    with lock.held(stack, notify):
        _ready(stack, notify)
        progress = Progress(notify)
        engine.change(["refresh", "--skip-preview"], stack=stack, on_event=progress)
    return progress.changes


def down(stack: str, notify: Notify) -> Changes:
    """Destroy everything the stack has. The stack itself, its config and its job records stay."""
    with lock.held(stack, notify):
        _ready(stack, notify)
        _resolve_pending(stack, notify)
        progress = Progress(notify)
        engine.change(["destroy", "--skip-preview"], stack=stack, on_event=progress)
        described.forget(stack)
    return progress.changes


def _ready(stack: str, notify: Notify) -> None:
    """Make the stack, or, where a clone lacks the config of one that exists, get that back from its last deployment
    (an up with the defaults would take nodes away)."""
    if not exists(stack):
        config.fit_salt(stack, None)
        engine.query(["stack", "init", "--no-select", stack])
    elif not project.config_file(stack).exists():
        notify(f"the config of stack {stack} is not here: taking it from its last deployment")
        project.config_file(stack).parent.mkdir(parents=True, exist_ok=True)
        engine.query(["config", "refresh", "--force"], stack=stack)
    elif (salt := backend.salt(stack)) is not None:
        config.fit_salt(stack, salt)


def _resolve_pending(stack: str, notify: Notify) -> None:
    """Clear what a killed engine left as being created: making a node again under its own id adopts or replaces it."""
    state = backend.state(stack) or {}
    if state.get("pending_operations"):
        notify("an earlier run was cut off: looking at what it left")
        flags = ["--skip-preview", "--clear-pending-creates"]
        engine.change(["refresh", *flags], stack=stack, on_event=Progress(notify))


def _is_new(stack: str) -> bool:
    state = backend.state(stack)
    return state is not None and not state.get("resources")
