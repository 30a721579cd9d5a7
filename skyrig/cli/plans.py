"""Plans: what would be done for a task, and its price."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from skyrig.cli import flags
from skyrig.cli.verb import Values, flag, notify, positional, verb
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from skyrig.planning.making import Question
    from skyrig.planning.plan import Plan
    from skyrig.submitting import RunOptions
    from skyrig.task.model import Task
    from skyrig.training import TrainingRun

PLANNING = (
    flag("hours", "how long it shall run, for the price of all of it"),
    flag("catalog", "price table that is the whole world (CSV, the columns of the catalog's own)"),
    flag("preview", "insist on the preview of the engine", kind=bool),
    flag("out", "folder to write the scripts into"),
    flag("save", "file to keep the plan in, for `up --plan`"),
    *flags.JSON,
)


@verb("plan", [positional("file", "task file, or a command in quotes"), *flags.LAUNCH, *PLANNING])
def plan(values: Values) -> None:
    """Show what `launch` would do: offer, price, changes, access, fabric, scripts. Touches nothing."""
    show(values, str(values.given["file"]))


def show(values: Values, file: str) -> None:
    """Print the plan of a task file, and keep it where that is wanted."""
    from skyrig.planning import making

    task = flags.task_of(values, file)
    _shown(values, lambda: making.of_task(task, _question(values), flags.run_options(values), notify))


def show_training(values: Values, run: TrainingRun, machines: Task, options: RunOptions) -> None:
    """Print the plan of a training script."""
    from skyrig.planning import making

    _shown(
        values,
        lambda: making.of_training(run, machines, evolve(_question(values), stack=flags.cluster(values)), options),
    )


def _shown(values: Values, make: Callable[[], Plan]) -> None:
    from skyrig.planning import page, saved
    from skyrig.planning.plan import NoOffer

    as_json, keep = flags.wants_json(values), _file(values, "save")
    try:
        made = make()
    except NoOffer as error:
        if as_json:
            print(json.dumps(error.to_json(), indent=2))
        raise
    if keep is not None:
        saved.write(made, keep)
        notify(f"kept in {keep}: `up --plan {keep}` does exactly that, or nothing")
    if as_json:
        print(json.dumps(made.to_json(), indent=2))
    else:
        page.show(made)


def _question(values: Values) -> Question:
    from skyrig.planning.making import Question

    return Question(
        stack=flags.cluster(values) if values.text("cluster") is not None else None,
        hours=_hours(values),
        catalog=_file(values, "catalog"),
        preview=values.switch("preview"),
        out=_file(values, "out"),
    )


def _file(values: Values, name: str) -> Path | None:
    text = values.text(name)
    return Path(text).expanduser() if text is not None else None


def _hours(values: Values) -> float | None:
    text = values.text("hours")
    try:
        hours = float(text) if text is not None else None
    except ValueError:
        hours = -1.0
    if hours is not None and not 0 < hours < 1e6:
        raise BadInput(f"--hours {text}: a number above 0 is wanted")
    return hours
