"""The catalog: what accelerators there are and what they cost, and how its prices become today's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from skyrig.cli import flags
from skyrig.cli.verb import Values, flag, notify, positional, verb
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from skyrig.task.infra import Infra


@verb(
    "gpus",
    [
        positional("accelerator", "a name, or NAME:COUNT; all without it", optional=True),
        flag("name n", "the same"),
        flags.INFRA,
        flag("all-regions", "every region, not the cheapest one of each type", kind=bool),
        flag("all a", "all accelerators, which is what is shown anyway", kind=bool),
        *flags.JSON,
    ],
)
def gpus(values: Values) -> None:
    """Show accelerators, who has them, and what they cost; with a name every type that has it."""
    from skyrig.catalog import accelerators
    from skyrig.cli import tables

    as_json = flags.wants_json(values)
    name, count = _name_and_count(values)
    found = accelerators.listed(_place(values))
    if name is None and not values.switch("all-regions"):
        short = accelerators.summaries(found)
        if as_json:
            print(json.dumps({"accelerators": [each.to_json() for each in short]}, indent=2))
        else:
            tables.accelerators(short)
        return
    offers = found if name is None else accelerators.named(found, name, count)
    offers = offers if values.switch("all-regions") else accelerators.cheapest_regions(offers)
    if as_json:
        print(json.dumps({"offers": [each.to_json() for each in offers]}, indent=2))
    else:
        tables.accelerator_offers(offers)


def _name_and_count(values: Values) -> tuple[str | None, float | None]:
    from skyrig.task import accelerators

    text = values.text("accelerator") or values.text("name")
    if text is None:
        return None, None
    name, colon, _ = text.rpartition(":")
    if not colon:
        return text, None
    try:
        return name, accelerators.parse(text.replace(" ", "")).count  # some names have blanks
    except ValueError as error:
        raise BadInput(str(error)) from None


def _place(values: Values) -> Infra:
    from skyrig.task import infra

    text = values.text("infra")
    try:
        return infra.Infra() if text is None else infra.parse(text)
    except ValueError as error:
        raise BadInput(f"--infra: {error}") from None


@verb(
    "refresh",
    [
        flag("cloud", "clouds to ask: A,B; all that can be asked from here without it"),
        flag("region", "regions to ask the one cloud about: A,B"),
        *flags.JSON,
    ],
)
def refresh(values: Values) -> None:
    """Get today's prices from the clouds themselves."""
    from skyrig import refreshing

    as_json = flags.wants_json(values)
    done = refreshing.refresh(_words(values, "cloud"), _words(values, "region"), notify)
    if as_json:
        print(json.dumps({"clouds": [each.to_json() for each in done]}, indent=2))


def _words(values: Values, name: str) -> list[str]:
    return [word.strip() for word in (values.text(name) or "").split(",") if word.strip()]
