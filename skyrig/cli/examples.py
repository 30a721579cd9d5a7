"""The examples: what there is, and a copy of one to start from."""

from __future__ import annotations

import json
from pathlib import Path

from skyrig.cli import flags
from skyrig.cli.verb import Values, positional, verb


@verb(
    "examples",
    [
        positional("name", "one of them, to be copied; without it all are listed", optional=True),
        positional("folder", "a new or empty folder for the copy; default: NAME here", optional=True),
        *flags.JSON,
    ],
)
def examples(values: Values) -> None:
    """Show the examples; `examples NAME [FOLDER]` copies one into a new or empty folder."""
    from skyrig import examples as shipped
    from skyrig.cli import tables

    as_json, name, folder = flags.wants_json(values), values.text("name"), values.text("folder")
    if name is None:
        found = shipped.listed()
        if as_json:
            print(json.dumps({"examples": [each.to_json() for each in found]}, indent=2))
        else:
            rows = [[each.name, each.about, each.needs or "-", each.full or "-"] for each in found]
            tables.table(["EXAMPLE", "WHAT IT DOES", "NEEDS", "AT FULL SIZE"], rows, "no examples")
        return
    example, target = shipped.copy(name, Path(folder) if folder is not None else None)
    if as_json:
        print(json.dumps({**example.to_json(), "folder": str(target)}, indent=2))
    else:
        print(f"{example.name} is in {target}: README.md tells how it runs")
