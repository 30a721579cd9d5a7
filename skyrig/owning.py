"""Clusters that belong to a service or a managed job: what becomes of these when somebody takes the cluster away, and
what nobody may do to it meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

from skyrig import provision
from skyrig.bringing import Confirm, Notify
from skyrig.control import client as controller
from skyrig.control import table
from skyrig.control.ward import JOB, Ward, Wish
from skyrig.errors import BadInput
from skyrig.progress import Kind, Step, activity
from skyrig.stack.progress import Changes

_POLL_S = 0.2


def ward_on(stack: str | None) -> Ward | None:
    """What a cluster carries, or belongs to; None where that is nothing."""
    return table.on_stack(stack) if stack is not None and table.is_there() else None


def wards() -> dict[str, str]:
    """What clusters carry or belong to, by their names: `managed job 3`, `service m`."""
    return {each.stack: _named(each) for each in table.wards()}


def refuse(stack: str | None, verb: str) -> None:
    """BadInput for a verb on the cluster of a managed job, which is the controller's."""
    ward = ward_on(stack)
    if ward is not None and ward.kind == JOB:
        raise BadInput(
            f"cluster {stack} belongs to managed job {ward.name}: no {verb} there",
            hint=f"`jobs.cancel -j {ward.name}` ends the job, and the cluster with it",
        )


def down(
    ward: Ward, stack: str, notify: Notify, confirm: Confirm, *, force: bool = False, flush_s: float | None = None
) -> Changes:
    """Destroy a cluster with what it carries, or belongs to. BadInput where the answer is no."""
    what = f"cancel {_named(ward)}" if ward.kind == JOB else f"with it {_named(ward)}"
    if not confirm(f"destroy {stack}, and {what}?"):
        raise BadInput(f"{stack}: nothing was changed")
    if ward.kind == JOB:
        return _cancelled(ward, notify)
    from skyrig.control.services import wards as services

    with services.ending(ward.name, notify):  # the controller repairs nothing of it from here on
        services.stop(ward, notify, going=True)
        changes = provision.down(stack, notify, force=force, flush_s=flush_s)
        services.forget(ward.name)
    return changes


def _cancelled(ward: Ward, notify: Notify) -> Changes:
    """Have the controller cancel a job and take its cluster down, and wait for that."""
    from skyrig.control.jobs import wards as jobs

    jobs.cancel(int(ward.name))
    controller.ensure()
    said, now = "", table.ward(ward.name, JOB)
    with activity(notify, Step(Kind.WAIT, _named(ward), "is cancelled, and its cluster goes")):
        while now is not None and now.wish is not Wish.PAST:
            if now.reason != said:
                said = now.reason
                _tell(notify, f"{_named(ward)}: {said}" if said else "")
            time.sleep(_POLL_S)
            now = table.ward(ward.name, JOB)
    how = now.status if now is not None else "gone"
    notify(f"{_named(ward)} is {how}, and nothing is left of its cluster; job records and logs are kept")
    return Changes()


def _tell(notify: Callable[[str], None], line: str) -> None:
    if line:
        notify(line)


def _named(ward: Ward) -> str:
    return f"managed job {ward.name}" if ward.kind == JOB else f"service {ward.name}"
