"""The field `config`: what a task says about the clouds that it may run on, beyond its resources."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from skyrig.task import autostop, comeback, frontdoor, pods
from skyrig.task.autostop import Hook
from skyrig.task.comeback import Comeback
from skyrig.task.frontdoor import FrontDoor
from skyrig.task.node import Node, either, texts_by_name

MINIMIZE = ("cost", "time")
"""What may be minded most."""

PREFLIGHTS = ("off", "warn", "refuse")
"""What becomes of a job whose nodes a preflight finds unfit; "off": there is none."""

SCHEDULERS = ("slurm", "kubernetes")
"""Queues that may run a task in the place of Skyrig's own."""

_POD = ("containers", "initContainers")
_RESOURCE_WORDS = ("limits", "requests")


@frozen
class Config:
    """The block: `values` as given, and the hooks apart. `mended` is what `values` mean after mends."""

    values: Mapping[str, Any] = field(factory=dict)
    mended: Mapping[str, Any] = field(factory=dict)
    hooks: tuple[Hook, ...] = ()

    @property
    def data_stack(self) -> str:
        """The stack that keeps the task's buckets: our own key `skyrig.data_stack`; "" where it names none."""
        return str((self.values.get("skyrig") or {}).get("data_stack") or "")

    @property
    def scheduler(self) -> str:
        """Whose queue runs the task, where that is not Skyrig's: our own key `skyrig.scheduler`; "" where it names
        none."""
        return str((self.values.get("skyrig") or {}).get("scheduler") or "")

    @property
    def hours(self) -> Mapping[str, float]:
        """How many hours the task takes, as the user says: our own key `skyrig.hours`, by `ACCELERATOR:COUNT` or the
        name of an instance type, `default` for all others."""
        return dict((self.values.get("skyrig") or {}).get("hours") or {})

    @property
    def minimize(self) -> str:
        """What the choice of machines minds most, `cost` or `time`: our own key `skyrig.minimize`."""
        return str((self.values.get("skyrig") or {}).get("minimize") or "cost")

    def of_place(self, cloud: str, region: str) -> Mapping[str, Any]:
        """What is said of a cloud, with what `context_configs` says of its region above it."""
        said = self.mended.get(cloud)
        if not isinstance(said, dict):
            return {}
        of_all = {key: value for key, value in said.items() if key != "context_configs"}
        return merged(of_all, (said.get("context_configs") or {}).get(region) or {})

    def minimizing(self, what: str) -> Config:
        """The same block with another `skyrig.minimize`."""
        own = {**(self.values.get("skyrig") or {}), "minimize": what}
        return evolve(self, values={**self.values, "skyrig": own}, mended={**self.mended, "skyrig": own})

    @property
    def preflight(self) -> str:
        """Whether the job's nodes are looked at before it, and what follows, of PREFLIGHTS: our own key
        `skyrig.preflight`."""
        return str((self.values.get("skyrig") or {}).get("preflight") or PREFLIGHTS[0]).lower()

    @property
    def flush_s(self) -> float | None:
        """Seconds that files may take to reach their buckets before an autostop goes on: our own key
        `skyrig.flush_timeout`; None where it says none."""
        found = (self.values.get("skyrig") or {}).get("flush_timeout")
        return None if found is None else float(found)

    @property
    def samples(self) -> bool:
        """Whether it is written down what the task's nodes are used for: our own key `skyrig.samples`."""
        return (self.values.get("skyrig") or {}).get("samples") is not False

    @property
    def front_door(self) -> FrontDoor:
        """What a service's endpoint shall be, beyond SkyPilot's words: our own section `skyrig.serve`."""
        own = self.values.get("skyrig")
        return frontdoor.of_plain(own.get("serve") if isinstance(own, dict) else None)

    @property
    def recovery(self) -> Comeback:
        """How a managed job comes back, beyond SkyPilot's words: our own section `skyrig.recovery`."""
        own = self.values.get("skyrig")
        return comeback.of_plain(own.get("recovery") if isinstance(own, dict) else None)


