"""When state or passphrase are lost: finding what was made, taking it away, adopting it."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from skyrig.cli.verb import Values, agreed, notify
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from skyrig.tagged import Found


def down_by_tag(values: Values) -> None:
    """Show all that carries Skyrig's tags, and remove what has lost its state, or what was named."""
    from skyrig import reclaiming
    from skyrig.cli import tables

    names = values.many("cluster")
    if names and values.switch("all"):
        raise BadInput("--all and a name say different things", hint="give one of them")
    found = _found(values, names)
    tables.tagged(found)
    going = reclaiming.chosen(found, (lambda stack: any(fnmatchcase(stack, each) for each in names)) if names else None)
    if names and not going:
        raise BadInput(f"nothing is there under the tag of {', '.join(names)}", hint="without -c all of it is shown")
    if not names and (left := [each for each in found if each.seen.left and each.state != "lost"]):
        notify(f"left alone: {', '.join(sorted({each.seen.stack for each in left}))}; -c NAME takes one of them")
    if going and not values.switch("yes") and not sys.stdin.isatty():
        told = "; ".join(map(reclaiming.question, going))
        raise BadInput(told.replace("?", ""), hint="-y agrees to that; nothing was removed")
    reclaiming.reclaim(going, notify, agreed(values.switch("yes")), force=values.switch("force"))


def _found(values: Values, names: list[str]) -> list[Found]:
    from skyrig import tagged

    return tagged.find(values.text("infra"), names, notify)
