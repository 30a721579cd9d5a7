"""What components ask of a cluster's API: `python -m skyrig.clouds.kubernetes VERB`, JSON in, JSON out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from skyrig.clouds.kubernetes import waiting
from skyrig.clouds.kubernetes.door import Door
from skyrig.errors import SkyrigError


def _wait(door: Door, asked: Mapping[str, Any]) -> dict[str, Any]:
    jobs = asked["jobs"]
    pods = waiting.wait(door, asked["namespace"], asked["cluster"], jobs, float(asked["timeout_s"]))
    return {"nodes": waiting.told(asked["cluster"], jobs, pods)}


def _look(door: Door, asked: Mapping[str, Any]) -> dict[str, Any]:
    pods = waiting.look(door, asked["namespace"], asked["cluster"], asked["jobs"])
    return {"nodes": waiting.told(asked["cluster"], asked["jobs"], pods)}


def _ended(door: Door, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {"ended": waiting.ended(door, asked["namespace"], asked["job"])}


def _gone(door: Door, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {"gone": waiting.gone(door, asked["namespace"], asked["job"], float(asked["timeout_s"]))}


VERBS: Mapping[str, Callable[[Door, Mapping[str, Any]], dict[str, Any]]] = {
    "wait": _wait,
    "look": _look,
    "ended": _ended,
    "gone": _gone,
}


def main() -> int:
    """Answer one question; 1 and `error` where that cannot be."""
    asked = json.load(sys.stdin)
    try:
        with Door(asked["context"]) as door:
            answer = VERBS[sys.argv[1]](door, asked)
    except SkyrigError as error:
        json.dump({"error": str(error)}, sys.stdout)
        return 1
    json.dump(answer, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
