"""YAML as task files use it (version 1.1: `yes` is a boolean), with the position of every key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode

from skyrig.errors import BadInput
from skyrig.task.problems import Position


class _Constructor(RoundTripConstructor):
    """Plain words as the loader reads them that task files were written for: `3e-4`, without a point, and the letters
    `y` and `n` are texts."""

    def construct_yaml_float(self, node: ScalarNode) -> Any:
        """A float, or the text itself where it has an exponent and no point."""
        if "." not in node.value and "e" in node.value.lower():
            return str(node.value)
        return super().construct_yaml_float(node)

    def construct_yaml_bool(self, node: ScalarNode) -> Any:
        """A boolean, or the text itself where it is a single letter."""
        return str(node.value) if len(node.value) == 1 else super().construct_yaml_bool(node)


_Constructor.add_constructor("tag:yaml.org,2002:float", _Constructor.construct_yaml_float)
_Constructor.add_constructor("tag:yaml.org,2002:bool", _Constructor.construct_yaml_bool)


def load(path: Path) -> CommentedMap:
    """The one mapping that the file holds. BadInput names file, line and column of what is no YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(f"task file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"task file {path} cannot be read: {error}") from error
    yaml = YAML(typ="rt")
    yaml.version = (1, 1)
    yaml.Constructor = _Constructor
    try:
        documents = [document for document in yaml.load_all(text) if document is not None]
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = Position(str(path), mark.line + 1, mark.column + 1) if mark else Position(str(path))
        raise BadInput(f"{where}: {getattr(error, 'problem', None) or 'no YAML'}") from error
    if not documents:
        raise BadInput(f"task file {path} is empty")
    if len(documents) > 1:
        raise BadInput(f"task file {path}: several documents (a pipeline) are not supported yet")
    if not isinstance(documents[0], CommentedMap):
        raise BadInput(f"{Position(str(path))}: a mapping of fields is wanted at the top")
    return documents[0]


def position(path: Path, mapping: CommentedMap, key: Any) -> Position:
    """Where `key` of `mapping` stands in the file."""
    line, column = mapping.lc.key(key)
    return Position(str(path), line + 1, column + 1)
