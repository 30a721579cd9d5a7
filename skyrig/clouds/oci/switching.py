"""Instances of one compartment and region switched on and off."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from skyrig.clouds.oci.door import Door
from skyrig.clouds.oci.machines import GONE, OFF
from skyrig.errors import SkyrigError

LIMIT_S = 1800.0
"""Seconds that starting or stopping may take: a whole machine with 2 TiB boots for a while."""

_ACTIONS = {"start": "START", "stop": "SOFTSTOP"}
_DONE = {"start": "RUNNING", "stop": "STOPPED"}


class Instances:
    """Instances, by their OCIDs. `poll_s` is the pause between two looks at one that is being switched."""

    def __init__(self, account: str, region: str, poll_s: float = 3.0) -> None:
        self._door, self._poll_s = Door(account, region), poll_s

    def look(self, ids: Sequence[str]) -> dict[str, str]:
        """State of each as the API calls it; "GONE" where it is."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            return dict(zip(ids, pool.map(self._state, ids), strict=True))

    def switch(self, ids: Sequence[str], verb: str) -> None:
        """`start` or `stop` these, all at once, and wait until that is done."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            told = list(pool.map(lambda each: self._switched(each, verb), ids))
        failed = {each: why for each, why in zip(ids, told, strict=True) if why}
        if failed:
            said = "; ".join(f"{each}: {why}" for each, why in failed.items())
            raise SkyrigError(f"{verb} failed: {said}", hint="run the same command again: what is done stays done")

    def _state(self, id_: str) -> str:
        found = self._door.there(f"/instances/{id_}")
        state = str(found["lifecycleState"]) if found is not None else "GONE"
        return "GONE" if state in GONE else state

    def _switched(self, id_: str, verb: str) -> str:
        """Switch one; what is wrong, "" where nothing is."""
        try:
            self._door.call("POST", f"/instances/{id_}", {"action": _ACTIONS[verb]})
            return self._awaited(lambda: self._state(id_), _DONE[verb])
        except SkyrigError as error:
            return str(error)

    def _awaited(self, state: Callable[[], str], wanted: str) -> str:
        until = time.monotonic() + LIMIT_S
        while (found := state()) != wanted:
            if found == "GONE" or time.monotonic() > until:
                return f"it is {found.lower()}, not {wanted.lower()}"
            time.sleep(self._poll_s)
        return ""


def is_off(state: str) -> bool:
    """Whether a state is that of an instance that is off."""
    return state in OFF
