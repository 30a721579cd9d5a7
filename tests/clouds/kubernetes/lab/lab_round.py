"""A controller of the lab: looks at all there is, again and again, and brings each thing one step on."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from typing import Any

from lab_client import Client, Object, Refused

_POLL_S = 0.2


class Round:
    """Calls `look` until it is closed; `wrong` is what it last failed with."""

    def __init__(self, name: str, look: Callable[[Client], None], client: Client) -> None:
        self.wrong: BaseException | None = None
        self._look = look
        self._client = client
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it, and raise what it failed with."""
        self._over.set()
        self._thread.join(10)
        if self.wrong is not None:
            raise self.wrong

    def _go(self) -> None:
        while not self._over.wait(_POLL_S):
            try:
                self._look(self._client)
            except Refused as refused:
                if refused.code not in (404, 409):  # gone or changed meanwhile: the next look sees it
                    self.wrong = refused
            except OSError:
                if self._over.is_set():
                    return
                raise


def now() -> str:
    """This moment, as the API writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: str, reason: str, message: str) -> Object:
    """A condition that has just come to be so."""
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now()}


def set_condition(client: Client, thing: Object, said: Object, **more: Any) -> None:
    """Write a condition of a thing, in place of the one of the same type, and other fields of its status."""
    kept = [each for each in thing.get("status", {}).get("conditions", []) if each["type"] != said["type"]]
    client.patch(thing, {"status": {"conditions": [*kept, said], **more}}, "status")
    thing.setdefault("status", {}).update(conditions=[*kept, said], **more)


def is_true(thing: Object, kind: str) -> bool:
    """Whether a thing's condition of this type is True."""
    return any(
        each["type"] == kind and each["status"] == "True" for each in thing.get("status", {}).get("conditions", [])
    )


def ended(thing: Object) -> str | None:
    """The condition that a Job or JobSet ended with; None while it has not."""
    return next((kind for kind in ("Complete", "Completed", "Failed") if is_true(thing, kind)), None)


def owned_by(thing: Object, owner: Object) -> bool:
    """Whether a thing belongs to another one."""
    return any(each["uid"] == owner["metadata"]["uid"] for each in thing["metadata"].get("ownerReferences", []))
