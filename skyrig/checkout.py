"""A git repository as workdir: fetched once into the user's cache folder, one folder a commit.

The clone is the client's, so that nodes need neither git, credentials nor a way out. Whoever can fetch on this machine
can here: git's own credential helpers and ssh agent are used, and what SkyPilot's users set: GIT_TOKEN for https,
GIT_SSH_KEY_PATH or GIT_SSH_KEY for ssh.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from skyrig import places
from skyrig.errors import BadInput, SkyrigError
from skyrig.task.model import GitSource

_PATIENCE_S = 600


def folder(source: GitSource) -> Path:
    """The files of `source` at its ref as it is now, in a folder of their own. BadInput where there is no such
    repository or ref."""
    if source.url.startswith("-") or (source.ref or "").startswith("-"):
        raise BadInput(f"workdir: {source.url} {source.ref or ''}: no repository", hint="url: https://... or git@...")
    home = places.made(places.cache() / "git" / hashlib.sha256(source.url.encode()).hexdigest()[:16])
    with (home / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (home / "repository" / "HEAD").exists():
            _git("init", "--quiet", "--bare", str(home / "repository"))
        with _credentials(source.url) as env:
            commit = _fetched(home / "repository", source, env)
        target = home / commit
        if not target.exists():
            fresh = home / f"{commit}.new"
            _git("worktree", "prune", cwd=home / "repository")
            _git("worktree", "add", "--quiet", "--force", "--detach", str(fresh), commit, cwd=home / "repository")
            _git("worktree", "move", str(fresh), str(target), cwd=home / "repository")
    return target


def _fetched(repository: Path, source: GitSource, env: dict[str, str]) -> str:
    """The commit that the ref names, fetched: alone where the server gives it, else out of all there is."""
    ref = source.ref or "HEAD"
    try:
        _git("fetch", "--quiet", "--depth=1", "--force", source.url, ref, cwd=repository, env=env)
        return _git("rev-parse", "FETCH_HEAD^{commit}", cwd=repository)
    except SkyrigError:
        if source.ref is None:
            raise
    every = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    _git("fetch", "--quiet", "--force", "--update-head-ok", source.url, *every, cwd=repository, env=env)
    try:
        return _git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", cwd=repository)
    except SkyrigError:
        raise BadInput(f"workdir: {source.url} has no branch, tag or commit {ref}") from None


@contextlib.contextmanager
def _credentials(url: str) -> Iterator[dict[str, str]]:
    """Environment for git with the credentials that the user's variables name; none of them in an argv."""
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    token, path, key = (os.environ.get(name) for name in ("GIT_TOKEN", "GIT_SSH_KEY_PATH", "GIT_SSH_KEY"))
    if token and url.startswith("https://"):
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        env |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{url}.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
        }
    with tempfile.TemporaryDirectory() as scratch:
        if key and not path:
            path = str(Path(scratch) / "key")
            Path(path).touch(mode=0o600)
            Path(path).write_text(key.rstrip("\n") + "\n")
        if path:
            options = ("-i", str(Path(path).expanduser()), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes")
            env["GIT_SSH_COMMAND"] = shlex.join(["ssh", *options])
        yield env


def _git(*words: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """What a git command prints; SkyrigError with its last line where it fails."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S
        )
    except FileNotFoundError:
        raise SkyrigError("the workdir is a git repository, and git is not on PATH", hint="install git") from None
    except subprocess.TimeoutExpired:
        raise SkyrigError(f"git {words[0]} did not end within {_PATIENCE_S} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"code {done.returncode}"]
        fatal = [line.removeprefix("fatal: ") for line in said if line.startswith("fatal: ")]
        raise BadInput(f"workdir: git {words[0]}: {(fatal or said[-1:])[0]}")
    return done.stdout.decode().strip()
