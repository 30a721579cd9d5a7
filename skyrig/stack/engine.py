"""Running the Pulumi engine.

Every call names its stack and asks nothing. The engine and the provider processes it starts get the environment of
this process, which a job's `--env` and `--secret` never enter, plus what plain use needs: a backend and a passphrase
file where the user has neither, and this Python, also from an environment that is not activated.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from skyrig import places
from skyrig.errors import EngineError
from skyrig.stack import backend, project, source

VERSION = "3.258.0"
"""The engine that Skyrig builds where none can be had; older ones are refused by `rig`."""

Event = dict[str, Any]
"""One event of the engine's JSON stream."""

DIRECT = "SKYRIG_PULUMI_DIRECT"
"""Variable that tells our wrapper to run the engine as it is: the caller has the stack's lock and its config."""

NOTHING: Mapping[str, str] = MappingProxyType({})
"""No variables beside those of this process."""

_SCRIPT_MARK = b"skyrig"
_TAIL_S = 0.05
_LOCKED = ("currently locked", "Another update is currently in progress")


class Locked(EngineError):
    """The engine found the stack locked by another one; `message` names the holder as the engine does."""


def query(
    args: list[str],
    *,
    stack: str | None = None,
    at_work: int | None = None,
    given: str = "",
    variables: Mapping[str, str] = NOTHING,
) -> str:
    """Run a reading command and give its standard output. EngineError holds the engine's own reason. `at_work` is the
    descriptor of `lock.held`, for commands that start providers; `given` is what the command reads, secrets too;
    `variables` are laid over its environment."""
    with _failing_well(stack):
        done = subprocess.run(
            _command(args, stack),
            cwd=project.made(),
            env=environment(variables),
            input=given.encode(),
            capture_output=True,
            pass_fds=() if at_work is None else (at_work,),
        )
    if done.returncode:
        errors = _told(done.stdout) if "--json" in args else []
        raise failure(args[0], stack, errors, done.stderr.decode(errors="replace"))
    return done.stdout.decode(errors="replace")


def _told(stdout: bytes) -> list[str]:
    """The errors in the document of a preview that failed."""
    try:
        said = json.loads(stdout).get("diagnostics") or []
    except (ValueError, AttributeError):
        return []
    return [str(each["message"]) for each in said if each.get("severity") == "error"]


def change(args: list[str], *, stack: str, at_work: int, on_event: Callable[[Event], None]) -> None:
    """Run a command that changes the stack, handing over each of the engine's events but debug ones. `at_work` is the
    descriptor of `lock.held`, by which others see that this engine is at work.

    The whole stream goes into a file and is read from there, so that an engine whose client is killed goes
    on to its end and writes down what it made. On Ctrl-C the engine is asked to stop and waited for; a second Ctrl-C
    ends it at once.
    """
    errors: list[str] = []
    argv = [*_command(args, stack), "--yes", "--json"]
    with _failing_well(stack), _log(stack) as log, log.open("rb") as events, tempfile.TemporaryFile() as stderr:
        with log.open("ab") as stdout:
            engine = subprocess.Popen(
                argv,
                cwd=project.made(),
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                pass_fds=(at_work,),
            )
        with _stopping(engine, on_event):
            for line in _lines(events, engine):
                event = _event(line)
                if event is None:
                    continue
                errors += _error_of(event)
                on_event(event)
            code = engine.wait()
        if code:
            stderr.seek(0)
            said = stderr.read().decode(errors="replace")
            if code < 0 and not errors:
                errors.append(f"the engine was ended by {signal.Signals(-code).name}")
            with log.open("a") as out:
                out.write(said)
            raise failure(args[0], stack, errors, said)


def binary() -> Path:
    """The engine to run: our wrapper beside this Python, one on PATH, or the one that `rig` built. An installed Skyrig
    gets one at first use (minutes)."""
    if places.is_installed():
        return source.folder() / "pulumi"
    wrapper = Path(sys.prefix) / "bin" / "pulumi"
    if _is_script_of_ours(wrapper):
        return wrapper
    found = shutil.which("pulumi")
    if found:
        return Path(found)
    built = places.engine(VERSION) / "pulumi"
    if built.exists():
        return built
    raise EngineError("the Pulumi engine is not there", hint=_mending())


