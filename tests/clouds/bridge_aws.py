"""The bridge to the Terraform provider, with a refresh as the real plugin has it: whatever properties the state has are
what is read on from. The bridge itself takes a resource whose state it has not written for one that is imported."""

import os
import sys
from typing import Any

sys.path.insert(0, os.environ["SKYRIG_ECHO"])
import aws_provider as bridge  # type: ignore[import-not-found]

read = bridge.Provider.Read


def look(self: Any, request: Any, context: Any) -> Any:
    """A refresh of a resource with properties; an import has none."""
    known = request.properties.fields
    if known and bridge.META not in known:
        known[bridge.META].string_value = "{}"
    return read(self, request, context)


bridge.Provider.Read = look
bridge.main()
