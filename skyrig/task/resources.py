"""The field `resources` of a task file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap

from skyrig.cluster import shape
from skyrig.cluster.description import Accelerators
from skyrig.errors import BadInput
from skyrig.task import document
from skyrig.task.model import Resources
from skyrig.task.problems import Problems

ELSEWHERE = (
    "region",
    "zone",
    "instance_type",
    "use_spot",
    "disk_size",
    "disk_tier",
    "network_tier",
    "local_disk",
    "image_id",
    "labels",
    "max_hourly_cost",
    "priority",
)
"""Fields that are taken and say nothing on the local cloud."""

LATER = ("any_of", "ordered", "autostop", "ports", "job_recovery", "accelerator_args", "volumes", "priority_class")
"""Fields of task files that Skyrig cannot do yet."""

_HERE = ("accelerators", "gpus", "cpus", "memory", "infra", "cloud")
_UNITS = {"kb": 1 / 1024**2, "mb": 1 / 1024, "gb": 1.0, "tb": 1024.0, "": 1.0}


def read(path: Path, mapping: CommentedMap, problems: Problems) -> Resources:
    """Resources from the mapping; what is wrong goes to `problems`."""
    values: dict[str, Any] = {"accelerators": Accelerators(), "cpus": 0.0, "memory_gb": 0.0, "cloud": ""}
    elsewhere: dict[str, Any] = {}
    for key, value in mapping.items():
        where, what = document.position(path, mapping, key), f"resources.{key}"
        if key in ELSEWHERE:
            elsewhere[key] = value
        elif key not in _HERE:
            problems.unknown(where, what, (*_HERE, *ELSEWHERE), LATER)
        elif value is not None:
            try:
                values.update(_field(str(key), value))
            except BadInput as error:
                problems.add(where, what, str(error))
    return Resources(**values, elsewhere=elsewhere)


def cpus(value: Any) -> float:
    """Cores from `4`, `"4+"` or `1.5`; the plus is met by any machine with that many."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\+?", str(value))
    if not match or float(match[1]) <= 0 or isinstance(value, bool):
        raise BadInput(f"{value!r}: a number of cores is wanted, for instance 4 or 4+")
    return float(match[1])


def memory(value: Any) -> float:
    """GiB from `16`, `"16+"`, `64GB`, `512MB+`."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?b|)\+?", str(value).lower())
    if not match or float(match[1]) <= 0 or isinstance(value, bool):
        raise BadInput(f"{value!r}: an amount of memory is wanted, for instance 16 or 64GB+")
    return float(match[1]) * _UNITS[match[2]]


def _field(key: str, value: Any) -> dict[str, Any]:
    if key in ("accelerators", "gpus"):
        return {"accelerators": _accelerators(value)}
    if key == "cpus":
        return {"cpus": cpus(value)}
    if key == "memory":
        return {"memory_gb": memory(value)}
    cloud, _, _ = str(value).lower().partition("/")
    if not re.fullmatch(r"[a-z0-9]+|\*", cloud):
        raise BadInput(f"{value!r}: CLOUD or CLOUD/REGION/ZONE is wanted")
    return {"cloud": "" if cloud == "*" else cloud}


def _accelerators(value: Any) -> Accelerators:
    if isinstance(value, CommentedMap):
        if len(value) != 1:
            raise BadInput("a choice of several accelerators is not supported yet")
        name, count = next(iter(value.items()))
        return shape.accelerators(f"{name}:{1 if count is None else count}")
    if not isinstance(value, str):
        raise BadInput("a choice of several accelerators is not supported yet")
    return shape.accelerators(str(value))
