"""The engine's event stream, condensed to what a person wants to see: one plain line per thing made or removed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from attrs import astuple, field, frozen

from skyrig.progress import Kind, Step, tell
from skyrig.stack.engine import Event

_VERBS = {
    "create": "created",
    "update": "updated",
    "create-replacement": "replaced",
    "delete": "deleted",
    "read": "read",
    "import": "imported",
}
_GOES_ON = {
    "create": "being created",
    "update": "being updated",
    "create-replacement": "being replaced",
    "delete": "being deleted",
    "delete-replaced": "the replaced one is being deleted",
    "read": "being read",
    "import": "being imported",
    "refresh": "being looked at",
}
_COUNTED = {"create": "made", "update": "changed", "replace": "replaced", "delete": "deleted"}
_QUIET_TYPES = ("pulumi:pulumi:Stack", "pulumi:providers:")


@frozen
class Changes:
    """How many resources a run made, changed, replaced and deleted (or would, for a preview)."""

    create: int = 0
    update: int = 0
    replace: int = 0
    delete: int = 0

    @property
    def any(self) -> bool:
        """Whether there is any change at all."""
        return bool(self.create or self.update or self.replace or self.delete)

    def __add__(self, more: Changes) -> Changes:
        pairs = zip(astuple(self), astuple(more), strict=True)
        return Changes(*(first + second for first, second in pairs))

    def __str__(self) -> str:
        counts = {"create": self.create, "update": self.update, "replace": self.replace, "delete": self.delete}
        return ", ".join(f"{number} {_COUNTED[op]}" for op, number in counts.items() if number) or "nothing to change"


@frozen
class Progress:
    """Consumer of one run's events: writes lines through `notify`, shows what goes on where that is seen, then holds
    what was changed."""

    notify: Callable[[str], None]
    _counts: Counter[str] = field(factory=Counter)
    _started: dict[str, float] = field(factory=dict)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if "resourcePreEvent" in event:
            self._began(event["resourcePreEvent"]["metadata"])
        elif "resOutputsEvent" in event:
            self._ended(event["resOutputsEvent"]["metadata"])
        elif "resOpFailedEvent" in event:
            self._over(event["resOpFailedEvent"]["metadata"]["urn"])
        elif "diagnosticEvent" in event:
            self._said(event["diagnosticEvent"])

    @property
    def changes(self) -> Changes:
        """What was changed so far, the stack itself, its providers and plain groupings left out."""
        counts = self._counts
        return Changes(counts["create"], counts["update"], counts["create-replacement"], counts["delete"])

    def close(self) -> None:
        """The run is over: nothing goes on any more, also what it left half-way."""
        for urn in list(self._started):
            self._over(urn)

    def _began(self, metadata: Event) -> None:
        urn, goes_on = metadata["urn"], _GOES_ON.get(str(metadata.get("op", "")))
        self._started[urn] = time.monotonic()
        if goes_on is not None and not _is_quiet(metadata):
            tell(self.notify, Step(Kind.RESOURCE, _name(urn), goes_on))

    def _over(self, urn: str) -> float:
        """No more is done about a resource; how many seconds it took."""
        tell(self.notify, Step(Kind.RESOURCE, _name(urn), ended=True))
        return time.monotonic() - self._started.pop(urn, time.monotonic())

    def _ended(self, metadata: Event) -> None:
        operation, name = str(metadata.get("op", "")), _name(metadata["urn"])
        took = self._over(metadata["urn"])
        if _is_quiet(metadata):
            return
        if operation == "refresh" and metadata.get("new") is None:
            self.notify(f"  {name} is gone")
        verb = _VERBS.get(operation, "")
        if not verb:
            return
        self._counts[operation] += 1
        self.notify(f"  {name} {verb} ({took:.1f} s)")

    def _said(self, diagnostic: Event) -> None:
        """Warnings, and what providers and program print, reach the reader; errors come with the exception."""
        if diagnostic.get("severity") in ("warning", "info", "info#err"):
            for line in str(diagnostic.get("message", "")).splitlines():
                if line.strip():
                    self.notify(f"  {line.rstrip()}")


def _is_quiet(metadata: Event) -> bool:
    """Whether an event is about the stack itself, a provider or a plain grouping."""
    what = metadata.get("new") or metadata.get("old") or {}
    return str(metadata.get("type", "")).startswith(_QUIET_TYPES) or not what.get("custom")


def _name(urn: object) -> str:
    return str(urn).rpartition("::")[2]
