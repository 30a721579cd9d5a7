"""Whether a setup would do again what it did: what decides that, as parts that can be compared and named.

Parts are the setup's text, the user's environment, the variables of ours that the text names, the mounts, and those
files of the workdir that the text makes use of. The rest of the workdir does not count: it changes from launch to
launch, and setup must not run for it. What is kept of a part is an HMAC, since secrets are among them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence

from skyrig.fleet.content import Manifest
from skyrig.fleet.words import paths_in
from skyrig.launch.environment import PREFIXES
from skyrig.launch.job import JobRequest, Scripts

VOLATILE = frozenset(
    prefix + name
    for prefix in PREFIXES
    for name in (
        *("TASK_ID", "TASK_IDS", "INTERNAL_JOB_ID", "MANAGED_JOB_ID", "JOB_RANK", "ENV_NAMES"),
        *("SERVE_REPLICA_ID", "SERVE_PORT"),
    )
)
"""Variables that are others at each launch: no reason to run a setup again."""

_TOOLS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\buv\s+sync\b", ("uv.lock", "pyproject.toml")),
    (r"\bpoetry\s+(?:install|sync)\b", ("poetry.lock", "pyproject.toml")),
    (r"\bpdm\s+(?:install|sync)\b", ("pdm.lock", "pyproject.toml")),
    (r"\bpixi\s+install\b", ("pixi.lock", "pixi.toml", "pyproject.toml")),
    (r"\b(?:conda|mamba|micromamba)\s+env\s+(?:create|update)\b", ("environment.yml",)),
    (r"\bnpm\s+(?:ci|install)\b", ("package-lock.json", "package.json")),
    (r"(?:^|[;&|]\s*)\s*make\b", ("Makefile",)),
)
"""Commands, and the files that they read without being told."""

_PIP = re.compile(r"\bpip3?\s+install\b(?P<rest>[^\n;&|]*)")
_PROJECT = ("pyproject.toml", "setup.py", "setup.cfg")
_TELLING = (".sh", ".bash", ".txt", ".in")
"""Named files with these endings name further ones: scripts, and lists of requirements."""

CHANGES_FILES = {"undone:": ""}
"""Kept with the parts of a setup that changed files which were brought: the next launch brings them as they were, which
undoes what it did."""

_LONGEST_READ = 256 * 1024
_SHOWN = 3

Parts = dict[str, str]
"""HMAC by part; a part's name is KIND:NAME."""


def parts(
    setup: Scripts, request: JobRequest, ours: Mapping[str, str], files: Mapping[str, str], secret: bytes
) -> Parts:
    """What decides about `setup`. `ours` are variables that it will find, `files` hashes of the workdir's files that it
    uses (`files_used`)."""
    text = setup.files.get("user.sh", "")
    found = {"text:": text or json.dumps(sorted(setup.files.items()))}
    found |= {f"variable:{name}": value for name, value in ours.items() if re.search(rf"\b{re.escape(name)}\b", text)}
    found |= {f"variable:{name}": value for name, value in {**request.env, **request.secrets}.items()}
    found |= {f"file:{path}": sha for path, sha in files.items()}
    found |= {f"mount:{mount.target}": f"{mount.manifest} {mount.is_file}" for mount in request.mounts}
    found |= {
        f"mount:{each.target}": f"{each.mode} {each.bucket} {each.path} {sorted(each.options.items())}"
        for each in request.buckets
    }
    unheeded = VOLATILE | request.given.keys()
    return {
        name: hmac.new(secret, f"{name}\0{value}".encode(errors="surrogateescape"), hashlib.sha256).hexdigest()
        for name, value in found.items()
        if name.removeprefix("variable:") not in unheeded
    }


