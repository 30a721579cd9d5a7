"""What would be nobody's any more if the controller's node went."""

from __future__ import annotations

from skyrig.errors import BadInput, SkyrigError
from skyrig.seat import line, place


def refuse(stack: str, *, force: bool) -> None:
    """BadInput where a stack is the controller's node and jobs or clusters of theirs are left, or it cannot be asked
    for them; not with `force`."""
    cluster = place.known() if stack == place.STACK and not force else None
    if cluster is None:
        return
    hint = "--force takes it down all the same: what its jobs own stays, and is paid for"
    try:
        there = line.ask(cluster, "clusters", {}, line.Terminal(), None)
        jobs = line.ask(cluster, "queue", {"skip_finished": True}, line.Terminal(), None)["jobs"]
    except SkyrigError as error:
        raise BadInput(f"{stack}: its jobs cannot be asked for: {error.message}", hint=hint) from error
    left = [f"managed job {each['job']['id']}" for each in jobs]
    left += [f"cluster {each['name']}" for each in there if each["status"] != "DOWN"]
    if left:
        raise BadInput(f"{stack} cares for {', '.join(left)}", hint=f"`jobs.cancel --all` first; {hint}")
