"""Bringing what happened to stacks into their ledger: runs out of the backend's history, and clusters that went off by
themselves out of the note that they left.

The ledger is kept up by whoever deploys; what was deployed without anybody keeping it is found in the history later.
"""

from __future__ import annotations

import time

from attrs import evolve

from skyrig.cluster.autostop import AutostopNote
from skyrig.ledger import book, rates
from skyrig.ledger.book import Book
from skyrig.ledger.entry import Entry, Kind
from skyrig.ledger.intervals import Interval, intervals
from skyrig.stack import autostopped, backend, deployed, lock
from skyrig.stack.deployed import Run


def keep(stack: str, *, alone: bool = False) -> None:
    """Write down what happened to a stack since that was done last. `alone` says that the caller holds the stack's
    lock: then a run without an end was cut off. On a backend that is not a file this costs an engine call."""
    goes_on = not alone and lock.is_held(stack)
    _book(stack).add(each for each in news(stack) if not (goes_on and each.kind is Kind.CUT))


def news(stack: str) -> list[Entry]:
    """What is not written down yet, at today's prices; the last run may still go on."""
    known = {each.id for each in _book(stack).entries()}
    found = [made for run in deployed.runs(stack, known) if (made := of_run(run)) is not None]
    note = autostopped.left(stack)
    if note is not None and note.acted_at:
        found.append(of_note(note))
    return [each for each in found if each.id not in known]


def note_off(stack: str, at: float) -> None:
    """Write down that a cluster was seen to be off, at `at` at the latest, of which no note tells."""
    off = Entry(f"seen-off-{int(at)}", Kind.OFF, at, at, "stopped", sure=False)
    _book(stack).add([off])


def of(stack: str, known: bool = True) -> list[Interval]:
    """What a stack was paid for. `known` says that its backend still has it; else the ledger alone tells."""
    return intervals(stack, [*_book(stack).entries(), *(news(stack) if known else ())])


def remembered() -> list[str]:
    """Names of all stacks of this backend with a ledger, also of those that were removed."""
    return book.stacks(backend.url())


def of_run(run: Run) -> Entry | None:
    """A run as an entry; None where it leaves in doubt whether less is there than before: then that is counted on."""
    if run.well is not True and (run.destroys or run.shape.power != "up"):
        return None
    shape = run.shape if run.nodes is None else evolve(run.shape, nodes=run.shape.nodes[: run.nodes], buckets=())
    gone = run.destroys or not shape.nodes
    kind, machine = shape.accelerators, shape.machine
    return Entry(
        id=run.id,
        kind=Kind.CUT if run.well is None else Kind.DEPLOYED if run.well else Kind.FAILED,
        began=run.began,
        ended=run.ended,
        power="down" if gone else shape.power,
        cloud=shape.cloud,
        region=machine.region,
        instance_type=machine.instance_type,
        accelerators=f"{kind.name}:{kind.count}" if kind.count else "",
        spot=any(paid.kind == "spot" for paid in shape.paid),
        nodes=len(shape.nodes),
        what="" if gone else str(shape),
        hourly=0.0 if gone else rates.up(shape),
        hourly_stopped=0.0 if gone else rates.stopped(shape),
        priced=time.time(),
        sure=bool(run.well) or run.nodes is not None,
    )


def of_note(note: AutostopNote) -> Entry:
    """A cluster that went off by itself as an entry."""
    power = "down" if note.down else "stopped"
    return Entry(f"off-{note.head}-{note.acted_at:.3f}", Kind.OFF, note.acted_at, note.acted_at, power)


def _book(stack: str) -> Book:
    return Book(backend.url(), stack)
