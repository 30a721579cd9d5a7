"""What Skyrig runs on a node: our own small programs, sent once and started by whichever Python is there.

A node needs /bin/sh and Python 3.8. The runtime that Skyrig itself put there (~/.skyrig/runtime) is taken first, so
that nothing a user installs can break it.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from functools import cache
from importlib import resources
from typing import Any

_PYTHON = 'p="$HOME/.skyrig/runtime/bin/python"; [ -x "$p" ] || p=python3; exec "$p" -I -S "$@"'
_POWERS = "+dac_read_search,+kill,+setgid,+setuid,+sys_admin,+sys_chroot,+sys_ptrace"
_START = (
    'p="$HOME/.skyrig/runtime/bin/python"; [ -x "$p" ] || p=$(command -v python3); set -- "$p" -I -S "$@"; '
    'if [ -x /opt/skyrig/container ] && [ -z "$SKYRIG_NODE_LOCK" ]; then s=SKYRIG_CONTAINER=/run/skyrig-container; '
    'u=$(id -u); export "$s"; [ "$u" = 0 ] || set -- sudo -n env HOME="$HOME" "$s" setpriv --reuid "$u" '
    f'--regid "$(id -g)" --init-groups --inh-caps {_POWERS} --ambient-caps {_POWERS} "$@"; fi; exec "$@"'
)
"""Starts a supervisor: where the node has a container for jobs, as one that can enter it and end what is root there,
and is the node's user in all else. Nodes of the local cloud have none, whatever machine they are on."""

_RUN_FROM_STDIN = "import json,sys; m=json.loads(sys.stdin.buffer.readline()); exec(m['program'],{'given':m['given']})"

_MOUNTING = tuple(f"skyrig.launch.mounting.{name}" for name in ("mount", "flush", "rclone", "watch", "program"))
"""What knows about buckets on nodes, each after those that it imports: two programs, which end with the last two."""

_PROBE = tuple(f"skyrig.preflight.{name}" for name in ("adapters", "nvidia", "probe"))
"""What looks at a node, each after those that it imports."""

_FABRIC = ("skyrig.preflight.adapters", "skyrig.preflight.fabric")
"""The same of what each rank's script asks."""

_MODULES = """\
import sys, types
for name, text in {modules!r}:
    module = types.ModuleType(name)
    sys.modules[name] = module
    above, _, last = name.rpartition(".")
    setattr(sys.modules.setdefault(above, types.ModuleType(above)), last, module)
    exec(compile(text, name, "exec"), module.__dict__)
"""


@cache
def source(name: str) -> str:
    """Text of one of our node-side programs in this package ("supervisor", "prepare")."""
    return resources.files("skyrig.launch").joinpath(f"{name}.py").read_text(encoding="utf-8")


@cache
def modules(*names: str) -> str:
    """Modules of ours as one text that makes them there, in this order; they may import one another."""
    package, _, _ = names[0].rpartition(".")
    texts = [(name, resources.files(package).joinpath(name.rpartition(".")[2] + ".py").read_text()) for name in names]
    return _MODULES.format(modules=texts)


@cache
def watch() -> str:
    """What a supervisor loads on nodes that have buckets attached."""
    return modules(*_MOUNTING[:2], _MOUNTING[3])


@cache
def watch_file() -> str:
    """Where that lies on a node, relative to ~/.skyrig."""
    return f"bin/watch-{hashlib.sha256(watch().encode()).hexdigest()[:12]}.py"


@cache
def supervisor_file() -> str:
    """Where this version's supervisor lies on a node, relative to ~/.skyrig."""
    return f"bin/supervisor-{hashlib.sha256(source('supervisor').encode()).hexdigest()[:12]}.py"


def files() -> dict[str, str]:
    """Texts of what every node is given to keep, by where they lie below ~/.skyrig."""
    return {supervisor_file(): source("supervisor"), watch_file(): watch()}


def shell(script: str, *words: str) -> str:
    """Command line that has /bin/sh run `script` (one line) with `words` as its arguments, whatever the login shell:
    bash, fish and csh all take it as it is. Words are ours alone: user text never stands in an argv."""
    return shlex.join(["exec", "/bin/sh", "-c", script, "sh", *words])


def supervisor(*words: str) -> str:
    """Command line that runs the node's supervisor with `words`."""
    how = _START if words[0] == "start" else _PYTHON
    return shell(f'f="$HOME/.skyrig/{supervisor_file()}"; set -- "$f" "$@"; {how}', *words)


def program(name: str, given: Any) -> tuple[str, bytes]:
    """(command, stdin) that runs one of our programs, sent along, with the JSON value `given` as its input."""
    return sent(source(name), given)


def mounting(given: dict[str, Any]) -> tuple[str, bytes]:
    """The same of the program that attaches and detaches buckets (skyrig.launch.mounting.program)."""
    text = modules(*_MOUNTING[:3], _MOUNTING[4])
    helper = resources.files("skyrig.launch.mounting").joinpath("fusermount.py").read_text()
    run = f"{text}\nmodule.run(given)\n"
    return sent(run, {**given, "fusermount": helper})


def probe(root: str = "", patience_s: float | None = None) -> tuple[str, bytes]:
    """The same of the program that looks at what a node has (skyrig.preflight.probe); its one line of output is what
    `skyrig.preflight.findings` reads. `root` and `patience_s` as there."""
    given: dict[str, Any] = {"root": root, **({} if patience_s is None else {"patience_s": patience_s})}
    return sent(f"{modules(*_PROBE)}\nmodule.run(given)\n", given)


def agent(given: dict[str, Any]) -> tuple[str, bytes]:
    """The same of the program that takes orders during a preflight (skyrig.preflight.agent): what comes on its input
    after this are those."""
    return sent(f"{modules(*_PROBE, 'skyrig.preflight.agent')}\nmodule.run(given)\n", given)


@cache
def fabric() -> str:
    """What a rank's script runs to learn of the node's network (skyrig.preflight.fabric), as one text."""
    title = "# Skyrig's own modules: what is on this node of its network, and what a job is told of it."
    return f"{title}\n{modules(*_FABRIC)}module.main()\n"


def sent(program: str, given: Any) -> tuple[str, bytes]:
    message = {"program": program, "given": given}
    return shell(_PYTHON, "-c", _RUN_FROM_STDIN), json.dumps(message).encode() + b"\n"
