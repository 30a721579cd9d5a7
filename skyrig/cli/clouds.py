"""Clouds: which can be used from here."""

from __future__ import annotations

import json

from skyrig.cli import flags
from skyrig.cli.verb import Values, flag, positional, verb
from skyrig.errors import BadInput


@verb(
    "check",
    [
        positional("name", "a cloud; all without it", optional=True),
        flag("task", "task file whose resources are wanted"),
        flags.NODES,
        flags.GPUS,
        *flags.RESOURCES,
        *flags.JSON,
    ],
)
def check(values: Values) -> int:
    """Show which clouds can be used, for what is wanted, and what to do about the others. Makes nothing."""
    from skyrig import checking
    from skyrig.cli import tables
    from skyrig.clouds import cloud as clouds

    as_json, file, name = flags.wants_json(values), values.text("task"), values.text("name")
    if name is not None and name not in clouds.known():
        raise BadInput(f"check {name}: no such cloud", hint="one of: " + ", ".join(clouds.known()))
    task = flags.task_of(values, file) if file is not None else flags.machines_of(values)
    found = checking.check([name] if name else clouds.known(), task, flags.nodes(values))
    if as_json:
        print(json.dumps({"clouds": [each.to_json() for each in found]}, indent=2))
    else:
        tables.checked(found)
    return 0 if name is None or found[0].usable else 3
