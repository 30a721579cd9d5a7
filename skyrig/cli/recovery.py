"""When state or passphrase are lost: finding what was made, taking it away, adopting it."""

from __future__ import annotations

import json
import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from skyrig.cli import flags
from skyrig.cli.verb import Values, agreed, flag, notify, verb
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from skyrig.recovery.tagged import Found


@verb("adopt", [flags.CLUSTER, flag("infra", "where to look: CLOUD or CLOUD/REGION"), *flags.JSON, flags.YES])
def adopt(values: Values) -> None:
    """Make the stack of a cluster whose state or passphrase is lost anew, around what is there; without a name, show
    what there is."""
    from skyrig.cli import tables
    from skyrig.recovery import adopting

    as_json, name = flags.wants_json(values), values.text("cluster")
    if name is not None:
        adopting.adopt(name, values.text("infra"), notify, agreed(values.switch("yes")))
        return
    found = adopting.candidates(_found(values, []))
    if as_json:
        print(json.dumps({"stacks": [each.to_json() for each in found]}, indent=2))
    else:
        tables.tagged(found)


def down_by_tag(values: Values) -> None:
    """Show all that carries Skyrig's tags, and remove what has lost its state, or what was named."""
    from skyrig.cli import tables
    from skyrig.recovery import reclaiming

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
    from skyrig.recovery import tagged

    return tagged.find(values.text("infra"), names, notify)
