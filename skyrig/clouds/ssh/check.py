"""What would stop a cluster on the user's own machines, found without making anything."""

from __future__ import annotations

from collections.abc import Sequence

from skyrig.clouds.cloud import Finding, Wanted
from skyrig.clouds.ssh import inventory, lending, looking
from skyrig.clouds.ssh.looking import Seen
from skyrig.errors import HostKeyMismatch, SkyrigError, Unreachable


def findings(region: str, wanted: Wanted | None) -> list[Finding]:
    """The inventory, and every machine and gate of a pool ("": of all)."""
    try:
        listed = inventory.read()
    except SkyrigError as error:
        return [Finding("inventory", False, error.message)]
    if not listed.pools:
        return [Finding("inventory", False, f"{inventory.own_file()} lists no pool of machines")]
    pools = listed.of_region(region)
    if not pools:
        return [Finding("inventory", False, f"there is no pool {region.removeprefix(inventory.PREFIX)}")]
    files = ", ".join(map(str, inventory.files()))
    seen = looking.at(pools, gates=True)
    found = [Finding("inventory", True, files), *(_machine(each) for each in seen)]
    return [*found, _enough([each for each in seen if not each.machine.is_gate], wanted)]


def _machine(seen: Seen) -> Finding:
    what = f"{'gate' if seen.machine.is_gate else 'machine'} {seen.machine.title}"
    if seen.said is None:
        return Finding(what, None if _is_away(seen) else False, _why(seen))
    if seen.machine.is_gate:
        return Finding(what, True, "answers")
    kind = seen.kind.name if seen.kind is not None else ""
    if seen.lease is not None:
        return Finding(what, None, f"{kind}, {lending.trouble(seen, '')}")
    why = lending.unfit(seen.said)
    return Finding(what, None if why else True, f"{kind}, {why or 'free'}")


def _is_away(seen: Seen) -> bool:
    """Whether a machine says nothing: that it is off is not the inventory's matter."""
    return seen.way is not None and seen.why is not None and lending.is_silent(seen.why)


def _why(seen: Seen) -> str:
    """Why a machine does not answer as ours, with what to do: the user's own key and inventory are meant."""
    way, error = seen.way, seen.why
    if way is None or error is None:
        return str(error)
    if isinstance(error, HostKeyMismatch):
        return f"{error.message} (if it was set up anew, mend host_key in {inventory.own_file()} or your known_hosts)"
    if not lending.is_silent(error) and isinstance(error, Unreachable):
        target = way.target
        port = f" -p {target.port}" if target.port != 22 else ""
        return f"it refuses {way.identity} (does `ssh -i {way.identity}{port} {target.user}@{target.host}` log in?)"
    return error.message


def _enough(seen: Sequence[Seen], wanted: Wanted | None) -> Finding:
    """Whether there are free machines for what is wanted."""
    count, name = (wanted.nodes, wanted.instance_type) if wanted is not None else (1, "")
    free = [each for each in seen if not lending.trouble(each, name)]
    what = f"{len(free)} of {len(seen)} machines are free{f' for {name}' if name else ''}"
    return Finding("free machines", len(free) >= count, what if len(free) >= count else f"{what}, {count} are wanted")
