"""The Kubernetes that tests run against: built once into the user's cache, where Go is there.

What is built, and where it lies, tests/clouds/kubernetes/lab/lab_programs.py knows; it says in one line what it lacks.
"""

from pathlib import Path

import engine
from errand import Errands, tail, why
from folders import KEPT, PYTHON, ROOT
from speech import say

LACKING = 3
"""Its exit code where something is not on this machine."""

PROGRAM = ROOT / "tests" / "clouds" / "kubernetes" / "lab" / "lab_programs.py"


class Builder:
    """Has it built; `now` is what it is doing."""

    def __init__(self, errands: Errands, *, python: Path = PYTHON, program: Path = PROGRAM) -> None:
        self._errands = errands
        self._command = [str(python), str(program)]
        self._log = KEPT / "log" / "kubernetes"
        self.now = ""

    def state(self) -> str:
        """What goes on, for a progress line; empty before and after."""
        return engine.told(self.now, self._log)

    def get(self) -> None:
        """Build what is not built yet, minutes at first; one line where that cannot be: its tests are skipped."""
        self.now = "building Kubernetes for its tests"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        code = self._errands.run(self._command, self._log, environment=engine.go_environment())
        self.now = ""
        if code == LACKING:
            say(f"{tail(self._log)}; what needs it is skipped")
        elif code:
            say(f"no Kubernetes to test against: {why(self._log)}; what needs it is skipped")
