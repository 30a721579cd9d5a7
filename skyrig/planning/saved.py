"""A plan in a file: what `up --plan` does exactly, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from skyrig.cluster import shape as shapes
from skyrig.cluster.shape import stack_name
from skyrig.errors import BadInput
from skyrig.planning.plan import Plan
from skyrig.stack import agreement, stacks
from skyrig.stack.foreseen import Change, Forecast, PlannedUp

VERSION = 1
"""Of the file's form; another one is refused."""


def write(plan: Plan, file: Path) -> None:
    """Keep a plan. BadInput where an up could not do it from here, or the file cannot be written."""
    if not plan.is_settled:
        raise BadInput(f"--save: {plan.notes[0]}", hint="a plan that is kept must be one to carry out")
    before = agreement.come_to(plan.stack).to_config() if stacks.is_there(plan.stack) else None
    document = {
        "version": VERSION,
        "stack": plan.stack,
        "before": before,
        "shape": plan.shape.to_config(),
        "source": plan.forecast.source,
        "changes": [attrs.asdict(change) for change in plan.forecast.changes],
        "hourly": plan.price.hourly,
    }
    try:
        file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"--save {file}: {error.strerror}") from error


def read(file: Path) -> PlannedUp:
    """The plan in a file. BadInput where there is none, or one of another version."""
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if document["version"] != VERSION:
            raise BadInput(f"{file}: a plan of another Skyrig", hint="plan it again")
        before = document["before"]
        return PlannedUp(
            stack=stack_name(document["stack"]),
            before=None if before is None else shapes.from_config(before),
            shape=shapes.from_config(document["shape"]),
            forecast=Forecast(tuple(_change(each) for each in document["changes"]), document["source"]),
            hourly=document["hourly"],
        )
    except OSError as error:
        raise BadInput(f"--plan {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"--plan {file}: not a plan that `plan --save` wrote") from error


def _change(said: dict[str, Any]) -> Change:
    return Change(said["does"], said["kind"], said["name"], tuple(said["because"]), said["digest"])
