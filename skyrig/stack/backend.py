"""Where the engine keeps the state of stacks: the user's own backend where they have one, else a local folder.

The file backend's layout is read here without the engine, since an engine call costs half a second: its state files
(`.pulumi/stacks/PROJECT/STACK.json`) and its locks (`.pulumi/locks/organization/PROJECT/STACK/*.json`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from skyrig import places
from skyrig.cluster.keys import NAMESPACE

_FILE = "file://"
_CLOUD = "https://api.pulumi.com"


def engine_home() -> Path:
    """The engine's own folder (PULUMI_HOME, else ~/.pulumi)."""
    given = os.environ.get("PULUMI_HOME")
    return Path(given) if given else Path.home() / ".pulumi"


def url() -> str:
    """The backend in use: PULUMI_BACKEND_URL, else the one the user is logged in to (Pulumi Cloud where there is a
    token), else our folder."""
    given = os.environ.get("PULUMI_BACKEND_URL") or _login()
    if not given and os.environ.get("PULUMI_ACCESS_TOKEN"):
        return _CLOUD
    return given or f"{_FILE}{places.backend()}"


def is_ours() -> bool:
    """Whether the backend is the default folder, because the user has none of their own."""
    return url() == f"{_FILE}{places.backend()}"


def folder() -> Path | None:
    """The `.pulumi` folder of a file backend; None for any other kind."""
    where = url()
    if not where.startswith(_FILE):
        return None
    return Path(where[len(_FILE) :].partition("?")[0]).expanduser() / ".pulumi"


def state_file(stack: str) -> Path | None:
    """The state of `stack` on a file backend (it may not exist); None for any other kind."""
    base = folder()
    return base / "stacks" / NAMESPACE / f"{stack}.json" if base else None


def state(stack: str) -> dict[str, Any] | None:
    """The last snapshot of `stack` on a file backend, secrets still encrypted; None where there is none to read."""
    file = state_file(stack)
    try:
        document = json.loads(file.read_bytes()) if file else None
    except (OSError, ValueError):
        return None
    latest = (document or {}).get("checkpoint", {}).get("latest")
    return latest if isinstance(latest, dict) else None


def has_anything(stack: str) -> bool:
    """Whether a file backend's state of `stack` holds a resource, or one that was being made."""
    latest = state(stack) or {}
    return bool(latest.get("resources") or latest.get("pending_operations"))


def salt(stack: str) -> str | None:
    """The salt that the stack's secrets were made with, on a file backend with a passphrase; None elsewhere."""
    provider = (state(stack) or {}).get("secrets_providers") or {}
    found = (provider.get("state") or {}).get("salt") if provider.get("type") == "passphrase" else None
    return str(found) if found else None


def lock_files(stack: str) -> list[Path]:
    """The engine's own locks on `stack` on a file backend, by name: `ID.json`, and `ID.json.TIME.tmp` while it is being
    written, which an engine that dies just then leaves, and the next one minds as well. `ID.json.attrs` beside one says
    nothing."""
    base = folder()
    found = sorted((base / "locks" / "organization" / NAMESPACE / stack).glob("*.json*")) if base else []
    return [file for file in found if file.suffix != ".attrs"]


def _login() -> str:
    try:
        current = json.loads((engine_home() / "credentials.json").read_bytes()).get("current", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return str(current)
