"""Task files themselves: what one means."""

from __future__ import annotations

import json

from skyrig.cli import flags
from skyrig.cli.verb import Values, notify, positional, verb


@verb("show", [positional("file", "task file"), *flags.LAUNCH, *flags.JSON])
def show(values: Values) -> None:
    """Show what a task file means, mends done and defaults filled in: as YAML, or as JSON in SkyPilot's form."""
    from skyrig.task import normal, writing

    as_json = flags.wants_json(values)
    found = flags.file_of(values, str(values.given["file"]))
    for where, text in found.missing:
        notify(f"{where}: {text}")
    if as_json:
        print(json.dumps(normal.of_file(found), indent=2))
    else:
        print(writing.of_file(found), end="")
