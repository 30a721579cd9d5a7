"""Where the verbs of managed jobs are done: here, or on the controller's own node."""

from __future__ import annotations

from typing import Any


def verbs() -> Any:
    """The module with their functions, as the user's settings ask for it: skyrig.managing, or skyrig.afar, which has
    the same ones. BadInput for settings that no Skyrig knows."""
    from skyrig.control import settings

    if settings.read().controller == settings.STACK:
        from skyrig import afar

        return afar
    from skyrig import managing

    return managing
