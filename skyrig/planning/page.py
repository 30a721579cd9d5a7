"""A plan on one page, for the reader: colours on a terminal, plain lines in a pipe."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from skyrig.catalog import ages, costs
from skyrig.catalog.offers import Offer
from skyrig.catalog.prices import ANYWHERE
from skyrig.planning.plan import Plan, Price
from skyrig.stack.foreseen import ENGINE, Change, Forecast

_NEXT = 3
"""How many machines are shown after the chosen one."""

_PIPE_WIDTH = 240
"""Columns where there is no terminal: nothing is cut off."""

_MOST_REASONS = 6
_MARKS = {"create": ("+", "green"), "update": ("~", "yellow"), "replace": ("!", "bold red"), "delete": ("-", "red")}


def show(plan: Plan) -> None:
    """Print the page."""
    _print(plan, Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH))


def text(plan: Plan) -> str:
    """The page as plain text."""
    out = io.StringIO()
    _print(plan, Console(file=out, width=_PIPE_WIDTH, color_system=None))
    return out.getvalue()


def _print(plan: Plan, console: Console) -> None:
    nodes = len(plan.shape.nodes)
    what = f"{nodes} node{'' if nodes == 1 else 's'}, {'on what is there' if plan.is_there else 'a new cluster'}"
    console.print(Text(f"Plan of {plan.task or 'the task'} on {plan.stack}: {what}", style="bold"), soft_wrap=True)
    for title, lines in _sections(plan):
        console.print(Text(title, style="bold cyan"))
        for line in lines:
            console.print(line, soft_wrap=True)


def _sections(plan: Plan) -> Iterator[tuple[str, list[Text | Table]]]:
    yield "Offer", [*_offers(plan)]
    yield "Price", [_line(each) for each in _price(plan.price)]
    yield "Changes", [*_changes(plan.forecast)]
    yield "Access", [_line(each) for each in _access(plan)]
    if plan.rights:
        yield "Identity of the nodes", [_line(str(each)) for each in plan.rights]
    if plan.fabric.kind != "none":
        env = [f"{name}={value}" for name, value in sorted(plan.fabric.env.items())]
        yield f"Fabric: {plan.fabric.kind}", [_line(each) for each in env or ["no environment of its own"]]
    if plan.saving is not None:
        yield "Image", [_line(str(plan.saving))]
    if plan.buckets:
        yield "Buckets", [_line(each) for each in plan.buckets]
    yield "Scripts", [_line(each) for each in _scripts(plan)]
    if rejected := [*_rejected(plan)]:
        yield "Not offered", [_line(each) for each in rejected]
    if plan.notes:
        yield "To be known", [_line(each) for each in plan.notes]


def _line(text: str, style: str = "") -> Text:
    return Text(f"  {text}", style=style)


def _offers(plan: Plan) -> Iterator[Text | Table]:
    """The chosen one, why, and the next ones."""
    if plan.chosen is None:
        yield _line(f"{plan.shape}: {plan.why}")
    ranked = list(plan.ranking.offers)
    rows = _first_of_each(([plan.chosen] if plan.chosen is not None else []) + ranked)
    if rows:
        yield _drawn(plan, rows[: _NEXT + (plan.chosen is not None)])
    if plan.chosen is not None:
        yield _line(f"chosen: {plan.why}")
    for cloud, why in plan.missing.items():
        if why and plan.chosen is not None and any(offer.cloud == cloud for offer in ranked):
            yield _line(f"{cloud} cannot be used from here: {why}", "yellow")


def _first_of_each(offers: list[Offer]) -> list[Offer]:
    """The best offer of each machine of each cloud: the same one in the next region is no news."""
    found: dict[tuple[str, str, bool], Offer] = {}
    for offer in offers:
        found.setdefault((offer.cloud, offer.kind.name, offer.spot), offer)
    return list(found.values())


def _drawn(plan: Plan, offers: list[Offer]) -> Table:
    drawn = Table(box=None, pad_edge=True, padding=(0, 2, 0, 2))
    timed = any(offer.hours for offer in offers)
    for head in ("", "machine", "place", "accelerators", "", "price", "as of", *(("takes", "in all") if timed else ())):
        drawn.add_column(head, no_wrap=True)
    for offer in offers:
        kind, chosen = offer.kind, offer is plan.chosen
        zone = plan.shape.machine.zone if chosen else offer.zone
        price = None if offer.hourly is None else offer.hourly * plan.ranking.nodes
        drawn.add_row(
            "->" if chosen else "",
            f"{plan.ranking.nodes} x {kind.name}",
            f"{offer.cloud}/{zone or offer.region}".removesuffix(f"/{ANYWHERE}"),
            f"{kind.accelerator}:{kind.accelerator_count:g}" if kind.accelerator else "CPU",
            "spot" if offer.spot else "on demand",
            costs.said(price),
            ages.said(offer.as_of) if offer.as_of else "",
            *(_in_all(offer, plan.ranking.nodes) if timed else ()),
            style="bold" if chosen else "",
        )
    return drawn


def _in_all(offer: Offer, nodes: int) -> tuple[str, str]:
    """How long it takes there by the task's own estimate, and what that costs."""
    total = offer.total(nodes)
    if offer.hours is None or total is None:
        return "not known", ""
    return f"{offer.hours:g} h", f"${total:.2f}"


