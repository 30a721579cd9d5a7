"""Programs of the local cloud that do one thing a run: a JSON object on stdin, one JSON object on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from skyrig.errors import SkyrigError

Verbs = Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]
"""What each verb makes of the object that it is given."""


def answer(verbs: Verbs, arguments: list[str]) -> int:
    """Run the one verb that `arguments` name; the process's exit code. Errors are one object too, `{"error": MESSAGE}`,
    with exit code 1."""
    if len(arguments) != 1 or arguments[0] not in verbs:
        print(json.dumps({"error": f"one verb is wanted: {', '.join(verbs)}"}))
        return 2
    try:
        said = verbs[arguments[0]](json.load(sys.stdin))
    except (SkyrigError, OSError) as error:
        print(json.dumps({"error": str(error)}))
        return 1
    print(json.dumps(said))
    return 0
