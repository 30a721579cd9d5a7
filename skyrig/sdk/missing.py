"""What SkyPilot's API has and this version of Skyrig does not: named, and refused before anything is made."""

from __future__ import annotations

from skyrig.errors import NotYet


def not_yet(what: str, *, hint: str | None = None) -> NotYet:
    """The error for `what`, a function or an argument."""
    return NotYet(f"{what}: not yet in this version of Skyrig", hint=hint)


def refuse(function: str, **arguments: object) -> None:
    """NotYet for the first of `arguments` that asks for something: is neither None nor False."""
    for name, value in arguments.items():
        if value is not None and value is not False:
            raise not_yet(f"{function}({name}=...)")
