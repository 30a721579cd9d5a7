"""Reading task files: text to values, everything that is wrong told at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve

from skyrig.errors import BadInput
from skyrig.task import config, document, environment, pipeline, resources, service, storage, volumes
from skyrig.task.config import Config
from skyrig.task.model import GitSource, ManagedSecret, Task, TaskFile
from skyrig.task.node import Node, internal
from skyrig.task.problems import Position, Problems, lines
from skyrig.task.resources import Choice, Resources
from skyrig.task.storage import FileMounts

NAME = re.compile(r"[a-zA-Z0-9]+(?:[._-]{1,2}[a-zA-Z0-9]+)*")
"""What a task may be called."""

SCOPES = ("personal", "workspace", "global")
_EMPTY = "holds no task; a `run` text at least is wanted"
_DOCKER_LOGIN = ("SKYPILOT_DOCKER_USERNAME", "SKYPILOT_DOCKER_PASSWORD", "SKYPILOT_DOCKER_SERVER")
_SECRET = "secrets:"


def load(path: Path, *, env: Mapping[str, str] | None = None, secrets: Mapping[str, str] | None = None) -> TaskFile:
    """The tasks in the file at `path`; `env` and `secrets` come from the command line and win over the file's, in every
    task. BadInput, one line a problem, `file:line:column: field: reason`."""
    problems = Problems()
    return _tasks(document.load(path, problems), str(path), problems, env or {}, secrets or {})


def loads(
    text: str,
    name: str = "task",
    *,
    env: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> TaskFile:
    """The same from a text; `name` stands for the file in messages."""
    problems = Problems()
    return _tasks(document.loads(text, name, problems), name, problems, env or {}, secrets or {})


def of_plain(data: Mapping[str, Any], name: str) -> TaskFile:
    """The same from plain data that a program has made: one task; `name` says which call, and stands for the file in
    messages."""
    problems = Problems()
    return _tasks([document.of_plain(data, name, problems)], name, problems, {}, {})


def of_node(node: Node, name: str, *, env: Mapping[str, str], secrets: Mapping[str, str]) -> TaskFile:
    """The same from fields that stand in another file, with their places there."""
    return _tasks([node], name, node.problems, env, secrets)


def _tasks(
    documents: list[Node], name: str, problems: Problems, env: Mapping[str, str], secrets: Mapping[str, str]
) -> TaskFile:
    problems.raise_if_any()
    if not any(node.data for node in documents):
        problems.warn(Position(name), "the file", _EMPTY)
        documents = documents or [Node({}, Position(name), "", problems)]
        if len(documents) > 1:
            raise BadInput(f"{Position(name)}: holds {len(documents)} documents and no task")

    header, bodies = pipeline.split(documents)
    for node in bodies:
        if not isinstance(node.data, dict):
            problems.add(node.where, "", f"a mapping of fields is wanted at the top, not {node.shown}")
    tasks = [_Reader(node, env, secrets).task() for node in bodies if isinstance(node.data, dict)]
    made = pipeline.read(header, tasks, bodies)
    problems.raise_if_any()
    return evolve(
        made,
        mends=tuple(lines(problems.mends)),
        warnings=tuple(lines(problems.warnings)),
        missing=tuple(problems.missing),
        is_empty=not any(node.data for node in documents),
    )


class _Reader:
    """The fields of one task; a null field is as good as none."""

    def __init__(self, node: Node, env: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        self._node = _with_num_nodes_on_top(node)
        self._fields = {key: each for key, each in self._node.fields().items() if not each.is_null}
        self._given_env, self._given_secrets = env, secrets
        for key, each in self._node.fields().items():
            if key in INTERNAL:
                internal(each)
            elif key not in FIELDS:
                node.problems.unknown(each.where, each.path, FIELDS)

    def task(self) -> Task:
        """The task; what is wrong is noted, and its default stands in its place."""
        env = {**self._env(), **self._given_env}
        inline, managed = self._secrets()
        secrets = {**inline, **self._given_secrets}
        managed = tuple(each for each in managed if each.name not in secrets)
        self._check_docker_login(env, secrets)
        self._filled = {**env, **secrets}
        block = self._read("config", config.read, Config())
        workdir = self._read("workdir", _workdir, None)
        mounts = self._read(
            "file_mounts", lambda node: storage.read(node, has_workdir=workdir is not None), FileMounts()
        )
        return Task(
            name=self._read("name", _name, None),
            num_nodes=self._read("num_nodes", lambda node: node.whole(1), 1),
            workdir=workdir,
            env=env,
            secrets=secrets,
            managed_secrets=managed,
            choice=self._choice(
                Resources(
                    config=block.values,
                    hooks=block.hooks,
                    disks=mounts.disks,
                    mounts=any(each.mode != "COPY" for each in mounts.buckets.values()),
                )
            ),
            mounts=mounts,
            volumes=self._read("volumes", volumes.read, {}),
            service=self._service(by_load=block.front_door.target_in_flight is not None),
            config=block,
            setup=self._read("setup", Node.text, None),
            run=self._read("run", Node.text, None),
            event_callback=self._read("event_callback", Node.text, None),
            api_server_access=self._read("api_server_access", Node.switch, True),
            inputs=self._read("inputs", _sized, None),
            outputs=self._read("outputs", _sized, None),
        )

    def _read(self, key: str, how: Any, otherwise: Any) -> Any:
        """One field, variables filled in where they are in that field."""
        node = self._fields.get(key)
        if node is None:
            return otherwise
        if key in ("file_mounts", "service", "workdir", "volumes"):
            node = node.with_texts(lambda text: environment.expand(text, self._filled))
        return node.read(how, otherwise)

    def _choice(self, base: Resources) -> Choice:
        node = self._fields.get("resources", evolve(self._node, data={}, path="resources"))
        return node.read(lambda each: resources.read(each, base), Choice((base,)))

    def _service(self, *, by_load: bool) -> Any:
        if "service" in self._fields and "pool" in self._fields:
            self._fields["pool"].note("cannot stand beside service: give one of them")
        read = partial(service.read, by_load=by_load)
        return self._read("service", read, None) or self._read("pool", service.pool, None)

    def _env(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, node in self._named("envs").items():
            if not environment.NAME.fullmatch(name):
                node.note("no name of a variable: letters, digits and _ are wanted")
            elif node.is_null and name not in self._given_env:
                node.note(f"has no value; give it with --env {name}=VALUE (an empty one is written '')")
            elif not node.is_null:
                found[name] = _shown_value(node)
        return found

    def _named(self, key: str) -> dict[str, Node]:
        """The entries of envs or secrets; names that are numbers are texts all the same."""
        node = self._fields.get(key)
        if node is None:
            return {}
        if not isinstance(node.data, dict):
            node.note(f"a mapping of names to values is wanted, not {node.shown}")
            return {}
        return {str(name): each for name, each in node.data.items()}

    def _secrets(self) -> tuple[dict[str, str], tuple[ManagedSecret, ...]]:
        """Secrets with their values, and those that a secret store holds."""
        inline: dict[str, str] = {}
        managed: list[ManagedSecret] = []
        node = self._fields.get("secrets")
        if node is not None and isinstance(node.data, list):
            for each in node.data:
                if not str(each.data).startswith(_SECRET):
                    each.note(f"{each.shown}: secrets:NAME is wanted; a secret with a value is written NAME: VALUE")
                else:
                    managed.append(_managed(str(each.data)))
        else:
            for name, each in self._named("secrets").items():
                if name.startswith(_SECRET) and not each.is_null:
                    each.note("is in a secret store, and has no value here; leave secrets: out to give one")
                elif each.is_null:
                    managed.append(_managed(name))
                else:
                    inline[name] = _shown_value(each)
        return inline, (*managed, *self._read("managed_secrets", _managed_secrets, ()))

    def _check_docker_login(self, env: Mapping[str, str], secrets: Mapping[str, str]) -> None:
        in_env = [name for name in _DOCKER_LOGIN if name in env and name not in secrets]
        in_secrets = [name for name in _DOCKER_LOGIN if name in secrets]
        there = "envs" if in_env else "secrets"
        node = self._fields.get(there, self._node)
        if in_env and in_secrets:
            node.note(f"{', '.join(_DOCKER_LOGIN)} stand together, in envs or in secrets")
        for names in (in_env, in_secrets):
            missing = [name for name in _DOCKER_LOGIN if name not in names]
            if names and missing and not (in_env and in_secrets):
                node.note(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing beside {names[0]}")


def _with_num_nodes_on_top(node: Node) -> Node:
    """`num_nodes` stands at the top of a task; one below `resources` is taken as that."""
    below = node.data.get("resources")
    if below is None or not isinstance(below.data, dict) or "num_nodes" not in below.data:
        return node
    found = below.data["num_nodes"]
    above = node.data.get("num_nodes")
    if above is not None and above.data != found.data:
        found.note("num_nodes stands at the top of a task, and does already, with another value")
        found = above
    else:
        node.problems.mend(found.where, found.path, "stands at the top of a task; taken as that")
    rest = {key: each for key, each in below.data.items() if key != "num_nodes"}
    return evolve(
        node, data={**node.data, "resources": evolve(below, data=rest), "num_nodes": evolve(found, path="num_nodes")}
    )


def _name(node: Node) -> str:
    return node.matching(NAME.pattern, "letters and digits, with . _ - between them (two in a row at most),")


def _workdir(node: Node) -> str | GitSource:
    if isinstance(node.data, dict):
        given = node.read_fields({"url": Node.filled_text, "ref": Node.text})
        if "url" not in node.fields():
            raise node.wrong("`url` of the repository is missing")
        return GitSource(**{"url": "", **given})
    folder = node.filled_text()
    try:
        there = Path(folder).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):
        there = False
    if not there:
        node.problems.absent(node.where, node.path, f"{folder} is no folder")
    return folder


def _sized(node: Node) -> tuple[str, float] | None:
    if len(node.fields()) != 1:
        raise node.wrong("one url with its size in GB is wanted")
    ((url, size),) = node.fields().items()
    return url, size.number(0)


def _managed_secrets(node: Node) -> tuple[ManagedSecret, ...]:
    found: list[ManagedSecret] = []
    for each in node.items():
        if isinstance(each.data, str):
            found.append(_managed(each.data))
            continue
        if len(each.fields()) > 1:
            each.note("one name an entry is wanted")
        for name, options in each.fields().items():
            given = options.read_fields({"mount_path": Node.text})
            found.append(evolve(_managed(name), mount_path=given.get("mount_path")))
    return tuple(found)


def _managed(text: str) -> ManagedSecret:
    name = text.removeprefix(_SECRET)
    scope, dot, rest = name.partition(".")
    return ManagedSecret(rest, scope) if dot and scope in SCOPES else ManagedSecret(name)


def _shown_value(node: Node) -> str:
    """A value of a variable as its text; a list or a mapping as Python would print it, which SkyPilot does too."""
    if isinstance(node.data, dict | list):
        node.problems.warn(node.where, node.path, "is no plain value; put it in quotes to say what you mean")
        return str(node.plain())
    return str(node.data)


FIELDS = (
    "name", "workdir", "num_nodes", "resources", "setup", "run", "envs", "secrets", "managed_secrets", "file_mounts",
    "volumes", "service", "pool", "config", "event_callback", "api_server_access", "inputs", "outputs",
)  # fmt: skip
"""Fields of a task."""

INTERNAL = ("file_mounts_mapping", "volume_mounts", "_metadata", "_user_specified_yaml")
"""Fields that SkyPilot writes for itself."""
