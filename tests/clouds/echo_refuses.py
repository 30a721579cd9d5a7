"""Places that refuse machines: for echoes of clouds. SKYRIG_ECHO_REFUSES names a file of JSON, read anew each time:
what is said by zone, region, or cloud to whoever wants the machine of the node n1. The one of n0 is made, so that there
is something to remove."""

import json
import os
from pathlib import Path

FILE = os.environ.get("SKYRIG_ECHO_REFUSES", "")


def check(name: str, *places: str) -> None:
    """Raise what the first of the places says to a machine for the resource `name`, if one of them refuses."""
    if not FILE or "-n1-" not in f"{name}-":
        return
    refuses = json.loads(Path(FILE).read_text())
    for place in places:
        if place in refuses:
            raise RuntimeError(refuses[place])
