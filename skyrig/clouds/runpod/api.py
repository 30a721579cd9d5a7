"""RunPod's REST API, version 2: https://docs.runpod.io/api-reference-v2/overview. Version 1 has ended (2026-11-15)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen

from skyrig.catalog import facts
from skyrig.clouds import keys
from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.machines_api.asking import Api, NotThere, within
from skyrig.clouds.machines_api.machine import KnownKey, Order, Rental
from skyrig.errors import BadInput, SkyrigError

BASE = "https://api.runpod.io"
NO_KEY = 'no key: set RUNPOD_API_KEY, or write `api_key = "KEY"` into ~/.runpod/config.toml'

BOOT, TAGS = "SKYRIG_BOOT", "SKYRIG_TAGS"
"""Variables of a pod's container: what it runs first, and what else a cloud's tags say."""

HOME = "/root"
"""Where the volume of a pod is: what is there survives a stop, and nothing else does."""

CONTAINER_DISK_GB = 50
"""Disk of the container itself, which is lost at a stop."""

_STATES = {
    "PROVISIONING": "starting",
    "STARTING": "starting",
    "RUNNING": "up",
    "EXITED": "stopped",
    "ERROR": "failed",
    "TERMINATED": "gone",
}
_KIND = re.compile(r"(?P<count>\d+)x_(?P<gpu>.+)_(?P<tier>SECURE|COMMUNITY)")
_CONTINENTS = ("AF", "AP", "AS", "EU", "EUR", "ME", "NA", "OC", "SA")
_WHO = "query { myself { id } }"


def key() -> str:
    """The API key; "" where there is none."""
    return keys.found("RUNPOD_API_KEY", "~/.runpod/config.toml", "api_key")


def connect(account: str = "") -> RunpodAccount:
    """The account of the API key here; a key opens one and no other."""
    found = key()
    if not found:
        raise NotUsable(f"runpod: {NO_KEY}")
    return RunpodAccount(Api("runpod", BASE, found))


@frozen
class RunpodAccount:
    """One account, by its API (`skyrig.clouds.machines_api.machine.Rents`). Its machines are pods."""

    api: Api

    def machines(self) -> Sequence[Rental]:
        """All pods of the account, but for those of RunPod's own clusters."""
        return [_rental(each) for each in within("runpod", self.api.get("/v2/pods"), "pods")]

    def machine(self, id_: str) -> Rental | None:
        """One of them; None where there is none of that id."""
        try:
            return _rental(self.api.get(f"/v2/pods/{id_}"))
        except NotThere:
            return None

    def rent(self, order: Order) -> str:
        """Make one; its id."""
        return str(within("runpod", self.api.post("/v2/pods", pod(order), kind="create"), "id"))

    def end(self, id_: str) -> None:
        """Delete one, with its volume; nothing where it is gone."""
        try:
            self.api.delete(f"/v2/pods/{id_}")
        except NotThere:
            return

    def stop(self, id_: str) -> None:
        """Have one stop: its GPUs are given back."""
        self.api.post(f"/v2/pods/{id_}/action", {"action": "stop"}, again=True)

    def start(self, id_: str) -> None:
        """Have one that is stopped start, on the machine where its volume is."""
        self.api.post(f"/v2/pods/{id_}/action", {"action": "start"}, again=True)

    def known_keys(self) -> Sequence[KnownKey]:
        """None: the client's key is told to each pod, and the account's own are not touched."""
        return ()

    def keep_key(self, name: str, public_key: str) -> str:
        """Not done."""
        raise SkyrigError(f"runpod: {name}: keys are told to pods")

    def forget_key(self, id_: str) -> None:
        """Nothing to do."""

    def stock(self, gpu: str) -> Mapping[str, str]:
        """How much there is of a GPU by data center, of those that have it at all: NONE, LOW, MEDIUM or HIGH."""
        said = self.api.get("/v2/catalog/datacenters", {"include": "GPU_AVAILABILITY"})
        return {
            center["id"]: each["availability"]
            for center in said["dataCenters"]
            for each in center.get("gpuAvailability", ())
            if each["id"] == gpu
        }

    def owner(self) -> str:
        """Id of the account, which the older API alone tells."""
        said = self.api.post("/graphql", {"query": _WHO}, again=True)
        return str(((said.get("data") or {}).get("myself") or {}).get("id") or "")


def gpu_of(kind: str) -> tuple[str, int, str]:
    """RunPod's name of the GPU of a type, how many, and the tier. BadInput for another word."""
    match = _KIND.fullmatch(kind)
    found = facts.of("runpod", "gpus")["ids"].get(match["gpu"]) if match else None
    if match is None or found is None:
        raise BadInput(f"{kind}: RunPod's name of its GPU is not known")
    return str(found), int(match["count"]), match["tier"]


def country(center: str) -> str:
    """The country of a data center, by its name: US-TX-3, EU-RO-1, EUR-IS-2."""
    words = center.split("-")
    return words[1] if words[0] in _CONTINENTS and len(words) > 2 else words[0]


def pod(order: Order) -> dict[str, Any]:
    """The body that makes a pod. Its port 22 gets a public address and another number."""
    gpu, count, tier = gpu_of(order.kind)
    told = base64.b64encode(order.told.encode()).decode()
    return {
        "name": order.name,
        "image": order.image,
        "cloud": tier,
        "gpu": {"id": gpu, "count": count},
        "dataCenterIds": [order.zone],
        "disk": CONTAINER_DISK_GB,
        "mounts": {"persistent": {"size": max(order.disk_gb, 10), "path": HOME}},
        "ports": ["22/tcp"],
        "env": {BOOT: told, TAGS: json.dumps(dict(order.tags), sort_keys=True)},
        "args": f"bash -c 'printenv {BOOT} | base64 -d | bash'",
    }


def _rental(said: Mapping[str, Any]) -> Rental:
    direct = (said.get("ssh") or {}).get("direct") or {}
    gpu = said.get("gpu") or {}
    names = {id_: name for name, id_ in facts.of("runpod", "gpus")["ids"].items()}
    kind = f"{gpu.get('count', 1)}x_{names.get(gpu.get('id'), '')}_{said['cloud']}" if gpu else ""
    return Rental(
        id=said["id"],
        name=said["name"],
        state=_STATES.get(said["status"], "starting"),
        kind=kind,
        region=country(said.get("dataCenterId") or ""),
        public=direct.get("host", ""),
        private="127.0.0.1" if direct else "",
        port=int(direct.get("port", 22)),
        boot=said.get("startedAt") or "",
        tags=_tags(said["env"].get(TAGS, "")),
        hourly=float(said["cost"]),
        since=_since(said["createdAt"]),
        why=str(said["status"]),
    )


def _since(text: str) -> float | None:
    """A time in seconds since 1970, to the second: Python 3.10 reads fractions of 3 and 6 digits alone."""
    try:
        return datetime.fromisoformat(re.sub(r"\.[0-9]+", "", text).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _tags(text: str) -> dict[str, str]:
    """Tags in a pod's variable; none in one that somebody else has set."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