def _price(price: Price) -> Iterator[str]:
    """What it costs an hour, and in all."""
    parts = f"nodes {costs.said(price.nodes)}, gateways and addresses {costs.said(price.network)}"
    yield f"{costs.said(price.hourly)} ({parts})" if price.network else costs.said(price.hourly)
    if price.egress:
        yield f"${price.egress:.2f} once, to bring the inputs there"
    if price.hours is not None and price.total is not None:
        yield f"${price.total:.2f} for {price.hours:g} h"


def _changes(forecast: Forecast) -> Iterator[Text]:
    """Each kind of resource in one line, nodes that would be lost in lines of their own."""
    counts = forecast.counts
    said = (
        f"{counts.create} to create, {counts.update} to update, {counts.replace} to replace, {counts.delete} to delete"
    )
    yield _line(f"{said} ({'the preview of the engine' if forecast.source == ENGINE else 'counted offline'})")
    if forecast.note:
        yield _line(forecast.note, "yellow")
    lost = [change for change in forecast.changes if change.is_node and change.does in ("replace", "delete")]
    for change in lost:
        because = f" (another {', '.join(change.because)})" if change.because else ""
        yield _line(f"! {change.name}: a node would be {change.does}d{because}, with all that is on it", "bold red")
    for (does, kind), names in _by_kind([change for change in forecast.changes if change not in lost]).items():
        mark, style = _MARKS[does]
        yield _line(f"{mark} {kind}  {', '.join(names)}", style)


def _by_kind(changes: list[Change]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for change in changes:
        found.setdefault((change.does, change.kind), []).append(change.name)
    return found


def _access(plan: Plan) -> Iterator[str]:
    machine = plan.shape.machine
    if not plan.shape.is_rented:
        yield "logins: this machine alone"
    else:
        yield f"logins by SSH from {', '.join(machine.ssh_from)}"
    yield f"open ports: {', '.join(plan.shape.ports)}" if plan.shape.ports else "no open ports"


def _scripts(plan: Plan) -> Iterator[str]:
    """Where the rendered files of rank 0 lie; other ranks have the same ones beside it."""
    ranks = sorted({path.parents[0] for path in plan.scripts if path.parents[0].name.startswith("rank-")})
    for path in plan.scripts:
        if ranks and ranks[0] in path.parents:
            yield str(path)
    if len(ranks) > 1:
        yield f"and the same for {len(ranks) - 1} more rank{'s' if len(ranks) > 2 else ''}, beside it"


def _rejected(plan: Plan) -> Iterator[str]:
    """The most frequent reasons, each with how many offers it has cost."""
    reasons = Counter((each.cloud, each.reason) for each in plan.ranking.rejected)
    for (cloud, reason), count in reasons.most_common(_MOST_REASONS):
        yield f"{cloud}: {reason}" + (f" ({count} types and places)" if count > 1 else "")
    if len(reasons) > _MOST_REASONS:
        yield f"and for {len(reasons) - _MOST_REASONS} more reasons: --json has each"
