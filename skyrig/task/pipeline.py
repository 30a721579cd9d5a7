"""Files of several tasks: a pipeline, whose tasks run one after another, or a job group, whose tasks run at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from skyrig.task import quantities
from skyrig.task.model import Task, TaskFile
from skyrig.task.node import Node

_GROUP_NAME = re.compile(r"[A-Za-z0-9_-]+")
_GROUP_FIELDS = ("name", "execution", "primary_tasks", "termination_delay", "inter_connection")


def split(documents: Sequence[Node]) -> tuple[Node | None, list[Node]]:
    """The header, if there is one, and the documents that are tasks."""
    first = documents[0]
    if not isinstance(first.data, dict):
        return None, list(documents)
    keys = set(first.data)
    is_group = len(documents) > 1 and "execution" in keys and first.data["execution"].data == "parallel"
    if is_group or (len(documents) > 1 and keys in ({"name"}, {"name", "execution"})):
        return first, list(documents[1:])
    return None, list(documents)


def read(header: Node | None, tasks: Sequence[Task], bodies: Sequence[Node]) -> TaskFile:
    """The file that `tasks` make under `header`; what is wrong with either is noted."""
    if header is None:
        name = tasks[0].name if len(tasks) == 1 else None
        return TaskFile(tuple(tasks), name, several=len(bodies) > 1)
    fields = header.fields()
    execution = fields["execution"].data if "execution" in fields and not fields["execution"].is_null else "serial"
    if execution == "parallel":
        return _group(header, tasks, bodies)
    if execution != "serial":
        fields["execution"].note(
            f"{fields['execution'].shown}: serial (a pipeline) or parallel (a job group) is wanted"
        )
    name = None if fields["name"].is_null else fields["name"].read(Node.text, None)
    return TaskFile(tuple(tasks), name, several=True)


def _group(header: Node, tasks: Sequence[Task], bodies: Sequence[Node]) -> TaskFile:
    fields = header.fields()
    for key, node in fields.items():
        if key not in _GROUP_FIELDS:
            node.problems.warn(node.where, node.path, "is not known in the header of a job group and does nothing")
    name = fields["name"].read(_group_name, None) if "name" in fields else None
    if "name" not in fields:
        header.note("`name` of the job group is missing")
    names: list[str] = []
    for task, node in zip(tasks, bodies, strict=False):
        place = node.data.get("name", node)
        if task.name is None:
            place.note("each job of a group needs a `name`")
        elif not _GROUP_NAME.fullmatch(task.name):
            place.note("a job of a group has letters, digits, _ and - in its name")
        elif task.name in names:
            place.note(f"{task.name!r} is the name of another job of this group")
        else:
            names.append(task.name)
    group: dict[str, Any] = {}
    if "primary_tasks" in fields and not fields["primary_tasks"].is_null:
        group["primary_tasks"] = fields["primary_tasks"].read(lambda node: _primary(node, names), None)
    if "termination_delay" in fields and not fields["termination_delay"].is_null:
        group["termination_delay"] = fields["termination_delay"].read(lambda node: _delay(node, names), None)
    if "inter_connection" in fields and not fields["inter_connection"].is_null:
        group["inter_connection"] = fields["inter_connection"].read(Node.switch, True)
    return TaskFile(tuple(tasks), name, "parallel", several=True, group=group)


def _group_name(node: Node) -> str:
    return node.matching(_GROUP_NAME.pattern, "letters, digits, _ and -")


def _primary(node: Node, names: Sequence[str]) -> list[str]:
    for each in node.items():
        if each.text() not in names:
            each.note(f"{each.shown} is no job of this group: {', '.join(names)}")
    return [each.text() for each in node.items()]


def _delay(node: Node, names: Sequence[str]) -> int | dict[str, int]:
    if not isinstance(node.data, dict):
        return quantities.seconds(node)
    for key, each in node.fields().items():
        if key != "default" and key not in names:
            each.note(f"is no job of this group: {', '.join(names)}, or default")
    return {key: quantities.seconds(each) for key, each in node.fields().items()}
