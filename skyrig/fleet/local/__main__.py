"""`python -m skyrig.fleet.local VERB`: a JSON object on stdin, one JSON object on stdout.

Errors are one object too, `{"error": MESSAGE}`, with exit code 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

from skyrig.fleet.local import images, node, partition, ports, power, preemption, probe, switch
from skyrig.fleet.local.layout import HostKey, NodeRequest
from skyrig.fleet.local.verbs import Verbs, answer

_VERBS: Verbs = {
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
    "cut": lambda data: partition.cut(Path(data["folder"]), data.get("until", 0.0)),
    "mend": lambda data: partition.mend(Path(data["folder"]), data.get("id", ""), data.get("at", 0.0)),
    "image-make": lambda data: images.make(Path(data["source"]), Path(data["target"])),
    "image-check": lambda data: images.check(Path(data["target"])),
    "image-remove": lambda data: images.remove(Path(data["target"])),
    "probe": lambda data: probe.level(Path(data["folder"])),
}


if __name__ == "__main__":
    sys.exit(answer(_VERBS, sys.argv[1:]))
