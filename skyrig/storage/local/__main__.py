"""`python -m skyrig.storage.local VERB`: a JSON object on stdin, one JSON object on stdout.

Errors are one object too, `{"error": MESSAGE}`, with exit code 1. Every object names the server's `folder`; keys come
in as `access_key_id` and `secret_access_key`, and are never said back.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from skyrig.fleet.local.verbs import Verbs, answer
from skyrig.storage.local import buckets, server
from skyrig.storage.local.server import Keys

_VERBS: Verbs = {
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


if __name__ == "__main__":
    sys.exit(answer(_VERBS, sys.argv[1:]))
