"""A task that a Python program builds: `sky.Task`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from attrs import evolve

from skyrig.errors import BadInput
from skyrig.sdk import dag
from skyrig.sdk.plain import Plain, given, plain, text
from skyrig.sdk.resources import Resources
from skyrig.sdk.storage import Storage
from skyrig.task import document, model, pipeline, reading, writing
from skyrig.task.node import Node
from skyrig.task.problems import Problems

if TYPE_CHECKING:
    from typing_extensions import Self

Lines = str | Sequence[str] | None
"""A text, also as its lines."""

Asked = Resources | Mapping[str, Any] | Sequence[Resources | Mapping[str, Any]] | set[Resources]
"""Resources; a list is tried in its order, of a set any one will do."""

Pairs = Mapping[str, str | None] | Iterable[tuple[str, str | None]] | None
"""Variables by name."""

Estimator = Callable[[Resources], float]
"""How many seconds a task takes on what a candidate asks for."""

Mount = str | PurePath | Storage | Mapping[str, Any]
"""What a place on the nodes gets."""


class Task:
    """One task, with the fields of a task file; every change is read by the readers of task files, and one that they
    refuse is BadInput and changes nothing. Methods that change it return it. In the `with` block of a `Dag` it joins
    that one."""

    best_resources: Resources | None = None
    """What `sky.optimize` chose; None before."""

    _estimator: Estimator | None = None

    def __init__(
        self,
        name: str | None = None,
        *,
        setup: Lines = None,
        run: Lines = None,
        envs: Mapping[str, str | None] | None = None,
        secrets: Mapping[str, str | None] | None = None,
        workdir: str | PurePath | Mapping[str, Any] | None = None,
        num_nodes: int | None = None,
        file_mounts: Mapping[str, Mount] | None = None,
        storage_mounts: Mapping[str, Storage] | None = None,
        volumes: Mapping[str, Any] | None = None,
        resources: Asked | None = None,
        event_callback: str | None = None,
        service: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        fields = given(
            name=name, setup=text(setup), run=text(run), envs=envs, secrets=secrets, workdir=workdir,
            num_nodes=num_nodes, file_mounts=_mounts(file_mounts, storage_mounts), volumes=volumes,
            resources=_asked(resources), event_callback=event_callback, service=service, config=config,
        )  # fmt: skip
        self._begin(fields, _read(fields))

    @classmethod
    def from_yaml(cls, yaml_path: str | PurePath) -> Self:
        """The one task in a file."""
        path = Path(yaml_path)
        return cls._from_file(reading.load(path), document.load(path, Problems()))

    @classmethod
    def from_yaml_str(cls, yaml_str: str) -> Self:
        """The one task in a text."""
        return cls._from_file(reading.loads(yaml_str, "YAML"), document.loads(yaml_str, "YAML", Problems()))

    @classmethod
    def from_yaml_config(
        cls,
        config: Mapping[str, Any],
        env_overrides: Pairs = None,
        secrets_overrides: Pairs = None,
    ) -> Self:
        """The task from a task file's fields; overrides win over its own variables."""
        made = cls.__new__(cls)
        fields = {name: value for name, value in plain(config).items() if value is not None}
        for name, more in (("envs", env_overrides), ("secrets", secrets_overrides)):
            if more:
                fields[name] = {**(fields.get(name) or {}), **dict(more)}
        made._begin(fields, _read(fields))
        return made

    @classmethod
    def _from_file(cls, file: model.TaskFile, documents: list[Node]) -> Self:
        file.only()
        made = cls.__new__(cls)
        bodies = pipeline.split(documents)[1] if documents else []
        fields = bodies[0].plain() if bodies else {}
        made._begin({name: value for name, value in fields.items() if value is not None}, file)
        return made

    def _begin(self, fields: Plain, file: model.TaskFile) -> None:
        self._fields, self._file = fields, file
        joined = dag.current()
        if joined is not None:
            joined.add(self)

    def _with(self, **changes: Any) -> Self:
        fields = {name: value for name, value in {**self._fields, **changes}.items() if value is not None}
        file = _read(fields)
        mends = tuple(dict.fromkeys((*self._file.mends, *file.mends)))
        self._fields, self._file = fields, evolve(file, mends=mends)
        return self

    def _mounted(self, kind: type) -> dict[str, Any]:
        """Mounts as they were given, variables in them not yet filled in: copies are texts, buckets mappings."""
        return {at: each for at, each in self._fields.get("file_mounts", {}).items() if isinstance(each, kind)}

    @property
    def file(self) -> model.TaskFile:
        """What it is now, as a task file with this one task would be read."""
        return self._file

    @property
    def value(self) -> model.Task:
        """The task as a value that never changes."""
        return self._file.only()

    @property
    def name(self) -> str | None:
        """Its name."""
        return self.value.name

    @name.setter
    def name(self, name: str | None) -> None:
        self._with(name=name)

    @property
    def run(self) -> str | None:
        """What runs on every node."""
        return self.value.run

    @run.setter
    def run(self, run: Lines) -> None:
        self._with(run=text(run))

    @property
    def setup(self) -> str | None:
        """What makes a node ready."""
        return self.value.setup

    @setup.setter
    def setup(self, setup: Lines) -> None:
        self._with(setup=text(setup))

    @property
    def num_nodes(self) -> int:
        """How many nodes it runs on."""
        return self.value.num_nodes

    @num_nodes.setter
    def num_nodes(self, num_nodes: int | None) -> None:
        self._with(num_nodes=num_nodes)

    @property
    def workdir(self) -> str | dict[str, str] | None:
        """The folder that is synced to ~/sky_workdir; a git repository as its `url` and `ref`."""
        workdir: str | dict[str, str] | None = self.to_yaml_config().get("workdir")
        return workdir

    @workdir.setter
    def workdir(self, workdir: str | PurePath | Mapping[str, Any] | None) -> None:
        self._with(workdir=plain(workdir))

    @property
    def envs(self) -> dict[str, str]:
        """Environment variables."""
        return dict(self.value.env)

    @property
    def secrets(self) -> dict[str, str]:
        """Secret environment variables, with their values."""
        return dict(self.value.secrets)

    @property
    def file_mounts(self) -> dict[str, str]:
        """Sources of plain copies by their place on the nodes."""
        return dict(self.value.mounts.copies)

    @property
    def storage_mounts(self) -> dict[str, Storage]:
        """Buckets by their place on the nodes."""
        written = self.to_yaml_config().get("file_mounts", {})
        return {at: Storage.from_yaml_config(each) for at, each in written.items() if isinstance(each, dict)}

    @property
    def volumes(self) -> dict[str, Any]:
        """Volumes by their place on the nodes."""
        return dict(self.value.volumes)

    @property
    def resources(self) -> list[Resources]:
        """The candidates: one, or several of which one will do."""
        written = self.to_yaml_config().get("resources", {})
        each = written.get("ordered") or written.get("any_of") or [written]
        return [Resources.from_yaml_config(fields) for fields in each]

    @property
    def event_callback(self) -> str | None:
        """What runs when a managed job changes its state."""
        return self.value.event_callback

    def set_resources(self, resources: Asked) -> Self:
        """Have these resources and no others."""
        self._with(resources=plain(_asked(resources)))
        return self if self._estimator is None else self.set_time_estimator(self._estimator)

    def set_time_estimator(self, func: Estimator) -> Self:
        """Take `func` for how long the task takes: it gets each candidate and returns seconds. It is asked now and when
        the resources change; what it said is `skyrig.hours` in the task's config."""
        hours = {_hours_of(each): func(each) / 3600 for each in self.resources}
        config = self._fields.get("config") or {}
        self._with(config={**config, "skyrig": {**(config.get("skyrig") or {}), "hours": hours}})
        self._estimator = func
        return self

    def set_resources_override(self, override: Mapping[str, Any]) -> Self:
        """Change fields of every candidate."""
        made = [each.copy(**override) for each in self.resources]
        return self.set_resources(set(made) if self.value.choice.mode == "any_of" else made)

    def set_file_mounts(self, file_mounts: Mapping[str, Mount] | None) -> Self:
        """Have these copies and no others; buckets stay."""
        return self._with(file_mounts=plain(_mounts(file_mounts, self._mounted(dict))))

    def update_file_mounts(self, file_mounts: Mapping[str, Mount]) -> Self:
        """Have these copies too."""
        return self._with(file_mounts=plain({**self._fields.get("file_mounts", {}), **file_mounts}))

    def set_storage_mounts(self, storage_mounts: Mapping[str, Storage] | None) -> Self:
        """Have these buckets and no others; copies stay."""
        return self._with(file_mounts=plain(_mounts(self._mounted(str), storage_mounts)))

    def update_storage_mounts(self, storage_mounts: Mapping[str, Storage]) -> Self:
        """Have these buckets too."""
        return self.update_file_mounts(storage_mounts)

    def set_volumes(self, volumes: Mapping[str, Any]) -> Self:
        """Have these volumes and no others."""
        return self._with(volumes=plain(volumes))

    def update_envs(self, envs: Pairs) -> Self:
        """Have these variables too."""
        return self._with(envs={**self._fields.get("envs", {}), **plain(dict(envs or {}))})

    def update_secrets(self, secrets: Pairs) -> Self:
        """Have these secrets too."""
        there = self._fields.get("secrets") or {}  # or a list of names in a secret store
        kept = there if isinstance(there, dict) else dict.fromkeys(there)
        return self._with(secrets={**kept, **plain(dict(secrets or {}))})

    def set_service(self, service: Mapping[str, Any] | None) -> Self:
        """Be a service with these fields, or none."""
        return self._with(service=plain(service))

    def to_yaml_config(self, *, secrets: bool = False) -> Plain:
        """Its fields in a task file, in normal form. Values of secrets are left out unless asked for."""
        return writing.of_task(self.value, secrets=secrets)

    def __rshift__(self, after: Task) -> Task:
        joined = dag.current()
        if joined is None:
            raise BadInput("tasks are put in order in a Dag", hint="with sky.Dag(): a >> b")
        joined.add_edge(self, after)
        return after

    def __repr__(self) -> str:
        return f"Task({self.name!r})" if self.name else "Task()"


def _read(fields: Plain) -> model.TaskFile:
    name = fields.get("name")
    return reading.of_plain(fields, f"Task({name!r})" if isinstance(name, str) else "Task(...)")


def _asked(resources: Asked | None) -> Any:
    """Resources as a task file has them."""
    if isinstance(resources, set | frozenset):
        return next(iter(resources)) if len(resources) == 1 else {"any_of": resources}
    if isinstance(resources, list | tuple):
        return resources[0] if len(resources) == 1 else {"ordered": resources}
    return resources


def _hours_of(asked: Resources) -> str:
    """What stands for a candidate in `skyrig.hours`."""
    if asked.instance_type is not None:
        return asked.instance_type
    return next((f"{name}:{count:g}" for name, count in (asked.accelerators or {}).items()), "default")


def _mounts(copies: Mapping[str, Mount] | None, buckets: Mapping[str, Storage] | None) -> dict[str, Any] | None:
    """Both as a task file has them: in one place."""
    return {**(copies or {}), **(buckets or {})} or None
