"""Programs of the system that tests and benches use, HAProxy among them: installed where root and apt-get are there.

Elsewhere, or where it fails, rig goes on: what needs them is skipped, and says so.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from errand import Errands, tail, why
from folders import KEPT
from speech import say

PACKAGES = {
    "haproxy": "haproxy",
    "wrk": "wrk",
    "chromium": "chromium",
    "postgres": "postgresql",
    "slurmctld": "slurm-wlm",
    "munged": "munge",
    "etcd": "etcd-server",
}
"""Program and the Debian package that it comes with."""

_ALSO = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", *map(str, Path("/usr/lib/postgresql").glob("*/bin")))

INSTALL = """
export DEBIAN_FRONTEND=noninteractive
get='apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2'
timeout 120 $get update || echo "the lists of packages may be old"
for package; do
    timeout 600 $get install -y --no-install-recommends "$package" || failed="${failed-} $package"
    case $package in # nobody has asked for Debian's own
        haproxy | postgresql | munge | etcd-server) service "${package%-server}" stop || true ;;
    esac
done
[ -z "${failed-}" ] || { echo "error: not installed:$failed"; exit 1; }
"""


def missing(path: str) -> list[str]:
    """Those of PACKAGES that are not on `path`, nor where systems put such programs."""
    places = os.pathsep.join((path, *_ALSO))
    return [name for name in PACKAGES if shutil.which(name, path=places) is None]


def can_install(path: str, user: int) -> bool:
    """Whether the user with this id may install packages here, and by apt-get."""
    return user == 0 and shutil.which("apt-get", path=path) is not None


class Installer:
    """Has the programs installed; `now` is what it is doing."""

    def __init__(self, errands: Errands, path: str, user: int) -> None:
        self._errands = errands
        self._path = path
        self._user = user
        self._log = KEPT / "log" / "system"
        self.now = ""

    def plan(self) -> str:
        """What will be done, for the user; empty where nothing is."""
        if not (wanted := missing(self._path)) or not can_install(self._path, self._user):
            return ""
        return f"{', '.join(wanted)} of this system's packages, by apt-get"

    def state(self) -> str:
        """What goes on, for a progress line; empty before and after."""
        return f"{self.now}; {tail(self._log, 60)}" if self.now else ""

    def get(self) -> None:
        """Install what is missing, if that can be done; one line where it cannot."""
        wanted = missing(self._path)
        if wanted and can_install(self._path, self._user):
            self.now = f"installing {', '.join(wanted)}"
            self._install(wanted)
            self.now = ""
        if left := missing(self._path):
            reason = f": {why(self._log)}" if self._log.exists() else ""
            say(f"{', '.join(left)} cannot be had here{reason}; what needs that is skipped")

    def _install(self, wanted: Sequence[str]) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        packages = [PACKAGES[name] for name in wanted]
        sh = shutil.which("sh", path=self._path) or "/bin/sh"
        environment = os.environ | {"PATH": os.pathsep.join((self._path, "/usr/sbin", "/sbin"))}
        self._errands.run([sh, "-c", INSTALL, "sh", *packages], self._log, environment=environment)
