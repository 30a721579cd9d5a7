"""The node's own python environment, its shims, and the environment of every session on it.

The python environment is a virtual environment made by hand (a millisecond instead of seconds): the project's
packages are visible in it behind its own, found at every start of the interpreter, so that torch is inherited also
when it is installed later. `pip` leaves alone what lies outside its environment; `uv` is led by a shim, since with
`--system` it would pass over virtual environments and write into the host's.
"""

from __future__ import annotations

import os
import shlex
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skyrig.fleet.local import declared
from skyrig.fleet.local.layout import NodeFolder, NodeRequest

_PASSED_ON = (
    "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "TZ", "LANG",
)  # fmt: skip
_PASSED_ON_PREFIXES = ("SSL_CERT_", "PIP_", "UV_", "LC_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/opt/homebrew/bin")
_NEVER_PASSED_ON = (
    "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_PYTHON", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV", "PIP_CACHE_DIR",
    "PIP_LOG", "UV_CACHE_DIR", "UV_TOOL_DIR", "UV_TOOL_BIN_DIR", "UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON",
    "UV_TARGET",
)  # fmt: skip
"""What would lead an installer past the node's environment, or make it write outside the node."""


_UV_SHIM = """\
#!/bin/sh
# The node's environment is what this machine calls the system's python.
for word in "$@"; do
  shift
  case "$word" in --system) continue ;; esac
  set -- "$@" "$word"
done
unset UV_SYSTEM_PYTHON
exec {uv} "$@"
"""

_SSH_SHIM = """\
#!/bin/sh
# OpenSSH asks the password database for the home folder; a node's is $HOME.
if [ -f "$HOME/.ssh/config" ]; then
  exec {program} -F "$HOME/.ssh/config" "$@"
fi
exec {program} "$@"
"""

_SHUTDOWN_SHIM = """\
#!/bin/sh
# Switches this node off, as on a machine: what runs is told to end, the disk stays.
case "${1:-now} ${2:-}" in
  "now " | "-h now" | "-P now") exec kill -TERM "${SKYRIG_NODE_SERVER:?is not set: this is no node}" ;;
esac
echo 'shutdown: a local node knows only "shutdown now"' >&2
exit 1
"""

_PROFILE = """\
# A login shell's /etc/profile sets PATH anew: put the node's own programs back in front.
PATH={front}:$PATH
export PATH
if [ -n "${{BASH_VERSION:-}}" ] && [ -f "$HOME/.bashrc" ]; then . "$HOME/.bashrc"; fi
"""


def project_prefix() -> Path:
    """The virtual environment that Skyrig itself runs in."""
    return Path(sys.prefix)


def make_python(folder: NodeFolder) -> None:
    """Make the node's environment at `folder.environment`, with `python`, `python3` and `pip` in its bin; what an image
    has put there stays."""
    root = folder.environment
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    site = root / "lib" / version / "site-packages"
    site.mkdir(parents=True, exist_ok=True)
    binaries = root / "bin"
    binaries.mkdir(exist_ok=True)
    for name in ("python", "python3", version):
        (binaries / name).unlink(missing_ok=True)
        (binaries / name).symlink_to(base)
    full = ".".join(str(part) for part in sys.version_info[:3])
    (root / "pyvenv.cfg").write_text(
        f"home = {base.parent}\ninclude-system-site-packages = false\nversion = {full}\nexecutable = {base}\n"
    )
    inherited = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    lines = "".join(f"import site; site.addsitedir({path!r})\n" for path in inherited)
    (site / "zz-inherited.pth").write_text(lines)
    for name in ("pip", "pip3"):
        (binaries / name).unlink(missing_ok=True)  # an installed pip has put a script of its own there
        _script(binaries / name, f'#!/bin/sh\nexec {shlex.quote(str(binaries / "python"))} -m pip "$@"\n')


def make_shims(folder: NodeFolder, path: str, accelerators: Mapping[str, Any]) -> None:
    """Make the shims of those programs that `path` holds, `shutdown`, and `nvidia-smi` where `accelerators` are only
    declared."""
    folder.shims.mkdir()
    nvidia_smi = declared.nvidia_smi(accelerators, folder.hidden)
    if nvidia_smi is not None:
        _script(folder.shims / "nvidia-smi", nvidia_smi)
    _script(folder.shims / "shutdown", _SHUTDOWN_SHIM)
    for name, text in (("uv", _UV_SHIM), ("ssh", _SSH_SHIM), ("scp", _SSH_SHIM), ("sftp", _SSH_SHIM)):
        program = _which(name, path)
        if program:
            _script(folder.shims / name, text.format(uv=shlex.quote(program), program=shlex.quote(program)))


def make_home(folder: NodeFolder, authorized_key: str) -> None:
    """Make the node's home: the client's key, the link to Skyrig's own runtime, and a profile that keeps PATH, unless
    an image has brought one."""
    (folder.home / ".ssh").mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.authorized_keys.write_text(authorized_key.strip() + "\n")
    folder.authorized_keys.chmod(0o600)
    (folder.home / ".skyrig").mkdir(mode=0o700, exist_ok=True)
    (folder.home / ".skyrig" / "runtime").symlink_to(project_prefix())
    front = ":".join(shlex.quote(str(path)) for path in (folder.shims, folder.environment / "bin"))
    if not (folder.home / ".profile").exists():
        (folder.home / ".profile").write_text(_PROFILE.format(front=front))


def search_path(folder: NodeFolder, creator: Mapping[str, str]) -> str:
    """PATH of the node: shims, its own python, the project's programs (torchrun), the system's."""
    system = [entry for entry in _SYSTEM_PATH if Path(entry).is_dir()]
    extra = [entry for entry in creator.get("PATH", "").split(":") if entry.startswith("/usr/local/cuda")]
    own = [str(folder.shims), str(folder.environment / "bin"), str(project_prefix() / "bin")]
    return ":".join([*own, *extra, *system])


def session_environment(
    request: NodeRequest, folder: NodeFolder, user: str, creator: Mapping[str, str], proxy: Mapping[str, str]
) -> dict[str, str]:
    """The environment that every session starts with: built clean, with only certificates, package index settings,
    locale and (level plain) proxies of the `creator`; `proxy` is the switch's, on level namespaces."""
    passed = {
        name: value
        for name, value in creator.items()
        if (name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)) and name not in _NEVER_PASSED_ON
    }
    if request.level == "plain":
        passed |= {name: value for name, value in creator.items() if name.lower() in _PROXIES}
    return {
        "LANG": "C.UTF-8",
        **passed,
        **proxy,
        "HOME": str(folder.home),
        "USER": user,
        "LOGNAME": user,
        "SHELL": shell(),
        "PATH": search_path(folder, creator),
        "TMPDIR": "/tmp" if request.level == "namespaces" else str(folder.tmp),
        "VIRTUAL_ENV": str(folder.environment),
        "UV_PYTHON": str(folder.environment / "bin" / "python"),
        "UV_PYTHON_DOWNLOADS": "never",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "SKYRIG_NODE_ID": request.node_id,
        "SKYRIG_NODE_LOCK": str(folder.lock),
    }


def shell() -> str:
    """The shell of the node's user."""
    return next((path for path in ("/bin/bash", "/usr/bin/bash") if os.access(path, os.X_OK)), "/bin/sh")


def _which(name: str, path: str) -> str | None:
    candidates = (f"{entry}/{name}" for entry in path.split(":"))
    return next((found for found in candidates if os.access(found, os.X_OK)), None)


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
