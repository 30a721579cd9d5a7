"""YAML as task files use it: version 1.1, loaded as PyYAML's safe loader does, with the place of every value.

It is PyYAML because that is what task files are written for: `3e-4` is a text, `yes` a truth value, `1_000` a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from attrs import evolve

from skyrig.errors import BadInput
from skyrig.task import repairs
from skyrig.task.node import Node
from skyrig.task.problems import Position, Problems

LIMIT = 1024 * 1024
"""Longest task file in bytes; user text that is longer belongs into the workdir."""

_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "binary", "timestamp", "str")}
_MERGE = "tag:yaml.org,2002:merge"


def load(path: Path, problems: Problems) -> list[Node]:
    """The documents of a file, null ones left out. BadInput where it cannot be read; what is no YAML is noted, and the
    list is empty then."""
    try:
        data = path.expanduser().read_bytes()
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"task file {path} does not exist") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"task file {path} is no UTF-8 text: byte {error.start}") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"task file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > LIMIT:
        raise BadInput(f"task file {path} is longer than 1 MiB", hint="put long texts into files of the workdir")
    return loads(text, str(path), problems)


def loads(text: str, name: str, problems: Problems) -> list[Node]:
    """The same from a text; `name` stands for the file in messages. Text that is only broken in a known way is repaired
    first, and what was repaired is noted."""
    repaired = repairs.repaired(text)
    for repair in repaired.repairs:
        problems.mend(Position(name, repair.line), repair.what, repair.how)
    try:
        composed = list(yaml.compose_all(repaired.text, Loader=yaml.SafeLoader))
        return [_built(name, node, problems) for node in composed if node is not None and not _is_null(node)]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = Position(name, mark.line + 1, mark.column + 1) if mark else Position(name)
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or "this is no YAML"
        problems.add(where, "", f"no YAML: {' '.join(str(said).split())}")
    except RecursionError:
        problems.add(Position(name), "", "no task file: nested too deeply")
    return []


def of_plain(data: Any, name: str, problems: Problems, path: str = "") -> Node:
    """Our node for plain data that a program has made; `name` says which call, and stands for the file in messages."""
    made = Node(data, Position(name, 0), path, problems)
    if isinstance(data, Mapping):
        fields = {
            key: of_plain(each, name, problems, f"{path}.{key}" if path else str(key)) for key, each in data.items()
        }
        return evolve(made, data=fields)
    if isinstance(data, list):
        return evolve(made, data=[of_plain(each, name, problems, f"{path}[{n}]") for n, each in enumerate(data)])
    if data is not None and not isinstance(data, str | bool | int | float):
        made.note(f"{made.shown} is no plain value: a text, a number or a truth value is wanted")
        return evolve(made, data=None)
    return made


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _built(name: str, root: yaml.Node, problems: Problems) -> Node:
    return _Builder(name, problems).node(root, "")


class _Builder:
    """Turns composed nodes into ours: plain scalars, lists and mappings, nothing else."""

    def __init__(self, name: str, problems: Problems) -> None:
        self._name = name
        self._problems = problems
        self._open: set[int] = set()
        self._scalars = yaml.constructor.SafeConstructor()

    def node(self, given: yaml.Node, path: str, where: Position | None = None) -> Node:
        """Our node for `given`, which a field called `path` at `where` has as its value."""
        made = Node(None, where or self._position(given), path, self._problems)
        if id(given) in self._open:
            made.note("holds itself (an alias of what it is in)")
            return made
        self._open.add(id(given))
        try:
            if isinstance(given, yaml.ScalarNode):
                return evolve(made, data=self._scalar(given, made))
            if isinstance(given, yaml.SequenceNode):
                items = [self.node(each, f"{path}[{number}]") for number, each in enumerate(given.value)]
                return evolve(made, data=items)
            return evolve(made, data=self._mapping(given, path))
        finally:
            self._open.discard(id(given))

    def _mapping(self, given: yaml.Node, path: str) -> dict[Any, Node]:
        found: dict[Any, Node] = {}
        for key, value, merged in self._pairs(given):
            name = self._key(key)
            where = self._position(key)
            full = f"{path}.{name}" if path else str(name)
            if merged and name in found:
                continue
            if name in found:
                first = found[name].where.line
                self._problems.add(where, full, f"stands here twice; the first is in line {first}")
            found[name] = self.node(value, full, where)
        return found

    def _pairs(self, given: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
        """Keys and values, own ones first, then those merged with `<<`, which give way to own ones."""
        later: list[yaml.Node] = []
        for key, value in given.value:
            if key.tag == _MERGE:
                later += value.value if isinstance(value, yaml.SequenceNode) else [value]
            else:
                yield key, value, False
        for other in later:
            if not isinstance(other, yaml.MappingNode):
                self._problems.add(self._position(other), "<<", "a mapping is wanted")
            elif id(other) not in self._open:
                self._open.add(id(other))
                yield from ((key, value, True) for key, value, _ in self._pairs(other))
                self._open.discard(id(other))

    def _key(self, given: yaml.Node) -> Any:
        if not isinstance(given, yaml.ScalarNode):
            self._problems.add(self._position(given), "", "the name of a field is a plain word, no list or mapping")
            return f"<{given.start_mark.line}>"
        return self._scalar(given, Node(None, self._position(given), str(given.value), self._problems))

    def _scalar(self, given: yaml.ScalarNode, made: Node) -> Any:
        if given.tag not in _SCALARS:
            made.note(f"{given.tag} is not taken in task files")
            return None
        try:
            return self._scalars.construct_object(given)
        except (yaml.YAMLError, ValueError, OverflowError, IndexError) as error:
            made.note(f"{given.value!r} cannot be taken: {getattr(error, 'problem', None) or error}")
            return None

    def _position(self, given: yaml.Node) -> Position:
        return Position(self._name, given.start_mark.line + 1, given.start_mark.column + 1)