def difference(before: str, now: Parts) -> str | None:
    """Why a setup runs again where the last one that succeeded was kept as `before`: "requirements.txt changed". None
    where nothing differs, "" where there is nothing to compare with."""
    try:
        known = json.loads(before) if before else None
    except ValueError:
        known = None
    if not isinstance(known, dict):
        return ""
    if known == now:
        return None
    if CHANGES_FILES.keys() <= known.keys():
        return "files of workdir or mounts changed while it ran, and each launch brings them as they are"
    if known.get("text:") != now.get("text:"):
        return "its text changed"
    told = [f"{_named(name)} changed" for name in now if name in known and known[name] != now[name]]
    told += [f"{_named(name)} is new" for name in now if name not in known]
    told += [f"{_named(name)} is gone" for name in known if name not in now]
    more = len(told) - _SHOWN
    return ", ".join(told[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def kept(now: Parts) -> str:
    """`now` as `difference` will take it."""
    return json.dumps(now, sort_keys=True)


def files_used(text: str, manifest: Manifest, read: Callable[[str], bytes]) -> dict[str, str]:
    """Hash by path of those workdir files that a setup text names, that tools read which it calls, or that such files
    name in turn. `read` gives the content with a hash."""
    used = _Used(manifest)
    waiting, seen = [(text, "")], set[str]()
    while waiting:
        said, folder = waiting.pop()
        for path in used.named_in(said, folder):
            if path in seen:
                continue
            seen.add(path)
            entry = used.files[path]
            if path.endswith(_TELLING) and entry.size <= _LONGEST_READ:
                waiting.append((read(entry.sha256).decode(errors="replace"), posixpath.dirname(path)))
    return {path: f"{used.files[path].sha256} {used.files[path].mode:o}" for path in sorted(seen)}


class _Used:
    """The files of a workdir, looked up by the words of texts."""

    def __init__(self, manifest: Manifest) -> None:
        self.files = {entry.path: entry for entry in manifest.entries if entry.kind == "file"}
        self._folders = {entry.path for entry in manifest.entries if entry.kind == "dir"}

    def named_in(self, text: str, folder: str) -> list[str]:
        """Paths of files that a text means which is run in the workdir or in `folder`, or changes into folders that it
        names."""
        text = re.sub(r"(?m)(?:^|(?<=\s))#.*$", "", text)
        words = [word.rstrip("/") for word in paths_in([text])]
        bases = {"", folder}
        bases |= {path for word in words for base in bases if (path := _joined(base, word)) in self._folders}
        found = [_joined(base, word) for base in bases for word in words]
        for command, names in _TOOLS:
            if re.search(command, text, re.MULTILINE):
                found += [_joined(base, name) for base in bases for name in names]
        for call in _PIP.finditer(text):
            found += self._project(call["rest"].split(), bases)
        return [path for path in dict.fromkeys(found) if path in self.files]

    def _project(self, words: Sequence[str], bases: set[str]) -> list[str]:
        """What `pip install` of a folder reads: the project's description; where it is not an editable installation,
        also the packages, since what is installed is a copy of them."""
        found = []
        for at, word in enumerate(words):
            bare = word.strip("'\"").partition("[")[0]
            local = bare == "." or "/" in bare or any(_joined(base, bare) in self._folders for base in bases)
            if bare.startswith("-") or not local:
                continue
            editable = at > 0 and words[at - 1] in ("-e", "--editable")
            for base in bases:
                project = _joined(base, bare)
                found += [_joined(project, name) for name in _PROJECT]
                found += [] if editable else self._packages(project)
        return found

    def _packages(self, project: str) -> list[str]:
        """Files of the Python packages at the top of a project, or in its `src`."""
        tops = [
            posixpath.dirname(path)
            for path in self.files
            if posixpath.basename(path) == "__init__.py"
            and posixpath.dirname(posixpath.dirname(path)) in (project, _joined(project, "src"))
        ]
        return [path for path in self.files if any(path.startswith(top + "/") for top in tops)]


def _joined(base: str, path: str) -> str:
    """A path as the manifest has it."""
    joined = posixpath.normpath(posixpath.join(base, path))
    return "" if joined == "." else joined


def _named(part: str) -> str:
    """A part as the reader knows it."""
    return part.partition(":")[2]
