"""The rendering cases: each file of cases/ says what to render; golden/NAME/ holds what must come out of it."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

from skyrig.launch.job import Scripts
from skyrig.launch.program import Script, UserText
from skyrig.launch.render import render_launch, render_setup

HERE = Path(__file__).parent
CASES = sorted((HERE / "cases").glob("*.yaml"))


def rendered(case: Path) -> Scripts:
    """What Skyrig makes of a case."""
    given = YAML(typ="safe").load(case)
    if "setup" in given:
        return render_setup(_text(given["setup"]))
    if "run" in given:
        return render_launch(UserText(_text(given["run"])), given["strategy"], given.get("nodes", 1))
    words = tuple(_text(word) for word in given.get("args", []))
    return render_launch(Script(given["script"], words), given["strategy"])


def _text(value: str | bytes) -> str:
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value
