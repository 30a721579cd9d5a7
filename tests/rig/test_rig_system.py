"""Programs of the system: installed where that can be, quietly passed over where not, and rig goes on either way."""

from __future__ import annotations

from pathlib import Path

import pytest
from rig_clone import Clone, script

GET = """
import errand, os, system
system._ALSO = ()
installer = system.Installer(errand.Errands(), os.environ["PATH"], {user})
print(installer.plan())
installer.get()
"""
APT = """#!/bin/bash
echo "$*" >>{calls}
case $* in
    *update*) exit 1 ;;
    *" wrk") echo "E: Unable to locate package wrk, error"; exit 100 ;;
    *install*) for name; do :; done; name=${{name%ql}}; name=${{name/%rm-wlm/rmctld}}; name=${{name/%munge/munged}}
        name=${{name/%etcd-server/etcd}}
        printf '#!/bin/sh\\n' >{bin}/$name; chmod +x {bin}/$name ;;
esac
"""


def said(clone: Clone, capfd: pytest.CaptureFixture[str], user: int = 0) -> tuple[str, str]:
    """What is planned, and what is told on stderr."""
    plan = clone.inside(GET.format(user=user)).strip()
    return plan, capfd.readouterr().err.strip()


def test_what_is_missing_is_installed_and_what_cannot_be_had_is_told(
    clone: Clone, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    calls = tmp_path / "calls"
    script(clone.bin / "timeout", '#!/bin/sh\nshift\nexec "$@"\n')
    script(clone.bin / "service", f'#!/bin/sh\necho "service $*" >>{calls}\n')
    script(clone.bin / "apt-get", APT.format(calls=calls, bin=clone.bin))
    plan, told = said(clone, capfd)
    assert plan == "haproxy, wrk, chromium, postgres, slurmctld, munged, etcd of this system's packages, by apt-get"
    assert "\n" not in told and told.startswith("rig: wrk cannot be had here: error: not installed: wrk")
    asked = [line.split() for line in calls.read_text().splitlines()]
    names = ["update", "haproxy", "stop", "wrk", "chromium", "postgresql", "stop", "slurm-wlm", "munge", "stop"]
    names += ["etcd-server", "stop"]
    assert [words[-1] for words in asked] == names
    assert all("DPkg::Lock::Timeout=120" in words for words in asked if words[0] != "service")


def test_nothing_is_done_or_said_where_all_is_there(clone: Clone, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("haproxy", "wrk", "chromium", "postgres", "slurmctld", "munged", "etcd"):
        script(clone.bin / name, "#!/bin/sh\n")
    script(clone.bin / "apt-get", "#!/bin/sh\nexit 1\n")
    assert said(clone, capfd) == ("", "")


@pytest.mark.parametrize("user", [0, 1000])
def test_without_root_or_apt_get_nothing_is_touched(
    clone: Clone, user: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if user:
        script(clone.bin / "apt-get", f"#!/bin/sh\ntouch {tmp_path}/touched\n")
    line = (
        "rig: haproxy, wrk, chromium, postgres, slurmctld, munged, etcd cannot be had here; what needs that is skipped"
    )
    assert said(clone, capfd, user) == ("", line)
    assert not (tmp_path / "touched").exists()
