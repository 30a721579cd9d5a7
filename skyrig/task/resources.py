"""The field `resources`: what a node shall have, as one or several candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from attrs import evolve, field, frozen

from skyrig.task import accelerators, autostop, disks, document, infra, quantities, tpu
from skyrig.task.accelerators import Accelerator, Candidates
from skyrig.task.autostop import Autostop, Hook
from skyrig.task.disks import Disk, attached
from skyrig.task.image import Image
from skyrig.task.image import read as read_image
from skyrig.task.infra import Infra
from skyrig.task.node import Node, Wrong, internal, one_word, texts_by_name
from skyrig.task.problems import Problems, lines
from skyrig.task.recovery import JobRecovery
from skyrig.task.recovery import read as read_recovery

NETWORK_TIERS = ("standard", "best")
_AMOUNT = r"0*[1-9][0-9]*(?:\.[0-9]+)?\+?|0*\.[0-9]*[1-9][0-9]*\+?"
_LOCAL_DISK = rf"(?i:nvme|ssd)(?::(?:{_AMOUNT}))?|{_AMOUNT}"
_LEAST_LOCAL_DISK_GB = 100


@frozen
class Resources:
    """What one node shall have; None where nothing is asked. Amounts are in their normal form: `cpus` "4+", `memory` in
    GiB "64.0+", `disk_size` in GiB, `ports` as sorted ranges. `config` is the task's `config` block without hooks;
    `mounts` is whether the task mounts buckets."""

    infra: Infra = field(factory=Infra)
    instance_type: str | None = None
    cpus: str | None = None
    memory: str | None = None
    accelerator: Accelerator | None = None
    accelerator_args: Mapping[str, Any] | None = None
    use_spot: bool | None = None
    job_recovery: JobRecovery | None = None
    disk_size: int | None = None
    disk_tier: str | None = None
    network_tier: str | None = None
    local_disk: str | None = None
    max_hourly_cost: float | None = None
    ports: tuple[str, ...] | None = None
    image: Image | None = None
    labels: Mapping[str, str] | None = None
    autostop: Autostop | None = None
    hooks: tuple[Hook, ...] = ()
    priority: int | None = None
    priority_class: str | None = None
    disks: tuple[Disk, ...] = ()
    mounts: bool = False
    config: Mapping[str, Any] = field(factory=dict)

    @property
    def accelerator_count(self) -> int:
        """Accelerators of each node, a share of one counted as one."""
        return -int(-self.accelerator.count // 1) if self.accelerator else 0

    @property
    def needs_cloud(self) -> bool:
        """Whether this asks for what a cloud alone has. What names the local cloud is a rehearsal, and does not."""
        elsewhere = self.image is not None and self.image.cloud not in (None, "local")
        return self.infra.cloud != "local" and (
            self.accelerator is not None or self.infra.cloud is not None or elsewhere
        )

    @property
    def unheeded_locally(self) -> list[str]:
        """Names of the fields that are given and say nothing on the local cloud."""
        fields = ("region", "zone", "instance_type", "memory", "disk_size", "disk_tier", "network_tier",
                  "local_disk", "max_hourly_cost", "image", "labels", "priority", "priority_class", "accelerator_args",
                  "disks", "hooks", "job_recovery")  # fmt: skip
        place = self.infra if self.infra.cloud != "local" else infra.Infra()  # there are places of that name there
        given = {**attrs.asdict(self, recurse=False), "region": place.region, "zone": place.zone}
        if self.image is not None and self.image.ours is not None:
            given["image"] = None  # it is the nodes' there, or refused
        names = {"image": "image_id", "disks": "volumes", "hooks": "config.hooks"}
        return [names.get(name, name) for name in fields if given[name]] + [
            f"config.{key}" for key in self.config if key != "skyrig"
        ]


@frozen
class Choice:
    """The candidates of a task. `mode` is "single", "any_of" (the cheapest will do) or "ordered" (the first that can be
    had)."""

    each: tuple[Resources, ...] = (Resources(),)
    mode: str = "single"


def read(node: Node, base: Resources) -> Choice:
    """The candidates from the field; `base` holds what the rest of the task file says about all of them."""
    values = _single(node, _TABLE, null_is_absent=True)
    any_of, ordered = values.pop("any_of", None), values.pop("ordered", None)
    candidates: Candidates = values.pop("accelerators", Candidates())
    _refuse_conflicts(node, candidates, any_of, ordered)
    if any_of or ordered:
        variants = [_merged(values, candidates, each) for each in any_of or ordered or ()]
        made = [one for own, kinds in variants for one in _each_kind(node, base, own, kinds)]
        mode = "ordered" if ordered else "any_of" if len(made) > 1 else "single"
        return Choice(_agreeing(node, made), mode)
    made = _each_kind(node, base, values, candidates)
    mode = "ordered" if candidates.ordered and candidates.each else "any_of" if len(made) > 1 else "single"
    return Choice(tuple(made), mode)


def of_plain(data: Mapping[str, Any], name: str) -> tuple[Choice, list[str]]:
    """The candidates from plain data that a program has made, and what was mended; `name` says which call, and stands
    for the file in messages. BadInput tells all that is wrong."""
    problems = Problems()
    choice = document.of_plain(data, name, problems).read(lambda node: read(node, Resources()), Choice())
    problems.raise_if_any()
    return choice, lines(problems.mends)


def _single(node: Node, table: Mapping[str, Any], *, null_is_absent: bool) -> dict[str, Any]:
    """The fields of one candidate, those with two names under one."""
    given = node.fields()
    if "gpus" in given and "accelerators" in given:
        given["gpus"].note("is another name of accelerators: give one of them")
    values = node.read_fields(table, null_is_absent=null_is_absent)
    if "gpus" in values:
        values["accelerators"] = values.pop("gpus")
    return values


def _merged(base: Mapping[str, Any], kinds: Candidates, own: Mapping[str, Any]) -> tuple[dict[str, Any], Candidates]:
    """A candidate of any_of or ordered laid over the fields that stand beside it; labels of both are kept."""
    values = {**base, **own}
    if base.get("labels") and own.get("labels"):
        values["labels"] = {**base["labels"], **own["labels"]}
    return values, values.pop("accelerators", kinds)


def _each_kind(node: Node, base: Resources, values: Mapping[str, Any], kinds: Candidates) -> list[Resources]:
    made = []
    for kind in kinds.each or (None,):
        try:
            made.append(_resources(node, base, values, kind))
        except Wrong as error:
            error.node.note(error.why)
    return made


def _resources(node: Node, base: Resources, values: Mapping[str, Any], kind: Accelerator | None) -> Resources:
    given = dict(values)
    for name in [name for name in given if name.startswith("_") or name == "ephemeral_storage"]:
        del given[name]
    if given.get("infra") and any(given.get(name) for name in ("cloud", "region", "zone")):
        node.note("infra says the same as cloud, region and zone: give one of them")
    place = given.pop("infra", None) or Infra(given.get("cloud"), given.get("region"), given.get("zone"))
    for name in ("cloud", "region", "zone"):
        given.pop(name, None)
    attached_disks = given.pop("volumes", ())
    stop, hook = given.pop("autostop", (None, None))
    hooks = (*base.hooks, hook) if hook is not None else base.hooks
    image = given.pop("image_id", None)
    args = given.pop("accelerator_args", None)
    if kind is not None and tpu.is_one(kind.name):
        place, args = tpu.placed(node, kind.name, place, args, given.get("instance_type"))
    return evolve(
        base,
        **given,
        infra=place,
        accelerator=kind,
        accelerator_args=args,
        autostop=stop,
        hooks=hooks,
        image=image.at(place) if image is not None else None,
        disks=base.disks or attached_disks,
    )


def _refuse_conflicts(node: Node, kinds: Candidates, any_of: object, ordered: object) -> None:
    if any_of is not None and ordered is not None:
        node.fields()["ordered"].note("cannot stand beside any_of: give one of them")
    if len(kinds.each) > 1 and ordered:
        node.fields()["ordered"].note("cannot stand beside several accelerators; write one into each candidate")
    if len(kinds.each) > 1 and kinds.ordered and any_of:
        node.fields()["any_of"].note("cannot stand beside a list of accelerators; write one into each candidate")


def _agreeing(node: Node, made: list[Resources]) -> tuple[Resources, ...]:
    """The candidates, whose priorities must be one: a task waits in one place."""
    if len({(each.priority, each.priority_class) for each in made}) > 1:
        node.note("the candidates have different priorities; a task has one")
    return tuple(made)


def _candidate(node: Node) -> dict[str, Any]:
    return _single(node, _CANDIDATE, null_is_absent=False)


def _candidates(node: Node) -> list[dict[str, Any]]:
    return [each.read(_candidate, {}) for each in node.items()]


def local_disk(node: Node) -> str:
    """Disks of the machine itself, `nvme:1000+`, also from `nvme` (at least 100 GB) and `1000+`."""
    text = node.matching(_LOCAL_DISK, "nvme:1000+, ssd:500, nvme or 1000+").lower()
    if text in ("nvme", "ssd"):
        return f"{text}:{_LEAST_LOCAL_DISK_GB}+"
    return text if ":" in text else f"nvme:{text}"


def cost(node: Node) -> float:
    """The highest price of a node, in USD an hour."""
    if node.number() <= 0:
        raise node.wrong(f"{node.shown}: a price above 0 is wanted, in USD an hour")
    return node.number()


def _priority_class(node: Node) -> str | None:
    return node.text().strip() or None


def _accelerator_args(node: Node) -> dict[str, Any]:
    return node.read_fields(
        {"runtime_version": Node.text, "tpu_name": Node.text, "tpu_vm": Node.switch, "gcp_queued_resource": Node.switch}
    )


def _hooks_elsewhere(node: Node) -> None:
    raise node.wrong("hooks stand in the task's `config`, as config.hooks")


_BOTH: dict[str, Any] = {
    "cloud": infra.cloud,
    "region": Node.text,
    "zone": Node.text,
    "infra": infra.read,
    "cpus": quantities.cpus,
    "memory": quantities.memory,
    "instance_type": Node.text,
    "use_spot": Node.switch,
    "job_recovery": read_recovery,
    "disk_size": quantities.disk_size,
    "ephemeral_storage": quantities.size_gb,
    "disk_tier": one_word(disks.TIERS),
    "network_tier": one_word(NETWORK_TIERS),
    "local_disk": local_disk,
    "max_hourly_cost": cost,
    "ports": quantities.ports,
    "labels": lambda node: texts_by_name(node) or None,
    "accelerator_args": _accelerator_args,
    "image_id": read_image,
    "autostop": autostop.read,
    "priority": lambda node: node.whole(-1000, 1000),
    "priority_class": _priority_class,
    "volumes": attached,
    "hooks": _hooks_elsewhere,
    **dict.fromkeys(
        ("_docker_login_config", "_is_image_managed", "_requires_fuse", "_no_missing_accel_warnings"), internal
    ),
}
_CANDIDATE = {**_BOTH, "accelerators": accelerators.one, "gpus": accelerators.one}
_TABLE = {
    **_BOTH,
    "accelerators": accelerators.read,
    "gpus": accelerators.read,
    "any_of": _candidates,
    "ordered": _candidates,
}
