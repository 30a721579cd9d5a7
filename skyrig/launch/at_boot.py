"""What a head runs when it boots, so that what its cluster was set to do goes on with no client: the keeper where idle
time or a time to live is counted, and the steward where a service is applied. Both are asked for together: each of them
starts what it needs."""

from __future__ import annotations

from pathlib import Path

_NAME = "at-boot"
_SERVICE = "steward/state.json"
_TEXT = (
    '#!/bin/sh\np="$HOME/.skyrig/runtime/bin/python"\n'
    f'[ -e "$HOME/.skyrig/{_SERVICE}" ] && "$p" -I -m skyrig.serve.steward ensure\n'
    'exec "$p" -I -m skyrig.launch.keeper ensure\n'
)


def want(home: Path) -> None:
    """Have it run at each boot (OSError where the disk takes nothing). `home` is ~/.skyrig."""
    path = home / _NAME
    if not path.exists() or path.read_text() != _TEXT:
        path.write_text(_TEXT)


def release(home: Path) -> None:
    """The keeper needs it no more; where a service is applied it stays."""
    if not (home / _SERVICE).exists():
        (home / _NAME).unlink(missing_ok=True)
