"""moto's server, with what the bridge adds to it (SKYRIG_ECHO is the folder of its programs; "": there is none), and
with what EC2 does beyond both: whoever ends an instance that has ended is told so, and gets no error."""

import copy
import os
import sys
from typing import Any

if FOLDER := os.environ.get("SKYRIG_ECHO", ""):
    sys.path.insert(0, FOLDER)
    import bridge_moto  # type: ignore[import-not-found]  # noqa: F401 its import is what it does
from moto.ec2.models.instances import Instance
from moto.server import main

terminate = Instance.terminate


def end(self: Any) -> Any:
    """End an instance, once."""
    return copy.copy(self._state) if self._state.name == "terminated" else terminate(self)


Instance.terminate = end  # type: ignore[method-assign]
main()
