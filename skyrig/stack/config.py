"""The plain config of a stack, stacks/Pulumi.STACK.yaml: its desired state.

Comments, order and keys that are not ours (the engine's `encryptionsalt`, a cloud's `aws:region`) survive a change.
"""

from __future__ import annotations

import difflib
import io
import os
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from skyrig.cluster import shape as shapes
from skyrig.cluster.keys import NAMESPACE
from skyrig.cluster.shape import KEYS, Shape
from skyrig.errors import BadInput
from skyrig.stack import project

_PREFIX = f"{NAMESPACE}:"


def read_shape(stack: str) -> Shape:
    """The shape that the stack's config asks for; defaults where there is no file. A misspelt key or a bad value is
    BadInput with file, line and the nearest right key."""
    file = project.config_file(stack)
    values = _values(_load(file))
    given: dict[str, Any] = {}
    for key in values:
        _refuse_namespace(file, values, key)
        if not key.startswith(_PREFIX):
            continue
        name = key[len(_PREFIX) :]
        try:
            shapes.from_config({name: values[key], **_around(name, values)})
        except BadInput as error:
            raise BadInput(f"{_at(file, values, key)}: {error.message}", hint=error.hint) from error
        given[name] = values[key]
    return shapes.from_config(given)


def write_shape(stack: str, shape: Shape) -> bool:
    """Write `shape` into the stack's config. Says whether anything changed; the file is replaced as a whole or not at
    all, and left alone where nothing changes."""
    file = project.config_file(stack)
    document = _load(file)
    before, after = _text(document), _text(_with(document, shape))
    if after == before and file.exists():
        return False
    _replace(file, after)
    return True


def with_shape(stack: str, shape: Shape, salt: str | None) -> str:
    """The text that `fit_salt` and `write_shape` would leave in the stack's config; nothing is written."""
    document = _load(project.config_file(stack))
    _fitted(document, salt)
    return _text(_with(document, shape))


def _with(document: CommentedMap, shape: Shape) -> CommentedMap:
    """`document` with `shape` in it."""
    values, wanted = _values(document), shape.to_config()
    for name in KEYS:
        key = _PREFIX + name
        if name not in wanted:
            values.pop(key, None)
        elif key not in values or values[key] != wanted[name]:
            values[key] = wanted[name]
    if "config" not in document:
        document["config"] = values
    return document


def is_bare(stack: str) -> bool:
    """Whether the stack's config here says nothing of its shape: no file, or none of our keys in it."""
    return not any(str(key).startswith(_PREFIX) for key in _values(_load(project.config_file(stack))))


def fill(stack: str, source: Path | None) -> None:
    """Take over from `source`, the whole config of an earlier deployment, what the stack's config here lacks."""
    if source is None:
        return
    file = project.config_file(stack)
    document, given = _load(file), _load(source)
    values = _values(document)
    for key, value in _values(given).items():
        if key not in values and not str(key).startswith(_PREFIX):
            values[key] = value
    for key, value in given.items():
        if key not in document and key != "config":
            document[key] = value
    if values:
        document["config"] = values
    _replace(file, _text(document))


def fit_salt(stack: str, salt: str | None) -> None:
    """Make the config's `encryptionsalt` the one of the stack's state (None: the stack is new and has none). Another
    one was left there by a stack of the same name on another backend, whose passphrase need not be ours; it would stop
    the engine. A config with secret values is left alone: they need the salt that they were made with."""
    file = project.config_file(stack)
    document = _load(file)
    if _fitted(document, salt):
        _replace(file, _text(document))


def _fitted(document: CommentedMap, salt: str | None) -> bool:
    """Whether `document` had to be changed to have that salt."""
    there = document.get("encryptionsalt")
    if there == salt or there is None or "secure:" in _text(document):
        return False
    if salt is None:
        del document["encryptionsalt"]
    else:
        document["encryptionsalt"] = salt
    return True


def _around(name: str, values: CommentedMap) -> dict[str, Any]:
    """What a key is judged with that alone may make no sense: no nodes are right where there are buckets, an image,
    or nothing; buckets are right with nodes or without. Whether they fit each other is judged with all keys."""
    if name in ("buckets", "machineImage"):
        return {"nodes": [], "power": "down"}
    alone = {f"{_PREFIX}{key}" for key in ("buckets", "power", "machineImage")}
    return {"power": "down"} if name == "nodes" and alone & set(values) else {}


def _load(file: Path) -> CommentedMap:
    try:
        document = _yaml().load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return CommentedMap()
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        raise BadInput(f"{where}: {getattr(error, 'problem', None) or 'no YAML'}") from error
    if document is None:
        return CommentedMap()
    if not isinstance(document, CommentedMap):
        raise BadInput(f"{file}: a mapping is wanted at the top")
    return document


def _values(document: CommentedMap) -> CommentedMap:
    values = document.get("config")
    return values if isinstance(values, CommentedMap) else CommentedMap()


def _refuse_namespace(file: Path, values: CommentedMap, key: Any) -> None:
    """A key whose namespace is nearly ours is a slip: the engine would silently take it for another package's."""
    namespace, colon, name = str(key).partition(":")
    if namespace != NAMESPACE and difflib.SequenceMatcher(None, namespace, NAMESPACE).ratio() > 0.7:
        raise BadInput(f"{_at(file, values, key)}: unknown config key {key}", hint=f"did you mean {_PREFIX}{name}?")
    if not colon:
        near = difflib.get_close_matches(namespace, KEYS, n=1, cutoff=0.5)
        hint = f"did you mean {_PREFIX}{near[0]}?" if near else "keys are PACKAGE:NAME"
        raise BadInput(f"{_at(file, values, key)}: config key {key} has no package", hint=hint)


def _at(file: Path, values: CommentedMap, key: Any) -> str:
    line, _ = values.lc.key(key)
    return f"{file}:{line + 1}"


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _text(document: CommentedMap) -> str:
    out = io.StringIO()
    if document:
        _yaml().dump(document, out)
    return out.getvalue()


def _replace(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
        Path(temporary).chmod(file.stat().st_mode & 0o777 if file.exists() else 0o644)
        Path(temporary).replace(file)
    finally:
        Path(temporary).unlink(missing_ok=True)
