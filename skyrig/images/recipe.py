"""A recipe: what an image shall have, without a task. All fields are optional; what is wrong is told with its place.

```
base: ami-0abc                # what the builder begins with; docker:IMAGE for a container
driver: 580                   # branch of NVIDIA's driver
cuda: "13.0"
fabric: efa                   # or gpudirect
packages: [build-essential]
python: {lock: requirements.lock, place: ~/venv, program: python3}
workdir: .
file_mounts: {~/weights: ./weights}
envs: {MODE: fast}
resources: {infra: aws/us-east-1, instance_type: g6.xlarge}
setup: |
  make -C /opt/kernels
```
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from skyrig import places, shell_templates
from skyrig.images import parts
from skyrig.task import document, reading
from skyrig.task.image import Image
from skyrig.task.image import read as read_image
from skyrig.task.model import Task
from skyrig.task.node import Node, text_or_number
from skyrig.task.problems import Problems

FABRICS = ("efa", "gpudirect")
TEMPLATES = places.shipped() / "templates" / "images"

_END = "SKYRIG_LOCK_ENDS"
_PLACE = re.compile(r"(~/|/)[A-Za-z0-9._/-]*[A-Za-z0-9._-]")
_PACKAGE = r"[a-z0-9][a-z0-9.+-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?"
_REQUIREMENT = re.compile(r"[A-Za-z0-9]")
_FURTHER = re.compile(r"-[rce]|--(requirement|constraint|editable)\b")


@frozen
class Python:
    """A virtual environment at `place`, made with the interpreter `program`, of exactly the packages in a lock file,
    whose text is `lock`."""

    lock: str
    place: str = "~/venv"
    program: str = "python3"


@frozen
class Recipe:
    """What an image shall have, beside what is in `task`: the builder's resources, files, variables and setup. "" and
    None where nothing is asked for."""

    base: Image | None = None
    driver: str = ""
    cuda: str = ""
    fabric: str = ""
    packages: tuple[str, ...] = ()
    python: Python | None = None
    task: Task = field(factory=Task)

    @property
    def devices(self) -> list[str]:
        """What is asked for that a machine of a cloud alone can have."""
        given = {"driver": self.driver, "cuda": self.cuda, "fabric": self.fabric}
        return [name for name, value in given.items() if value]

    def builder(self) -> Task:
        """The task of the builder: with the base, and what makes Skyrig's own boot put a fabric's stack there."""
        each = self.task.choice.each
        if self.base is not None:
            each = tuple(evolve(one, image=self.base.at(one.infra)) for one in each)
        if self.fabric == "gpudirect":
            each = tuple(evolve(one, network_tier="best") for one in each)
        return evolve(self.task, choice=evolve(self.task.choice, each=each))

    def container(self) -> str:
        """The container image that a container begins with; "" where the base is none."""
        if self.base is None:
            return ""
        named = next(iter(self.base.by_region.values()), "")
        return self.base.container or named.removeprefix("docker:")

    def texts(self, *, devices: bool = True) -> dict[str, str]:
        """What runs on the builder before the setup, by name; without `devices` only what needs no hardware."""
        found = {}
        if devices and self.driver:
            found["driver"] = parts.for_user(parts.text("nvidia-driver", self.driver))
        if devices and self.cuda:
            found["cuda"] = parts.for_user(parts.text("cuda-toolkit", self.cuda))
        if devices and self.fabric == "efa":
            found["fabric"] = parts.for_user(parts.text("efa"))
        if self.packages:
            found["packages"] = _rendered("apt.sh.j2", packages=self.packages)
        if self.python is not None:
            place = _word(self.python.place)
            found["python"] = _rendered(
                "python.sh.j2", python=self.python.program, place=place, lock=self.python.lock, end=_END
            )
        return found


def read(
    path: Path, *, env: Mapping[str, str] | None = None, secrets: Mapping[str, str] | None = None
) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe in a file, with variables of the command line, and what should be known of it. BadInput, one line a
    problem, `file:line:column: field: reason`."""
    problems = Problems()
    documents = document.load(path, problems)
    problems.raise_if_any()
    if len(documents) != 1 or not isinstance(documents[0].data, dict):
        where = documents[1] if len(documents) > 1 else Node(None, _start(path), "", problems)
        where.note("one mapping of fields is wanted: a recipe")
        problems.raise_if_any()
    node = documents[0]
    table = {**_TABLE, "python": lambda each: _python(each, path)}
    for key, each in node.fields().items():
        if key not in table and key not in _OF_TASK:
            problems.unknown(each.where, each.path, [*table, *_OF_TASK])
    own = {key: each for key, each in node.fields().items() if key in table}
    values = evolve(node, data=own).read_fields(table, null_is_absent=True)
    problems.raise_if_any()
    rest = {key: each for key, each in node.fields().items() if key in _OF_TASK}
    found = reading.of_node(evolve(node, data=rest), str(path), env=env or {}, secrets=secrets or {})
    return Recipe(**values, task=found.only()), (*found.mends, *found.warnings)


