"""Which script a `train` runs, from which folder, started how; all of it checked before anything is made."""

from __future__ import annotations

import difflib
import importlib.util
import re
from pathlib import Path, PurePosixPath

from attrs import frozen

from skyrig import places
from skyrig.errors import BadInput
from skyrig.launch.job import STRATEGIES
from skyrig.launch.program import Script
from skyrig.stack import project

DEFAULT_STRATEGY = "torchrun"

_EXAMPLES = {
    **dict.fromkeys(("torchrun", "plain", "accelerate", "deepspeed"), ("examples", "mingpt", "train.py")),
    "ray": ("examples", "ray", "train.py"),
}
_EXAMPLE_ARGUMENTS = {"deepspeed": ("--deepspeed", "ds_config.json")}
_MODULES = {
    "torchrun": ("torch", "numpy"),
    "plain": ("torch", "numpy"),
    "accelerate": ("torch", "accelerate"),
    "deepspeed": ("torch", "deepspeed"),
    "ray": ("ray", "numpy"),
}
_EXTRAS = {"accelerate": "accelerate", "deepspeed": "deepspeed", "ray": "ray"}


@frozen
class TrainingRun:
    """A script (its path relative to `workdir`), the folder that is synced to the nodes, and the strategy."""

    script: Script
    workdir: Path
    strategy: str

    @property
    def model(self) -> str:
        """What the model that comes out of it is called, where the run has no name: as the folder of the script."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.workdir.resolve().name).strip("-.") or "model"


def chosen(script: str | None, strategy: str | None, workdir: Path | None, arguments: tuple[str, ...]) -> TrainingRun:
    """What to run: `script`, else the shipped example. Without `workdir` the script's own folder is synced, with it
    the script's path is relative to that. BadInput for a strategy or script that is not there."""
    started = known_strategy(strategy or DEFAULT_STRATEGY)
    if script is None:
        if workdir is not None:
            raise BadInput("--workdir says nothing without --script")
        return _example(started, arguments)
    base = workdir if workdir is not None else Path()
    file = base / Path(script).expanduser()
    if not file.is_file():
        raise BadInput(f"--script {script}: {file} is {'no file' if file.exists() else 'not there'}")
    folder = workdir if workdir is not None else file.parent
    try:
        inside = file.absolute().relative_to(folder.absolute())
    except ValueError:
        raise BadInput(f"--script {script} is not inside --workdir {workdir}") from None
    return TrainingRun(Script(str(PurePosixPath(inside)), arguments), folder, started)


def require_packages(run: TrainingRun) -> None:
    """BadInput where the shipped example cannot run here: local nodes have the packages of this environment."""
    if run.strategy not in _EXAMPLES or run.workdir != _example_file(run.strategy).parent:
        return
    for module in _MODULES[run.strategy]:
        if importlib.util.find_spec(module) is None:
            extra = _EXTRAS.get(run.strategy, "torch")
            more = f" --strategy {run.strategy}" if run.strategy in _EXTRAS else ""
            raise BadInput(
                f"the example needs {module}", hint=f"run ./rig train{more}, or pip install 'skyrig[{extra}]'"
            )


def known_strategy(name: str) -> str:
    """`name` if it is a strategy, else BadInput with the nearest one."""
    if name not in STRATEGIES:
        near = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f"did you mean {near[0]}?" if near else "one of: " + ", ".join(STRATEGIES)
        raise BadInput(f"--strategy {name!r} is not known", hint=hint)
    return name


def _example(strategy: str, arguments: tuple[str, ...]) -> TrainingRun:
    if strategy not in _EXAMPLES:
        raise BadInput(f"there is no example for --strategy {strategy}", hint="give a script of yours with --script")
    file = _example_file(strategy)
    if not file.is_file():
        raise BadInput(
            f"the example {Path(*_EXAMPLES[strategy])} is not here", hint="give a script of yours with --script"
        )
    return TrainingRun(Script(file.name, (*_EXAMPLE_ARGUMENTS.get(strategy, ()), *arguments)), file.parent, strategy)


def _example_file(strategy: str) -> Path:
    """The project's own copy of a strategy's example, else the one that came with Skyrig."""
    own = project.find().joinpath(*_EXAMPLES[strategy])
    return own if own.is_file() else places.shipped().joinpath(*_EXAMPLES[strategy])
