"""What stands between a plain `pulumi up` and the engine: `python -m skyrig.stack.plain ENGINE ARGUMENTS...`.

The wrapper in .venv/bin comes here for commands that work on a stack of this project, so that they wait for others,
start from a config that is not older than the last deployment, and settle what a killed run has left, just as Skyrig's
own verbs do. Then this process becomes the engine, which others see at work by a file that it holds open.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from skyrig.errors import SkyrigError
from skyrig.stack import imagestacks, lock, spent, stacks

_CHANGING = {"up": "up", "update": "up", "destroy": "destroy", "down": "destroy", "dn": "destroy", "refresh": "refresh"}
_LOOKING = ("preview", "pre")
_OWN_WAY = ("-h", "--help", "-C", "--cwd", "--config-file", "--remote")
_INTERRUPTED = 130


def main(program: str, words: Sequence[str]) -> NoReturn:
    """Prepare the stack for the command, then become the engine; exit with our code where that cannot be."""
    try:
        _prepare_and_run(program, words)
    except SkyrigError as error:
        print(f"pulumi (skyrig): error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def stack_in(words: Sequence[str]) -> str:
    """The stack that a command line of the engine is about: the one it names, else the selected one."""
    found = ""
    for number, word in enumerate(words):
        if word in ("-s", "--stack"):
            found = words[number + 1] if number + 1 < len(words) else ""
        elif word.startswith("--stack="):
            found = word.removeprefix("--stack=")
        elif word.startswith("-s") and not word.startswith("--"):
            found = word[2:].removeprefix("=")
    return found.rpartition("/")[2] or stacks.selected()


def _prepare_and_run(program: str, words: Sequence[str]) -> NoReturn:
    argv = ["pulumi", *words]
    verb = _CHANGING.get(words[0], words[0]) if words else ""
    if any(word.partition("=")[0] in _OWN_WAY for word in words):
        os.execv(program, argv)
    if words[:2] == ["stack", "rm"]:
        _keep_what_it_cost(words[2:])
        os.execv(program, argv)
    stack = stack_in(words)
    if verb == "config":
        done = subprocess.run([program, *words])
        if done.returncode == 0:
            stacks.take_config(stack)
        sys.exit(done.returncode)
    if verb in _LOOKING:
        stacks.prepare(stack, verb, _tell)
        os.execv(program, argv)
    if verb == "destroy":
        imagestacks.refuse_end(stack)
    with lock.held(stack, _tell, command=f"pulumi {words[0]}") as at_work:
        sure = bool({"-y", "--yes"} & set(words)) and "--preview-only" not in words
        stacks.prepare(stack, verb, _tell, at_work, sure=sure)
        os.set_inheritable(at_work, True)
        os.execv(program, argv)


def _keep_what_it_cost(words: Sequence[str]) -> None:
    """Before a stack goes with its history: what was spent stays known."""
    bare = [word for word in words if not word.startswith("-")]
    stack = bare[0].rpartition("/")[2] if bare else stack_in(words)
    if stacks.is_there(stack):
        spent.keep(stack)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
