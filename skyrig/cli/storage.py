"""Buckets: those that were made here, copies, deletion."""

from __future__ import annotations

import json

from skyrig.cli import flags
from skyrig.cli.verb import Values, agreed, flag, notify, positional, verb
from skyrig.errors import BadInput


@verb("ls", [*flags.JSON])
def ls(values: Values) -> None:
    """Show the buckets that were made for clusters, and the stack that keeps each."""
    from skyrig import storing
    from skyrig.cli import tables

    as_json = flags.wants_json(values)
    found = storing.buckets()
    if as_json:
        print(json.dumps({"buckets": [bucket.to_json() for bucket in found]}, indent=2))
    else:
        tables.buckets(found)


@verb("cp", [positional("source", "NAME:KEY, a url or a local path"), positional("target", "the same")])
def cp(values: Values) -> None:
    """Copy a file or folder into a bucket, out of one, or from one into another."""
    from skyrig import storing

    storing.copy(str(values.given["source"]), str(values.given["target"]), notify)


@verb(
    "delete",
    [
        positional("bucket", "name of a bucket", optional=True),
        flag("name n", "the same; may be repeated", kind=list),
        flag("all a", "every bucket that was made here", kind=bool),
        flags.YES,
    ],
)
def delete(values: Values) -> None:
    """Delete buckets with all that is in them. Asks on a terminal; -y answers yes."""
    from skyrig import storing

    first = values.text("bucket")
    names = [*([first] if first else []), *(str(name) for name in values.given["name"] or ())]
    if bool(names) == values.switch("all"):
        raise BadInput("storage.delete: which bucket?", hint="its NAME, or --all")
    storing.delete(names or [bucket.name for bucket in storing.buckets()], agreed(values.switch("yes")), notify)
