"""The engine's event stream, condensed to what a person wants to see: one plain line per thing made or removed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from attrs import field, frozen

from skyrig.stack.engine import Event

_VERBS = {
    "create": "created",
    "update": "updated",
    "create-replacement": "replaced",
    "delete": "deleted",
    "read": "read",
    "import": "imported",
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

    def __str__(self) -> str:
        counts = {"create": self.create, "update": self.update, "replace": self.replace, "delete": self.delete}
        return ", ".join(f"{number} {_COUNTED[op]}" for op, number in counts.items() if number) or "nothing to change"


@frozen
class Progress:
    """Consumer of one run's events: writes lines through `notify`, then holds what was changed."""

    notify: Callable[[str], None]
    _counts: Counter[str] = field(factory=Counter)
    _started: dict[str, float] = field(factory=dict)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if "resourcePreEvent" in event:
            self._started[event["resourcePreEvent"]["metadata"]["urn"]] = time.monotonic()
        elif "resOutputsEvent" in event:
            self._ended(event["resOutputsEvent"]["metadata"])
        elif "diagnosticEvent" in event:
            self._said(event["diagnosticEvent"])

    @property
    def changes(self) -> Changes:
        """What was changed so far, the stack itself, its providers and plain groupings left out."""
        counts = self._counts
        return Changes(counts["create"], counts["update"], counts["create-replacement"], counts["delete"])

    def _ended(self, metadata: Event) -> None:
        kind, operation = str(metadata.get("type", "")), str(metadata.get("op", ""))
        what = metadata.get("new") or metadata.get("old") or {}
        if kind.startswith(_QUIET_TYPES) or not what.get("custom"):
            return
        name = str(metadata["urn"]).rpartition("::")[2]
        if operation == "refresh" and metadata.get("new") is None:
            self.notify(f"  {name} is gone")
        verb = _VERBS.get(operation, "")
        if not verb:
            return
        self._counts[operation] += 1
        took = time.monotonic() - self._started.get(metadata["urn"], time.monotonic())
        self.notify(f"  {name} {verb} ({took:.1f} s)")

    def _said(self, diagnostic: Event) -> None:
        """Warnings, and what providers and program print, reach the reader; errors come with the exception."""
        if diagnostic.get("severity") in ("warning", "info", "info#err"):
            for line in str(diagnostic.get("message", "")).splitlines():
                if line.strip():
                    self.notify(f"  {line.rstrip()}")
