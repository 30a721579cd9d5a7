"""`python -m skyrig.fleet.local VERB`: a JSON object on stdin, one JSON object on stdout.

Errors are one object too, `{"error": MESSAGE}`, with exit code 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from skyrig.errors import SkyrigError
from skyrig.fleet.local import node, ports, power, preemption, probe, switch
from skyrig.fleet.local.layout import HostKey, NodeRequest

_VERBS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "start": lambda data: node.start(
        NodeRequest.read(data["node"]), HostKey(**data["host_key"]), data.get("power", "up")
    ),
    "check": lambda data: power.check(Path(data["folder"])),
    "halt": lambda data: power.halt(Path(data["folder"]), data["incarnation"]),
    "resume": lambda data: power.resume(Path(data["folder"]), data["incarnation"]),
    "stop": lambda data: node.stop(Path(data["folder"]), data.get("incarnation", "")),
    "network-start": lambda data: switch.start(Path(data["folder"]), data["level"]),
    "network-check": lambda data: switch.check(Path(data["folder"])),
    "network-stop": lambda data: node.stop_all(Path(data["folder"])),
    "ports-open": lambda data: ports.open_ports(
        Path(data["folder"]), data["head"], data["address"], data["ports"], data["before"]
    ),
    "ports-close": lambda data: ports.close_ports(Path(data["folder"])),
    "kill": lambda data: preemption.kill(Path(data["folder"]), data["incarnation"], data["at"]),
    "probe": lambda data: probe.level(Path(data["folder"])),
}


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
