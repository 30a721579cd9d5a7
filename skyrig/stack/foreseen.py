"""The changes of an up as values: out of the engine's preview, before anything is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import frozen

from skyrig.cluster.shape import Shape
from skyrig.stack import risks
from skyrig.stack.progress import Changes

ENGINE, OFFLINE = "engine", "offline"
"""Where a forecast is from."""

QUIET = ("pulumi:pulumi:Stack", "pulumi:providers:")
"""What is no resource of anybody's: types that begin so."""

_LOCAL_NODE = "pulumi-python:dynamic/skyrig:LocalNode"
_DONE = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted"}
_COUNTED = ("create", "update", "replace", "delete")


@frozen
class Change:
    """One resource that would be created, updated, replaced or deleted. `kind` is its type, `because` names the
    properties that are the reason, and `digest` stands for all its inputs as a preview knows them ("": not known)."""

    does: str
    kind: str
    name: str
    because: tuple[str, ...] = ()
    digest: str = ""

    @property
    def is_node(self) -> bool:
        """Whether the resource is a machine of the cluster."""
        return self.kind in risks.NODES or self.kind == _LOCAL_NODE


@frozen
class Forecast:
    """All changes of one up, in the engine's order. `source` is ENGINE or OFFLINE; `note` says what is not known of
    them, "" where all is."""

    changes: tuple[Change, ...]
    source: str
    note: str = ""

    @property
    def counts(self) -> Changes:
        """How many there are of each."""
        does = [change.does for change in self.changes]
        return Changes(*(does.count(name) for name in _COUNTED))


@frozen
class PlannedUp:
    """An up that was planned and agreed to: the shape of the stack `before` (None: there was no stack) and after, all
    changes, and the price in USD an hour (None: not known)."""

    stack: str
    before: Shape | None
    shape: Shape
    forecast: Forecast
    hourly: float | None


def differences(planned: Forecast, now: Iterable[Change]) -> list[str]:
    """In what the changes `now` are others than those that were planned; empty where they are the same. What was
    counted offline has no inputs to compare."""
    whole = planned.source == ENGINE
    seen, wanted = ({_mark(each, whole): each for each in some} for some in (now, planned.changes))
    said = [
        f"{each.name} would now be {_DONE[each.does]} otherwise" for mark, each in seen.items() if mark not in wanted
    ]
    return said + [f"{each.name} would not be {_DONE[each.does]}" for mark, each in wanted.items() if mark not in seen]


def _mark(change: Change, whole: bool) -> tuple[str, ...]:
    does = (change.does, change.kind, change.name)
    return (*does, change.digest, *change.because) if whole else does


def changes_in(preview: Mapping[str, Any]) -> Iterator[Change]:
    """The changes in the document of `pulumi preview --json`: of real resources, not of groupings."""
    for step in preview.get("steps") or ():
        state = step.get("newState") or step.get("oldState") or {}
        _, _, rest = str(step["urn"]).rpartition("::")[0].rpartition("::")
        kind, name = rest.rpartition("$")[2], str(step["urn"]).rpartition("::")[2]
        if step["op"] not in _COUNTED or not state.get("custom") or kind.startswith(QUIET):
            continue
        because = step.get("replaceReasons") or sorted(step.get("detailedDiff") or step.get("diffReasons") or ())
        inputs = "" if step["op"] == "delete" else _digest((step.get("newState") or {}).get("inputs"))
        yield Change(step["op"], kind, name, tuple(because), inputs)


def _digest(inputs: object) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
