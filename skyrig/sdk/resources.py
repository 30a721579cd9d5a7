"""What a node shall have: `sky.Resources`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from skyrig.sdk.clouds import Cloud, named
from skyrig.sdk.plain import Plain, given
from skyrig.task import normal, resources

if TYPE_CHECKING:
    from typing_extensions import Self

Form = TypeVar("Form")

_PLACE = ("cloud", "region", "zone")


class Resources:
    """What one node shall have, with the fields of a task file's `resources`. BadInput for what a task file could not
    say. It never changes: `copy` makes a changed one. The properties are in normal form, and where there are several
    candidates those of the first one."""

    def __init__(
        self,
        cloud: Cloud | str | None = None,
        instance_type: str | None = None,
        cpus: str | float | None = None,
        memory: str | float | None = None,
        accelerators: str | Mapping[str, float | None] | Collection[str] | None = None,
        accelerator_args: Mapping[str, Any] | None = None,
        infra: str | None = None,
        use_spot: bool | None = None,
        job_recovery: str | Mapping[str, Any] | None = None,
        region: str | None = None,
        zone: str | None = None,
        image_id: str | Mapping[str | None, str] | None = None,
        disk_size: int | str | None = None,
        disk_tier: str | None = None,
        network_tier: str | None = None,
        local_disk: str | None = None,
        ports: int | str | Collection[int | str] | None = None,
        labels: Mapping[str, str] | None = None,
        autostop: bool | int | str | Mapping[str, Any] | None = None,
        priority: int | None = None,
        priority_class: str | None = None,
        volumes: Sequence[Mapping[str, Any]] | None = None,
        max_hourly_cost: float | None = None,
        any_of: Sequence[Mapping[str, Any]] | None = None,
        ordered: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        if isinstance(accelerators, set | frozenset):
            accelerators = dict.fromkeys(sorted(accelerators))  # a set in YAML, too: any one of them
        self._take(
            given(
                cloud=cloud, instance_type=instance_type, cpus=cpus, memory=memory, accelerators=accelerators,
                accelerator_args=accelerator_args, infra=infra, use_spot=use_spot, job_recovery=job_recovery,
                region=region, zone=zone, image_id=image_id, disk_size=disk_size, disk_tier=disk_tier,
                network_tier=network_tier, local_disk=local_disk, ports=ports, labels=labels, autostop=autostop,
                priority=priority, priority_class=priority_class, volumes=volumes, max_hourly_cost=max_hourly_cost,
                any_of=any_of, ordered=ordered,
            )
        )  # fmt: skip

    @classmethod
    def from_yaml_config(cls, config: Mapping[str, Any]) -> Self:
        """The same from a task file's fields."""
        made = cls.__new__(cls)
        made._take(given(**config))
        return made

    def copy(self, **override: Any) -> Self:
        """A copy with other fields; None leaves one out. A place said anew, as `infra` or as `cloud`, `region` and
        `zone`, leaves out the other way of saying it."""
        fields = dict(self._fields)
        if override.get("infra") is not None:
            fields = {name: value for name, value in fields.items() if name not in _PLACE}
        elif any(override.get(name) is not None for name in _PLACE) and "infra" in fields:
            place = {name: self._form[name] for name in _PLACE}
            fields = {**{name: value for name, value in fields.items() if name != "infra"}, **place}
        return type(self).from_yaml_config({**fields, **override})

    def to_yaml_config(self) -> Plain:
        """Its fields in a task file, as they were given."""
        return dict(self._fields)

    def _take(self, fields: Plain) -> None:
        choice, _ = resources.of_plain(fields, "Resources(...)")
        self._fields = fields
        self._forms = [normal.of_resources(each) for each in choice.each]
        self._form = self._forms[0]

    @property
    def infra(self) -> str | None:
        """The place, CLOUD/REGION/ZONE."""
        return _optional(str, self._form["infra"])

    @property
    def cloud(self) -> Cloud | None:
        """The cloud."""
        return named(self._form["cloud"])

    @property
    def region(self) -> str | None:
        """The region."""
        return _optional(str, self._form["region"])

    @property
    def zone(self) -> str | None:
        """The zone."""
        return _optional(str, self._form["zone"])

    @property
    def instance_type(self) -> str | None:
        """Type of the machine."""
        return _optional(str, self._form["instance_type"])

    @property
    def cpus(self) -> str | None:
        """Cores: "4", "4+"."""
        return _optional(str, self._form["cpus"])

    @property
    def memory(self) -> str | None:
        """Memory in GiB: "16", "16+"."""
        return _optional(str, self._form["memory"])

    @property
    def accelerators(self) -> dict[str, float] | None:
        """Accelerators of a node, their number by name."""
        return _optional(dict, self._form["accelerators"])

    @property
    def accelerator_args(self) -> dict[str, Any] | None:
        """What TPUs are told."""
        return _optional(dict, self._form["accelerator_args"])

    @property
    def use_spot(self) -> bool:
        """Whether the machine may be taken away."""
        return bool(self._form["use_spot"])

    @property
    def job_recovery(self) -> dict[str, Any] | None:
        """How a managed job recovers."""
        return _optional(dict, self._form["job_recovery"])

    @property
    def image_id(self) -> dict[str, str] | None:
        """Images by region."""
        return _optional(dict, self._form["image_id"])

    @property
    def disk_size(self) -> int:
        """The disk, in GiB."""
        return int(self._form["disk_size"])

    @property
    def disk_tier(self) -> str | None:
        """Speed of the disk."""
        return _optional(str, self._form["disk_tier"])

    @property
    def network_tier(self) -> str | None:
        """Speed of the network."""
        return _optional(str, self._form["network_tier"])

    @property
    def ports(self) -> list[str] | None:
        """Ports that are opened, as sorted ranges."""
        return _optional(list, self._form["ports"])

    @property
    def labels(self) -> dict[str, str] | None:
        """Labels of the machine."""
        return _optional(dict, self._form["labels"])

    @property
    def priority(self) -> int | None:
        """Priority of the task in queues."""
        return _optional(int, self._form["priority"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resources) and self._forms == other._forms

    def __hash__(self) -> int:
        return hash(repr(self._forms))

    def __repr__(self) -> str:
        return f"Resources({', '.join(f'{name}={value!r}' for name, value in self._fields.items())})"


def _optional(kind: Callable[[Any], Form], value: Any) -> Form | None:
    """`value` as a `kind` of its own; None where there is none."""
    return None if value is None else kind(value)