def read(node: Node) -> Config:
    """The block. Sections that are not known are kept, with a warning; inside known ones a wrong field is wrong."""
    fields = node.fields()
    for name, each in fields.items():
        if name not in _TABLE and name != "hooks":
            each.problems.warn(each.where, each.path, "is not known here and does nothing")
        elif name != "hooks":
            each.read(_TABLE[name], None)
    hooks = (fields["hooks"].read(autostop.hooks, None) if "hooks" in fields else None) or ()
    values = {name: each.plain() for name, each in fields.items() if name != "hooks"}
    return Config(values, {name: _mended(each) for name, each in fields.items() if name != "hooks"}, hooks)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two sections as one: sections of the same name likewise, of anything else what stands `above`."""
    both = {
        key: merged(below[key], value) if isinstance(value, dict) and isinstance(below.get(key), dict) else value
        for key, value in above.items()
    }
    return {**below, **both}


def _mended(node: Node) -> Any:
    """The value with limits and requests of a container put where they belong, below its `resources`."""
    if isinstance(node.data, list):
        return [_mended(each) for each in node.data]
    if not isinstance(node.data, dict):
        return node.plain()
    values = {key: _mended(each) for key, each in node.data.items()}
    for kind in _POD:
        containers = values.get(kind)
        if isinstance(containers, list):
            places = node.data[kind].data
            values[kind] = [_container(place, value) for place, value in zip(places, containers, strict=True)]
    return values


def _container(node: Node, values: Any) -> Any:
    if not isinstance(values, dict) or values.get("resources", 0) is not None:
        return values
    moved = {word: values[word] for word in _RESOURCE_WORDS if word in values}
    if not moved:
        return values
    where = node.data["resources"]
    node.problems.mend(where.where, where.path, f"{' and '.join(moved)} stand beside it; taken as below it")
    return {**{key: value for key, value in values.items() if key not in moved}, "resources": moved}


def _section(table: Mapping[str, Callable[[Node], Any]], *, open_ended: bool = False) -> Callable[[Node], Any]:
    return lambda node: node.read_fields(table, open_ended=open_ended)


def _or_null(way: Callable[[Node], Any]) -> Callable[[Node], Any]:
    return lambda node: None if node.is_null else way(node)


def _texts(node: Node) -> list[str]:
    return [each.text() for each in node.items()]


def _metadata(node: Node) -> None:
    for name in ("name", "namespace"):
        if name in node.fields():
            raise node.fields()[name].wrong("cannot be set here")


def _limits(node: Node) -> Any:
    return node.number(1)


def _option(node: Node) -> Any:
    if not node.is_null and not isinstance(node.data, bool):
        if isinstance(node.data, str) and "\n" in node.data:
            raise node.wrong("an option is one line")
        if not isinstance(node.data, str):
            node.number()
    return node.plain()


def _exactly(*words: str) -> Callable[[Node], Any]:
    def read(node: Node) -> str:
        if node.data not in words:
            raise node.wrong(f"{node.shown} is none of {', '.join(words)}")
        return node.text()

    return read


def _docker_mode(node: Node) -> Any:
    if "mode" not in node.fields():
        raise node.wrong("`mode` is missing")
    return node.read_fields({"mode": _exactly(*_BUILDS), "cache_volume": Node.text})


def _run_duration(node: Node) -> Any:
    return (
        node.whole() if isinstance(node.data, int) else node.matching("[0-9]+[mhdwMHDW]?", "a time, for instance 10m,")
    )


def _identities(node: Node) -> Any:
    return [texts_by_name(each) for each in node.items()]


def _options(node: Node) -> Any:
    return {key: each.read(_option, None) for key, each in node.fields().items()}


def _hours(node: Node) -> dict[str, float]:
    return {name: _hours_on(name, each) for name, each in node.fields().items()}


def _hours_on(name: str, node: Node) -> float:
    what, colon, count = name.partition(":")
    if colon and not (what and re.fullmatch(r"[0-9]*\.?[0-9]+", count)):
        raise node.wrong(f"{name!r}: ACCELERATOR:COUNT, an instance type or default is wanted")
    if node.number() <= 0:
        raise node.wrong(f"{node.shown}: a number of hours above 0 is wanted")
    return node.number()


def _preflight(node: Node) -> str:
    """YAML reads a bare `off` as a truth value."""
    return PREFLIGHTS[0] if node.data is False else node.one_of(PREFLIGHTS)


_BUILDS = ("ALL", "BUILD")
_WHOLE: Callable[[Node], Any] = Node.whole
_POD_FIELDS: dict[str, Callable[[Node], Any]] = {
    "pod_config": pods.pod_config,
    "provision_timeout": _WHOLE,
    "custom_metadata": _metadata,
}

_TABLE: dict[str, Callable[[Node], Any]] = {
    "docker": _section({"run_options": either(_texts, Node.text)}),
    "nvidia_gpus": _section({"disable_ecc": Node.switch}),
    "active_workspace": Node.text,
    "skyrig": _section(
        {
            "data_stack": lambda node: node.matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "a stack's name"),
            "hours": _hours,
            "scheduler": lambda node: node.one_of(SCHEDULERS),
            "preflight": _preflight,
            "minimize": lambda node: node.one_of(MINIMIZE),
            "flush_timeout": lambda node: node.number(0),
            "serve": frontdoor.read,
            "recovery": comeback.read,
            "samples": Node.switch,
        }
    ),
    "gcp": _section(
        {
            "managed_instance_group": _section({"run_duration": _WHOLE, "provision_timeout": _WHOLE}),
            "enable_gvnic": Node.switch,
            "enable_gpu_direct": Node.switch,
            "placement_policy": Node.text,
            "vpc_name": _or_null(
                lambda node: node.matching(r"(?:[-a-z0-9]+/)?[-a-z0-9]+", "NETWORK or PROJECT/NETWORK")
            ),
            "subnet_names": _or_null(either(_texts, Node.text)),
        }
    ),
    "azure": _section({"vpc_name": _or_null(Node.text), "remote_identity": either(_identities, Node.filled_text)}),
    "kubernetes": _section(
        {
            **_POD_FIELDS,
            "kueue": _section({"local_queue_name": Node.text, "admission_timeout": _WHOLE}),
            "quota": _section({"queue": Node.text}, open_ended=True),
            "dws": _section({"enabled": Node.switch, "max_run_duration": _run_duration}),
            "remote_identity": either(texts_by_name, Node.text),
            "set_pod_resource_limits": either(Node.switch, _limits),
            "enable_docker": either(Node.switch, _exactly(*_BUILDS), _docker_mode),
        },
        open_ended=True,
    ),
    "ssh": _section(_POD_FIELDS),
    "slurm": _section(
        {
            "sbatch_options": _options,
            "quota": _section({"queue": Node.filled_text, "account": Node.filled_text}, open_ended=True),
            "cpu_partition": Node.text,
        },
        open_ended=True,
    ),
    "vast": _section({"datacenter_only": Node.switch, "create_instance_kwargs": Node.fields}),
}
