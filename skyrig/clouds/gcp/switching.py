"""Machines of one zone switched on and off."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from skyrig.clouds.gcp.door import Described, Door
from skyrig.errors import SkyrigError

LIMIT_S = 900.0
"""Seconds that starting or stopping may take."""


class Zone:
    """The machines of one zone of a project."""

    def __init__(self, project: str, zone: str) -> None:
        self._door, self._zone = Door(project), f"zones/{zone}"

    def look(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """`status` of each machine as the API calls it and when it was last `started`: "" where it has run since it was
        made. A machine that is gone has the status "GONE". One call looks at 500 of them."""
        asked = {
            "fields": "items(name,status,lastStartTimestamp,lastStopTimestamp),nextPageToken",
            "filter": f"name eq {os.path.commonprefix(list(names))}.*",  # noqa: RUF071  of letters is meant
            "maxResults": "500",
        }
        found = {each["name"]: each for each in self._door.listed(f"{self._zone}/instances", query=asked)}
        return {name: _said(found.get(name, {})) for name in names}

    def switch(self, names: Sequence[str], verb: str) -> None:
        """`start` or `stop` these machines, all at once, and wait until that is done. What is on local disks of a
        stopped machine is discarded: it cannot be kept on machines with accelerators."""
        asked = {"discardLocalSsd": "true"} if verb == "stop" else {}
        begun, failed = {}, {}
        for name in names:
            try:
                begun[name] = self._door.call("POST", f"{self._zone}/instances/{name}/{verb}", asked)["name"]
            except SkyrigError as error:
                failed[name] = str(error)
        until = time.monotonic() + LIMIT_S
        for name, operation in begun.items():
            said = self._door.ended(self._zone, operation, until)
            if said:
                failed[name] = said
        if failed:
            told = "; ".join(f"{name}: {why}" for name, why in failed.items())
            raise SkyrigError(f"{verb} failed: {told}", hint="run the same command again: what is done stays done")


def _said(machine: Described | Mapping[str, str]) -> dict[str, str]:
    """A machine that never stopped has run since it was made: nobody has to ask when that was."""
    restarted = machine.get("lastStopTimestamp") and machine.get("lastStartTimestamp")
    return {"status": machine.get("status", "GONE"), "started": restarted or ""}