def _start(path: Path) -> Any:
    from skyrig.task.problems import Position

    return Position(str(path))


def _rendered(template: str, **values: object) -> str:
    return shell_templates.rendered(TEMPLATES, template, **values)


def _word(place: str) -> str:
    """A place as a word of a shell's, in which ~ is the node's home. It holds letters alone that mean nothing."""
    return f'"$HOME"/{place[2:]}' if place.startswith("~/") else place


def _branch(node: Node) -> str:
    text = text_or_number(node).strip()
    if not re.fullmatch(r"[0-9]{3}", text):
        raise node.wrong(f"{node.shown}: a branch of NVIDIA's driver is wanted, for instance 580")
    return text


def _cuda(node: Node) -> str:
    text = text_or_number(node).strip()
    if not re.fullmatch(r"[0-9]{2}\.[0-9]", text):
        raise node.wrong(f'{node.shown}: a version of CUDA is wanted, for instance "13.0"')
    return text


def _packages(node: Node) -> tuple[str, ...]:
    return tuple(each.matching(_PACKAGE, "the name of a package") for each in node.items())


def _python(node: Node, recipe: Path) -> Python:
    """From a mapping, or the name of the lock file alone, which is looked for beside the recipe."""
    fields: dict[str, Callable[[Node], str]] = {"lock": Node.filled_text, "place": _place, "program": _program}
    given = {"lock": node.filled_text()} if isinstance(node.data, str) else node.read_fields(fields)
    if "lock" not in given:
        raise node.wrong("lock is wanted: a file of requirements with their hashes")
    lock = recipe.expanduser().parent / Path(given.pop("lock")).expanduser()
    return Python(_checked_lock(node, lock), **given)


def _place(node: Node) -> str:
    if not _PLACE.fullmatch(node.text()) or ".." in node.text():
        raise node.wrong(f"{node.shown}: a folder is wanted, ~/... or /...")
    return node.text()


def _program(node: Node) -> str:
    return node.matching(
        r"(/[A-Za-z0-9._/-]+/)?python[0-9.]*", "a python: python3, python3.12, /opt/python/bin/python3"
    )


def _checked_lock(node: Node, lock: Path) -> str:
    """The text of a lock file. Noted is what in it has no hash: pip would refuse it on the builder, which costs money
    by then."""
    try:
        lines = lock.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise node.wrong(f"{lock}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    whole, first, found = "", 0, 0
    for number, line in enumerate(lines, 1):
        first = first if whole else number
        whole += line.split(" #")[0].strip()
        if whole.endswith("\\"):
            whole = whole[:-1] + " "
            continue
        if _FURTHER.match(whole):
            raise node.wrong(f"{lock}:{first}: {whole.split()[0]} names another file: one that holds all is wanted")
        if _REQUIREMENT.match(whole):
            found += 1
            if "--hash=" not in whole:
                raise node.wrong(
                    f"{lock}:{first}: {whole.split()[0]} has no --hash; `uv pip compile --generate-hashes`"
                )
        whole = ""
    if not found:
        raise node.wrong(f"{lock}: no package is in it")
    if _END in lines:
        raise node.wrong(f"{lock}: {_END} is in it")
    return "\n".join(lines)


_TABLE: Mapping[str, Callable[[Node], Any]] = {
    "base": read_image,
    "driver": _branch,
    "cuda": _cuda,
    "fabric": lambda node: node.one_of(FABRICS),
    "packages": _packages,
}
_OF_TASK = ("name", "workdir", "envs", "secrets", "file_mounts", "resources", "setup", "config")
"""Fields that are a task's."""
