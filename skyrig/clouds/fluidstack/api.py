"""Fluidstack's Atlas API, v1alpha1: a global one that lists, and one in each region that makes. What SkyPilot used
(platform.fluidstack.io) is gone."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.machines_api.asking import Api, NotThere, within
from skyrig.clouds.machines_api.machine import KnownKey, Order, Rental
from skyrig.errors import SkyrigError

BASE, PATH = "https://api.atlas.fluidstack.io", "/api/v1alpha1"
PROJECT = "FLUIDSTACK_PROJECT_ID"
NO_KEY = "no key: set FLUIDSTACK_API_KEY, or write the key into ~/.fluidstack/api_key"
NO_PROJECT = f"no project is named: set {PROJECT} to its id"

_STATES = {
    "creating": "starting",
    "starting": "starting",
    "running": "up",
    "stopping": "stopping",
    "stopped": "stopped",
    "out-of-stock": "failed",
    "error": "failed",
    "deleting": "gone",
}
"""What the states come to. One in a state that is not known here is there, and not up: it may be paid for."""


def key() -> str:
    """The API key, which goes as a bearer token; "" where there is none."""
    if given := os.environ.get("FLUIDSTACK_API_KEY", ""):
        return given
    try:
        return Path("~/.fluidstack/api_key").expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def connect(account: str = "") -> FluidstackProject:
    """The project `account`, else the one that is named beside the key. NotUsable where there is no key, or none is."""
    found, project = key(), account or os.environ.get(PROJECT, "")
    if not found or not project:
        raise NotUsable(f"fluidstack: {NO_PROJECT if found else NO_KEY}")
    return FluidstackProject(Api("fluidstack", BASE + PATH, found, {"X-PROJECT-ID": project}))


@frozen
class FluidstackProject:
    """One project, by the API (`skyrig.clouds.machines_api.machine.Rents`)."""

    api: Api

    def machines(self) -> Sequence[Rental]:
        """All machines of the project, of all regions."""
        return [_rental(each) for each in self.api.get("/instances")]

    def machine(self, id_: str) -> Rental | None:
        """One of them; None where there is none of that id."""
        try:
            return _rental(self.api.get(f"/instances/{id_}"))
        except NotThere:
            return None

    def rent(self, order: Order) -> str:
        """Make one; its id."""
        return str(
            within("fluidstack", self.of_region(order.region).post("/instances", instance(order), kind="create"), "id")
        )

    def end(self, id_: str) -> None:
        """Delete one; nothing where it is gone."""
        if (seen := self.machine(id_)) is not None and seen.state != "gone":
            try:
                self.of_region(seen.region).delete(f"/instances/{id_}")
            except NotThere:
                return

    def stop(self, id_: str) -> None:
        """Have one stop."""
        self._act(id_, "stop")

    def start(self, id_: str) -> None:
        """Have one that is stopped start."""
        self._act(id_, "start")

    def known_keys(self) -> Sequence[KnownKey]:
        """None: the client's key is told to each machine, and the user's own are not touched."""
        return ()

    def keep_key(self, name: str, public_key: str) -> str:
        """Not done."""
        raise SkyrigError(f"fluidstack: {name}: keys are told to machines")

    def forget_key(self, id_: str) -> None:
        """Nothing to do."""

    def regions(self) -> dict[str, str]:
        """Where the API of each region is."""
        return {each["name"]: str(each["url"]).rstrip("/") for each in self.api.get("/regions")}

    def kinds(self, region: str) -> dict[str, Mapping[str, Any]]:
        """The types of a region, by name."""
        return {each["name"]: each for each in self.of_region(region).get("/instance-types")}

    def room(self, region: str) -> dict[str, int]:
        """How many of each type the project may have now in a region."""
        return {each["name"]: int(each["capacity"]) for each in self.of_region(region).get("/capacity")}

    def of_region(self, region: str) -> Api:
        """The API of a region. SkyrigError where there is no such region, or it is not Fluidstack's."""
        known = self.regions()
        if region not in known:
            raise SkyrigError(f"fluidstack: no region {region}", hint=f"there is {', '.join(sorted(known)) or 'none'}")
        url = known[region]
        if not url.startswith("https://") or not url.partition("://")[2].split("/")[0].endswith(".fluidstack.io"):
            raise SkyrigError(f"fluidstack: region {region} is said to be at {url}, where no key is sent")
        return evolve(self.api, base=url if url.endswith(PATH) else url + PATH)

    def _act(self, id_: str, action: str) -> None:
        seen = self.machine(id_)
        if seen is None:
            raise SkyrigError(f"fluidstack: machine {id_} is gone")
        self.of_region(seen.region).post(f"/instances/{id_}/actions/{action}", again=True)


def instance(order: Order) -> dict[str, Any]:
    """The body that makes a machine, which keeps its disk at a stop."""
    named = {"image": order.image} if order.image else {}
    return {
        "name": order.name,
        "type": order.kind,
        "ephemeral": False,
        "preemptible": False,
        "tags": labels(order.tags),
        "userData": base64.b64encode(order.told.encode()).decode(),
        **named,
    }


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as Fluidstack takes them: keys of letters, digits, "-", "_" and ".", with no sign at either end."""
    kept = {re.sub(r"[^A-Za-z0-9._-]", "-", name).strip("-._")[:63]: value for name, value in sorted(tags.items())}
    return {name: value for name, value in kept.items() if name and value}


def _rental(said: Mapping[str, Any]) -> Rental:
    return Rental(
        id=said["id"],
        name=said["name"],
        state=_STATES.get(said["state"], "starting"),
        kind=said["type"],
        region=said["region"],
        public=said["ip"] or "",
        private=said["ip"] or "",
        tags=dict(said["tags"]),
        why=f"fluidstack: {said['state']}",
    )
