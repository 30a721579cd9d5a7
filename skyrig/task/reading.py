"""Reading a task file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap

from skyrig.task import document, environment, resources
from skyrig.task.model import Resources, Task
from skyrig.task.problems import Problems

FIELDS = ("name", "num_nodes", "workdir", "envs", "secrets", "resources", "setup", "run")
"""Fields that Skyrig understands."""

LATER = (
    "file_mounts",
    "volumes",
    "service",
    "pool",
    "config",
    "event_callback",
    "managed_secrets",
    "inputs",
    "outputs",
)
"""Fields of task files that Skyrig cannot do yet."""

_TASK_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def load(path: Path, *, env: Mapping[str, str] | None = None, secrets: Mapping[str, str] | None = None) -> Task:
    """The task in the file at `path`; `env` and `secrets` come from the command line and win over the file's. All
    that is wrong is told at once: BadInput, one line a problem, `file:line:column: field: reason`."""
    mapping = document.load(path)
    problems = Problems()
    for key in mapping:
        if key not in FIELDS:
            problems.unknown(document.position(path, mapping, key), str(key), FIELDS, LATER)
    reader = _Reader(path, mapping, problems)
    envs = {**reader.variables("envs", "--env", env or {}), **(env or {})}
    hidden = {**reader.variables("secrets", "--secret", secrets or {}), **(secrets or {})}
    task = Task(
        name=reader.name(),
        num_nodes=reader.num_nodes(),
        workdir=reader.workdir({**envs, **hidden}),
        env={name: value for name, value in envs.items() if name not in hidden},
        secrets=hidden,
        resources=reader.resources(),
        setup=reader.text("setup"),
        run=reader.text("run"),
    )
    problems.raise_if_any()
    return task


class _Reader:
    """The fields of one file; a null field is as good as none."""

    def __init__(self, path: Path, mapping: CommentedMap, problems: Problems) -> None:
        self._path = path
        self._mapping = mapping
        self._problems = problems

    def text(self, key: str) -> str:
        value = self._mapping.get(key)
        if value is not None and not isinstance(value, str):
            self._wrong(key, "a text is wanted")
            return ""
        return str(value or "")

    def name(self) -> str:
        value = self._mapping.get("name")
        if value is not None and not _TASK_NAME.fullmatch(str(value)):
            self._wrong("name", f"{value!r}: letters, digits, '.', '_' and '-' are wanted")
        return str(value or "")

    def num_nodes(self) -> int:
        value = self._mapping.get("num_nodes")
        if value is None:
            return 1
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            self._wrong("num_nodes", f"{value!r}: a whole number of at least 1 is wanted")
            return 1
        return int(value)

    def workdir(self, values: Mapping[str, str]) -> Path | None:
        value = self._mapping.get("workdir")
        if value is None:
            return None
        if not isinstance(value, str):
            self._wrong("workdir", "a folder is wanted; a git repository is not supported yet")
            return None
        folder = Path(environment.expand(str(value), values)).expanduser()
        if not folder.is_dir():
            self._wrong("workdir", f"{folder} is no folder")
        return folder

    def variables(self, key: str, flag: str, override: Mapping[str, str]) -> dict[str, str]:
        mapping = self._mapping.get(key)
        if mapping is None:
            return {}
        if not isinstance(mapping, CommentedMap):
            self._wrong(key, "a mapping of names to values is wanted")
            return {}
        values: dict[str, str] = {}
        for name, value in mapping.items():
            if not environment.NAME.fullmatch(str(name)):
                self._wrong(f"{key}.{name}", "no variable name", mapping, name)
            elif isinstance(value, dict | list):
                self._wrong(f"{key}.{name}", "a plain value is wanted", mapping, name)
            elif value is None and name not in override:
                self._wrong(f"{key}.{name}", f"has no value; give it with {flag} {name}=VALUE", mapping, name)
            elif value is not None:
                values[str(name)] = str(value)
        return values

    def resources(self) -> Resources:
        value = self._mapping.get("resources")
        if value is None:
            return Resources()
        if not isinstance(value, CommentedMap):
            self._wrong("resources", "a mapping is wanted")
            return Resources()
        return resources.read(self._path, value, self._problems)

    def _wrong(self, what: str, why: str, mapping: CommentedMap | None = None, key: Any = None) -> None:
        inside = self._mapping if mapping is None else mapping
        where = document.position(self._path, inside, what if mapping is None else key)
        self._problems.add(where, what, why)