def environment(variables: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """The environment of an engine run, with `variables` laid over it. Makes the passphrase file at first use of our
    own backend."""
    env = {**os.environ, **variables}
    programs = source.folder() if places.is_installed() else places.engine(VERSION)
    before = [str(Path(sys.prefix) / "bin"), str(programs)]
    env["PATH"] = os.pathsep.join([*before, env.get("PATH", os.defpath)])
    env["PULUMI_PYTHON_CMD"] = sys.executable
    env.pop("PYTHONSAFEPATH", None)  # providers find `components` from the folder that they run in
    if env.pop("PYTHONDONTWRITEBYTECODE", ""):  # to compile the SDK of a cloud takes seconds, and every run would
        env.setdefault("PYTHONPYCACHEPREFIX", str(places.cache() / "bytecode"))
    env["PWD"] = str(project.find())
    env["PULUMI_SKIP_UPDATE_CHECK"] = "1"
    env[DIRECT] = "1"
    if backend.is_ours() and "PULUMI_BACKEND_URL" not in variables:
        env["PULUMI_BACKEND_URL"] = backend.url()
        places.made(places.backend())
        if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & set(env):
            env["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase_file())
    return env


def failure(verb: str, stack: str | None, errors: list[str], stderr: str) -> EngineError:
    """What went wrong, in one line: the engine's first error diagnostic, else what it said last."""
    said = [line.strip() for line in stderr.splitlines() if line.strip()]
    reason = _condensed(errors[0]) if errors else ""
    if not reason:
        marked = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
        reason = (marked or said or ["no reason given"])[0]
    where = f"pulumi {verb} of stack {stack}" if stack else f"pulumi {verb}"
    if any(words in stderr + reason for words in _LOCKED):
        return Locked(_lock_holder(said) or reason, hint=_hint(reason, stack))
    return EngineError(f"{where}: {reason}", hint=_hint(reason, stack), said=tuple(errors))


def _lock_holder(said: list[str]) -> str:
    """Who has the lock, where the engine says so: `URL: created by USER@HOST (pid N) at TIME`."""
    found = [line.partition(": created by ")[2] for line in said if ": created by " in line]
    return f"the engine of {found[0]}" if found else ""


def _command(args: list[str], stack: str | None) -> list[str]:
    named = ["--stack", stack] if stack else []
    return [str(binary()), *args, *named, "--non-interactive", "--color", "never"]


def _is_script_of_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(2000)
    except OSError:
        return False
    return start.startswith(b"#!") and _SCRIPT_MARK in start


def _passphrase_file() -> Path:
    """The file with the passphrase of our backend, made at first use; never made anew under stacks that need the one
    that was lost."""
    file = places.passphrase()
    if file.exists():
        return file
    if any((backend.folder() or file).glob("stacks/*/*.json")):
        keep = "put it back, or set PULUMI_CONFIG_PASSPHRASE"
        raise EngineError(f"{file} is gone, and the stacks in {places.backend()} need it", hint=keep)
    places.made(file.parent)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".passphrase.")
    try:
        with os.fdopen(descriptor, "w") as out:
            out.write(secrets.token_urlsafe(32))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, file)
    finally:
        Path(temporary).unlink()
    return file


@contextlib.contextmanager
def _log(stack: str) -> Iterator[Path]:
    """A new, empty log, readable by its owner alone; the last one is kept beside it."""
    file = places.made(places.stack(stack)) / "engine.log"
    if file.exists():
        file.replace(file.with_suffix(".log.1"))
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    yield file


def _lines(events: IO[bytes], engine: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Whole lines of the file that the engine writes, as they come, until it has ended."""
    part = b""
    while True:
        ended = engine.poll() is not None
        for line in events:
            part += line
            if part.endswith(b"\n"):
                yield part
                part = b""
        if ended:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            engine.wait(_TAIL_S)


@contextlib.contextmanager
def _failing_well(stack: str | None) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise EngineError("the Pulumi engine is not there", hint=_mending()) from error
    except PermissionError as error:
        raise EngineError(f"the Pulumi engine cannot be run: {error}", hint=_mending()) from error


@contextlib.contextmanager
def _stopping(engine: subprocess.Popen[bytes], on_event: Callable[[Event], None]) -> Iterator[None]:
    """End the engine with the block: gently first, since only it can write down what it was making."""
    try:
        yield
    except KeyboardInterrupt:
        engine.send_signal(signal.SIGINT)
        waiting = "stopping: what is being made is finished first (Ctrl-C again stops at once)"
        on_event({"diagnosticEvent": {"severity": "warning", "message": waiting}})
        engine.wait()
        raise
    finally:
        if engine.poll() is None:
            os.killpg(engine.pid, signal.SIGKILL)
            engine.wait()


def _event(line: bytes) -> Event | None:
    """The event of one line; None for debug chatter and for anything that is no event."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or event.get("diagnosticEvent", {}).get("severity") == "debug":
        return None
    return event


def _error_of(event: Event) -> list[str]:
    diagnostic = event.get("diagnosticEvent", {})
    return [str(diagnostic["message"])] if diagnostic.get("severity") == "error" else []


def _condensed(message: str) -> str:
    """The line of a diagnostic that says why: a Python traceback's last one without the exception's module."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if not lines:
        return ""
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        kind, colon, text = lines[-1].partition(": ")
        return text if colon and kind.startswith("skyrig.") else lines[-1]
    return " ".join(lines[:3])


def _hint(reason: str, stack: str | None) -> str:
    if "passphrase" in reason:
        return "the passphrase is not the one that the stack was made with: set PULUMI_CONFIG_PASSPHRASE_FILE"
    if any(words in reason for words in _LOCKED):
        return "another engine is at work on it: try again when it is done"
    if "no resource plugin" in reason or "no language plugin" in reason:
        return f"a plugin of the engine is missing: {_mending()}"
    return f"the whole log: {places.stack(stack) / 'engine.log'}" if stack else "run it again with plain pulumi"


def _mending() -> str:
    """What gets an engine that is whole."""
    return f"remove {places.cache() / 'engine'} and run it again" if places.is_installed() else "run ./rig, it gets one"
