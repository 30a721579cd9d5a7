"""The user's own settings for managed jobs: `jobs` in SKYRIG_HOME/config.yaml.

jobs:
  controller: here           # or stack: a small node of its own
  controller_db: postgresql://USER:PASSWORD@HOST/DATABASE
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Any

from attrs import field, frozen

from skyrig import places
from skyrig.errors import BadInput

SEAT = "SKYRIG_JOBS_CONTROLLER"
"""The variable that says where the controller is, before what the file says."""

HERE, STACK = "here", "stack"


@frozen
class Settings:
    """Where the controller of managed jobs is, HERE or on a node of its own (STACK), where that node is, and the url of
    the database that has its table ("": a file)."""

    controller: str = HERE
    controller_infra: str = "local"
    controller_db: str = field(default="", repr=False)


def read() -> Settings:
    """What the file and the environment say. BadInput for what no Skyrig knows."""
    file = places.home() / "config.yaml"
    given: dict[str, Any] = {}
    if file.exists():
        import yaml

        try:
            document = yaml.safe_load(file.read_text()) or {}
        except yaml.YAMLError as error:
            raise BadInput(f"{file} is no YAML: {str(error).splitlines()[0]}") from error
        _refuse_unknown(str(file), document, ("jobs",))
        given = document.get("jobs") or {}
        _refuse_unknown(f"{file}: jobs", given, ("controller", "controller_infra", "controller_db"))
    seat = os.environ.get(SEAT) or str(given.get("controller", HERE))
    if seat not in (HERE, STACK):
        raise BadInput(f"jobs.controller {seat!r}: {HERE} or {STACK} is wanted")
    return Settings(seat, str(given.get("controller_infra", "local")), str(given.get("controller_db") or ""))


def _refuse_unknown(where: str, values: object, known: tuple[str, ...]) -> None:
    if not isinstance(values, dict):
        raise BadInput(f"{where}: a mapping is wanted")
    for key in values:
        if key not in known:
            near = get_close_matches(str(key), known, 1)
            raise BadInput(f"{where}: no such key: {key}", hint=f"did you mean {near[0]}?" if near else "")
