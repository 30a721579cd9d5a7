"""What a command line says instead of a task file: it holds for every candidate of the task's resources."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from skyrig.errors import BadInput
from skyrig.task import accelerators, disks, infra, quantities, recovery, resources
from skyrig.task.image import read as read_image
from skyrig.task.infra import Infra
from skyrig.task.model import GitSource, Task
from skyrig.task.node import Node, Wrong, one_word
from skyrig.task.problems import Position, Problems
from skyrig.task.resources import Choice, Resources

PLACE = "SKYRIG_INFRA"
"""Variable that says where tasks run that need a cloud, as `--infra` does."""


@frozen
class Override:
    """What is said instead; None and empty values leave it to the task. `resources` holds texts by the names of
    `FIELDS`."""

    name: str | None = None
    num_nodes: int | None = None
    workdir: str | GitSource | None = None
    resources: Mapping[str, str] = field(factory=dict)


def overridden(task: Task, override: Override) -> Task:
    """`task` with what the command line says. BadInput names the flag whose value cannot be taken."""
    return evolve(
        task,
        name=override.name or task.name,
        num_nodes=override.num_nodes or task.num_nodes,
        workdir=override.workdir or task.workdir,
        choice=_chosen(task.choice, override.resources),
    )


def placed(task: Task) -> Task:
    """`task` at the place that SKYRIG_INFRA names, where it needs a cloud and nothing else says which."""
    text = os.environ.get(PLACE, "")
    if not text or not all(each.needs_cloud for each in task.choice.each):
        return task
    try:
        infra.parse(text)
    except ValueError as error:
        raise BadInput(f"{PLACE}: {error}") from None
    return evolve(task, choice=_chosen(task.choice, {"infra": text}))


def _chosen(choice: Choice, given: Mapping[str, str]) -> Choice:
    changes = {name: _read(name, text, FIELDS[name]) for name, text in given.items() if name in FIELDS}
    places = _places(given)
    kinds = changes.pop("gpus", None)
    image, comeback = changes.pop("image_id", None), changes.pop("job_recovery", None)
    made: list[Resources] = []
    for each in choice.each:
        for place in places or [each.infra]:
            for kind in kinds.each if kinds is not None else [each.accelerator]:
                one = evolve(each, **changes, infra=_narrowed(place, given), accelerator=kind)
                if comeback is not None:
                    one = evolve(one, job_recovery=evolve(each.job_recovery or comeback, strategy=comeback.strategy))
                made.append(evolve(one, image=image.at(one.infra)) if image is not None else one)
    made = [one for number, one in enumerate(made) if one not in made[:number]]
    if choice.mode == "ordered" or (kinds is not None and kinds.ordered):
        return Choice(tuple(made), "ordered")
    return Choice(tuple(made), "any_of" if len(made) > 1 else "single")


def _places(given: Mapping[str, str]) -> list[Infra]:
    """The places that `--infra` or `--cloud A,B` name. `--infra local` beside clouds rehearses what would go there."""
    words = [word.strip() for word in given.get("cloud", "").split(",") if word.strip()]
    clouds = [_read("cloud", {"k8s": "kubernetes"}.get(word.lower(), word), _cloud) for word in words]
    if not given.get("infra"):
        return clouds
    place = _read("infra", given["infra"], infra.read)
    if clouds and place.cloud != "local":
        raise BadInput("--infra and --cloud say the same thing", hint="give one of them")
    return [place]


def _narrowed(place: Infra, given: Mapping[str, str]) -> Infra:
    """`place` with the region and zone of the flags; a zone of another region is dropped."""
    region, zone = given.get("region"), given.get("zone")
    if region is not None and region != place.region:
        place = Infra(place.cloud, region, None)
    return place if zone is None else Infra(place.cloud, place.region, zone)


def _cloud(node: Node) -> Infra:
    return Infra(infra.cloud(node))


def _read(name: str, text: str, how: Callable[[Node], Any]) -> Any:
    problems = Problems()
    node = Node(text, Position("command line"), f"--{name.replace('_', '-')}", problems)
    try:
        value = how(node)
    except Wrong as error:
        raise BadInput(f"{error.node.path}: {error.why}") from None
    if problems.wrong:
        raise BadInput(problems.wrong[0][1])
    return value


def _tier(allowed: tuple[str, ...]) -> Callable[[Node], str | None]:
    """A tier, or none: that of the cloud."""
    return lambda node: None if node.text().lower() == "none" else one_word(allowed)(node)


def _number(node: Node) -> float:
    try:
        return resources.cost(evolve(node, data=float(node.text())))
    except ValueError:
        raise node.wrong(f"{node.shown}: a number is wanted") from None


FIELDS: Mapping[str, Callable[[Node], Any]] = {
    "gpus": accelerators.read,
    "cpus": quantities.cpus,
    "memory": quantities.memory,
    "instance_type": Node.filled_text,
    "use_spot": lambda node: node.data == "true",
    "disk_size": quantities.disk_size,
    "disk_tier": _tier(disks.TIERS),
    "network_tier": _tier(resources.NETWORK_TIERS),
    "local_disk": resources.local_disk,
    "max_hourly_cost": _number,
    "image_id": read_image,
    "ports": quantities.ports,
    "job_recovery": recovery.by_flag,
}
"""Flags by their names with underscores; `use_spot` is "true" or "false"."""
