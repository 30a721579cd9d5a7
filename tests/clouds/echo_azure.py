"""The echo plugin, but for one thing: Azure gives the identities of a machine back as a map where a list was given, and
the SDK stops on a list. SKYRIG_ECHO is the folder of the echo's own program."""

import os
import sys
from typing import Any

sys.path.insert(0, os.environ["SKYRIG_ECHO"])
import echo_provider as echo  # type: ignore[import-not-found]

plain = echo.Echo.wrap


def wrap(said: dict[str, Any], secret: bool) -> Any:
    """An answer as the engine gets it."""
    identity = said.get("identity")
    if isinstance(identity, dict) and isinstance(identity.get("userAssignedIdentities"), list):
        ids = {each: {"clientId": "c"} for each in identity["userAssignedIdentities"] if isinstance(each, str)}
        said = {**said, "identity": {**identity, "userAssignedIdentities": ids}}
    return plain(said, secret)


echo.Echo.wrap = staticmethod(wrap)
echo.main()
