"""`python -m skyrig.storage.local VERB`: a JSON object on stdin, one JSON object on stdout.

Errors are one object too, `{"error": MESSAGE}`, with exit code 1. Every object names the server's `folder`; keys come
in as `access_key_id` and `secret_access_key`, and are never said back.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from skyrig.errors import SkyrigError
from skyrig.storage.local import buckets, server
from skyrig.storage.local.server import Keys

_VERBS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "start": lambda data: server.start(Path(data["folder"]), _keys(data)),
    "check": lambda data: server.check(Path(data["folder"])),
    "stop": lambda data: server.stop(Path(data["folder"])),
    "forget": lambda data: buckets.forget(Path(data["folder"])),
    "make": lambda data: buckets.make(Path(data["folder"]), data["bucket"], _keys(data)),
    "look": lambda data: buckets.look(Path(data["folder"]), data["bucket"]),
    "remove": lambda data: buckets.remove(Path(data["folder"]), data["bucket"], contents=data.get("contents", False)),
}


def _keys(data: dict[str, Any]) -> Keys:
    return Keys(data["access_key_id"], data["secret_access_key"])


def main(arguments: list[str]) -> int:
    """Run one verb; the process's exit code."""
    if len(arguments) != 1 or arguments[0] not in _VERBS:
        print(json.dumps({"error": f"one verb is wanted: {', '.join(_VERBS)}"}))
        return 2
    try:
        answer = _VERBS[arguments[0]](json.load(sys.stdin))
    except (SkyrigError, OSError) as error:
        print(json.dumps({"error": str(error)}))
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
