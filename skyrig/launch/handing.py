"""Run on a node (stdlib only, Python 3.8): tells which models training has left in ~/sky_models, or hands one over.
`given` is its JSON input: with `name` null it prints one JSON list; else that model's folder as a tar archive.

A model is a folder with a config.json. Its `mark` changes with any of its files, `made_at` is when the newest of them
was written (seconds since the epoch), `size` is in bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tarfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROOT = os.path.expanduser("~/sky_models")

given = globals()["given"]


def files(folder: str) -> list[tuple[str, os.stat_result]]:
    """All files below `folder`, those behind links too, with their relative paths."""
    found = []
    for base, _, names in os.walk(folder, followlinks=True):
        for name in names:
            path = os.path.join(base, name)
            if os.path.isfile(path):
                found.append((os.path.relpath(path, folder), os.stat(path)))
    return sorted(found)


def told(name: str) -> dict[str, Any]:
    """What is known of one model."""
    found = files(os.path.join(ROOT, name))
    sign = json.dumps([(path, each.st_size, each.st_mtime_ns) for path, each in found])
    return {
        "name": name,
        "mark": hashlib.sha256(sign.encode()).hexdigest()[:12],
        "made_at": max(each.st_mtime for _, each in found),
        "size": sum(each.st_size for _, each in found),
    }


def names() -> list[str]:
    """Names of the models; what is being written has a name that begins with a dot."""
    there = sorted(os.listdir(ROOT)) if os.path.isdir(ROOT) else []
    return [name for name in there if name[0] != "." and os.path.isfile(os.path.join(ROOT, name, "config.json"))]


if given["name"] is None:
    sys.stdout.write(json.dumps([told(name) for name in names()]))
else:
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", dereference=True) as archive:
        for path, _ in files(os.path.join(ROOT, given["name"])):
            archive.add(os.path.join(ROOT, given["name"], path), arcname=path, recursive=False)
