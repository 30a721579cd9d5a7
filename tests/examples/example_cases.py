"""What is promised of each example: cases/NAME.yaml, one for each folder of examples/.

tier: landing, soak, or elsewhere (what cannot run here at all, or is run by another test: `why` says which)
needs: [torch]            modules without which the run is skipped
programs: [haproxy]       programs without which it is skipped
seconds: 300              how long the README's block may take at most
promised: ["regex", ...]  what its output must have, each on one line
renders:                  commands of the README at full size, by the name of the golden file
  full: skyrig launch resnet.yaml --infra aws --gpus A100:8
env: {KEY: value}         variables that the commands at full size take from the reader's own environment
hourly: {full: 43.97}     what `plan` says that one costs an hour; the README has the same figure
    fabric: {efa: [FI_...]}   variables that the fast network of the planned machine needs, and the plan has
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import yaml
from attrs import field, frozen

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
GOLDEN = HERE / "golden"
VERBS = (("launch",), ("jobs", "launch"), ("serve", "up"))
"""What a command at full size may begin with."""


@frozen(kw_only=True)
class Case:
    """One example's promises."""

    name: str
    tier: str
    why: str = ""
    needs: tuple[str, ...] = field(default=(), converter=tuple)
    programs: tuple[str, ...] = field(default=(), converter=tuple)
    seconds: float = 300
    promised: tuple[str, ...] = field(default=(), converter=tuple)
    also: dict[str, dict[str, Any]] = field(factory=dict)
    files: dict[str, str] = field(factory=dict)
    renders: dict[str, str] = field(factory=dict)
    env: dict[str, str] = field(factory=dict)
    hourly: dict[str, float] = field(factory=dict)
    fabric: dict[str, list[str]] = field(factory=dict)

    @property
    def readme(self) -> str:
        """The example's README."""
        return (EXAMPLES / self.name / "README.md").read_text()

    @property
    def block(self) -> str:
        """The README's commands at toy size: its one block that is marked `sh`."""
        (found,) = re.findall(r"^```sh\n(.*?)^```", self.readme, re.MULTILINE | re.DOTALL)
        return str(found)

    def words(self, render: str) -> list[str]:
        """The task file and flags of a command at full size, without its verb."""
        program, *words = shlex.split(self.renders[render])
        verb = next(verb for verb in VERBS if tuple(words[: len(verb)]) == verb)
        assert program == "skyrig"
        return [word for word in words[len(verb) :] if word not in ("-y", "-d", "--down")]


def read(file: Path) -> Case:
    """The case in a file."""
    return Case(name=file.stem, **yaml.safe_load(file.read_text()))


CASES = [read(file) for file in sorted((HERE / "cases").glob("*.yaml"))]
