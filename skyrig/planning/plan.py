"""A plan: one value with all that is known before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from skyrig.catalog.offers import Offer
from skyrig.catalog.ranking import Ranking
from skyrig.catalog.rights import Right
from skyrig.cluster.description import Fabric
from skyrig.cluster.shape import Shape
from skyrig.errors import NoCapacity
from skyrig.planning.setups import Saving
from skyrig.stack.foreseen import Forecast


@frozen
class Price:
    """USD an hour while the cluster is up: `nodes` of all its nodes (None: not known), `network` of its gateways and
    addresses; `hours` is how long it shall run, None where nobody says; `egress` what it costs once to bring its inputs
    there, in USD."""

    nodes: float | None
    network: float = 0.0
    hours: float | None = None
    egress: float = 0.0

    @property
    def hourly(self) -> float | None:
        """USD an hour of all of it."""
        return None if self.nodes is None else self.nodes + self.network

    @property
    def total(self) -> float | None:
        """USD for all the hours, and the egress; None where hours or price are not known."""
        return None if self.hourly is None or self.hours is None else self.hourly * self.hours + self.egress

    def to_json(self) -> dict[str, float | None]:
        """The object of `plan --json`."""
        return {
            "nodes_hourly": self.nodes,
            "network_hourly": self.network,
            "hourly": self.hourly,
            "hours": self.hours,
            "egress": self.egress,
            "total": self.total,
        }


@frozen
class Plan:
    """What `up` or `launch` would do for a task. `shape` is what the stack would be, `is_there` whether something of it
    is. `chosen` is what would be rented (None: nothing, `why` says what the task gets instead), out of `ranking`.
    `missing` says by cloud why it cannot be used. `scripts` are the rendered files, `notes` what else is to be known.
    `is_settled` says that nothing in the shape stands for what an up would have to find out first; `saving` is what an
    image that was built here means for the task (None: it names none)."""

    stack: str
    task: str
    shape: Shape
    is_there: bool
    ranking: Ranking
    chosen: Offer | None
    why: str
    missing: Mapping[str, str]
    price: Price
    forecast: Forecast
    rights: tuple[Right, ...] = ()
    fabric: Fabric = field(factory=Fabric)
    scripts: tuple[Path, ...] = ()
    buckets: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_settled: bool = True
    saving: Saving | None = None

    def to_json(self) -> dict[str, Any]:
        """The document of `plan --json`."""
        machine, offers = self.shape.machine, [offer_json(each, self) for each in self.ranking.offers]
        own = offer_json(self.chosen, self) if self.chosen is not None else self._there()
        return {
            "stack": self.stack,
            "task": self.task,
            "offer": own,
            "offers": offers if self.chosen is not None else [own, *offers],
            "why": self.why,
            "rejected": [each.to_json() for each in self.ranking.rejected],
            "clouds": clouds_json(self.missing),
            "cost": self.price.to_json(),
            "changes": changes_json(self.forecast),
            "ports": list(self.shape.ports),
            "ssh_from": list(machine.ssh_from),
            "identity": [{"action": r.action, "resource": r.resource, "reason": r.reason} for r in self.rights],
            "fabric": {"kind": self.fabric.kind, "env": dict(self.fabric.env)},
            "buckets": list(self.buckets),
            "image": self.saving.to_json() if self.saving is not None else None,
            "scripts": [str(path) for path in self.scripts],
            "notes": list(self.notes),
        }

    def _there(self) -> dict[str, Any]:
        """What the task gets without renting anything new, in the form of an offer."""
        machine, each = self.shape.machine, self.shape.accelerators
        return {
            "cloud": self.shape.cloud,
            "region": machine.region,
            "zone": machine.zone,
            "instance_type": machine.instance_type,
            "accelerators": {each.name: each.count} if each.count else None,
            "num_nodes": len(self.shape.nodes),
            "use_spot": machine.capacity.kind == "spot",
            "hourly_cost": self.price.nodes,
            "usable": True,
        }


class NoOffer(NoCapacity):
    """Nothing fits a task (exit code 3). `ranking` has why not, `missing` by cloud why it cannot be used."""

    def __init__(self, error: NoCapacity, ranking: Ranking, missing: Mapping[str, str]) -> None:
        super().__init__(error.message, hint=error.hint)
        self.ranking = ranking
        self.missing = missing

    def to_json(self) -> dict[str, Any]:
        """The document of `plan --json` then."""
        rejected = [each.to_json() for each in self.ranking.rejected]
        return {
            "offer": None,
            "offers": [],
            "rejected": rejected,
            "clouds": clouds_json(self.missing),
            "why": self.message,
        }


def clouds_json(missing: Mapping[str, str]) -> list[dict[str, Any]]:
    """Which clouds can be used, as `plan --json` shows it."""
    return [{"cloud": name, "usable": not why, "missing": why} for name, why in missing.items()]


def offer_json(offer: Offer, plan: Plan) -> dict[str, Any]:
    """One offer as `plan --json` shows it; `hourly_cost` is USD of all nodes."""
    kind = offer.kind
    chosen = offer is plan.chosen
    return {
        "cloud": offer.cloud,
        "region": offer.region,
        "zone": offer.zone or (plan.shape.machine.zone if chosen else ""),
        "instance_type": kind.name,
        "accelerators": {kind.accelerator: kind.accelerator_count} if kind.accelerator else None,
        "num_nodes": plan.ranking.nodes,
        "use_spot": offer.spot,
        "hourly_cost": None if offer.hourly is None else offer.hourly * plan.ranking.nodes,
        "as_of": offer.as_of,
        "source": offer.source,
        "usable": not plan.missing.get(offer.cloud),
    }


def changes_json(forecast: Forecast) -> dict[str, Any]:
    """The object `changes` of `plan --json`."""
    counts = forecast.counts
    return {
        "create": counts.create,
        "update": counts.update,
        "replace": counts.replace,
        "delete": counts.delete,
        "source": forecast.source,
        "note": forecast.note,
        "resources": [
            {"does": each.does, "type": each.kind, "name": each.name, "because": list(each.because)}
            for each in forecast.changes
        ],
    }
