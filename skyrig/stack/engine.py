"""Running the Pulumi engine.

Every call names its stack and asks nothing. The engine and the provider processes it starts get the environment of
this process, which a job's `--env` and `--secret` never enter, plus what plain use needs: a backend and a passphrase
file where the user has neither, and this Python first on PATH (the language host runs the first `python3` there).
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from skyrig import places
from skyrig.errors import EngineError
from skyrig.stack import backend, project

VERSION = "3.258.0"
"""The engine that Skyrig builds where none can be had; older ones are refused by `rig`."""

Event = dict[str, Any]
"""One event of the engine's JSON stream."""

_SCRIPT_MARK = b"skyrig"


def query(args: list[str], *, stack: str | None = None) -> str:
    """Run a reading command and give its standard output. EngineError holds the engine's own reason."""
    with _failing_well(stack):
        done = subprocess.run(
            _command(args, stack), cwd=project.find(), env=environment(), stdin=subprocess.DEVNULL, capture_output=True
        )
    if done.returncode:
        raise failure(args[0], stack, [], done.stderr.decode(errors="replace"))
    return done.stdout.decode(errors="replace")


def change(args: list[str], *, stack: str, on_event: Callable[[Event], None]) -> None:
    """Run a command that changes the stack (hold its lock first), handing over each of the engine's events but debug
    ones. The whole stream is kept in the stack's folder. On Ctrl-C the engine is asked to stop and waited for, so
    that it records what it made; a second Ctrl-C ends it at once."""
    errors: list[str] = []
    argv = [*_command(args, stack), "--yes", "--json"]
    with _failing_well(stack), _log(stack) as log, tempfile.TemporaryFile() as stderr:
        engine = subprocess.Popen(
            argv,
            cwd=project.find(),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            process_group=0,
        )
        with _stopping(engine, on_event):
            assert engine.stdout is not None
            for line in engine.stdout:
                log.write(line)
                event = _event(line)
                if event is None:
                    continue
                errors += _error_of(event)
                on_event(event)
            code = engine.wait()
        if code:
            stderr.seek(0)
            said = stderr.read()
            log.write(said)
            raise failure(args[0], stack, errors, said.decode(errors="replace"))


def binary() -> Path:
    """The engine to run: our wrapper beside this Python, one on PATH, or the one that `rig` built."""
    wrapper = Path(sys.prefix) / "bin" / "pulumi"
    if _is_script_of_ours(wrapper):
        return wrapper
    found = shutil.which("pulumi")
    if found:
        return Path(found)
    built = places.engine(VERSION) / "pulumi"
    if built.exists():
        return built
    raise EngineError("the Pulumi engine is not there", hint="run ./rig once, it gets the engine")


def environment() -> dict[str, str]:
    """The environment of an engine run. Makes the passphrase file at first use of our own backend."""
    env = dict(os.environ)
    before = [str(Path(sys.prefix) / "bin"), str(places.engine(VERSION))]
    env["PATH"] = os.pathsep.join([*before, env.get("PATH", os.defpath)])
    env["PWD"] = str(project.find())
    env["PULUMI_SKIP_UPDATE_CHECK"] = "1"
    if backend.is_ours():
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
    return EngineError(f"{where}: {reason}", hint=_hint(reason, stack))


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
def _log(stack: str) -> Iterator[IO[bytes]]:
    file = places.made(places.stack(stack)) / "engine.log"
    if file.exists():
        file.replace(file.with_suffix(".log.1"))
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
        yield log


@contextlib.contextmanager
def _failing_well(stack: str | None) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise EngineError("the Pulumi engine is not there", hint="run ./rig once, it gets the engine") from error
    except PermissionError as error:
        raise EngineError(f"the Pulumi engine cannot be run: {error}", hint="run ./rig again") from error


@contextlib.contextmanager
def _stopping(engine: subprocess.Popen[bytes], on_event: Callable[[Event], None]) -> Iterator[None]:
    """End the engine with the block: gently first, since only it can write down what it was making."""
    try:
        yield
    except KeyboardInterrupt:
        engine.send_signal(signal.SIGINT)
        waiting = "stopping: what is being made is finished first (Ctrl-C again stops at once)"
        on_event({"diagnosticEvent": {"severity": "warning", "message": waiting}})
        engine.communicate()
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
    if "currently locked" in reason:
        return "another engine is at work on it: try again when it is done"
    if "no resource plugin" in reason or "no language plugin" in reason:
        return "a plugin of the engine is missing: run ./rig again"
    return f"the whole log: {places.stack(stack) / 'engine.log'}" if stack else "run it again with plain pulumi"
