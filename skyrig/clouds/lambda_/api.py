"""Lambda's Cloud API: https://docs.lambda.ai/api/cloud, version 1.10."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from skyrig.clouds import keys
from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.machines_api.asking import Api, NotThere, within
from skyrig.clouds.machines_api.machine import KnownKey, Order, Rental
from skyrig.errors import SkyrigError

BASE = "https://cloud.lambda.ai/api/v1"
NO_KEY = "no key: set LAMBDA_API_KEY, or write `api_key = KEY` into ~/.lambda_cloud/lambda_keys"

_STATES = {
    "booting": "starting",
    "active": "up",
    "unhealthy": "up",
    "preempted": "gone",
    "terminating": "gone",
    "terminated": "gone",
}
"""What the states come to. An unhealthy machine is paid for and may come back; its node does not answer meanwhile. One
in a state that is not known here is there, and not up: it may be paid for."""


def key() -> str:
    """The API key; "" where there is none."""
    return keys.found("LAMBDA_API_KEY", "~/.lambda_cloud/lambda_keys", "api_key")


def connect(account: str = "") -> LambdaAccount:
    """The account of the API key here; a key opens one and no other."""
    found = key()
    if not found:
        raise NotUsable(f"lambda: {NO_KEY}")
    return LambdaAccount(Api("lambda", BASE, found))


@frozen
class LambdaAccount:
    """One account, by its API (`skyrig.clouds.machines_api.machine.Rents`)."""

    api: Api

    def machines(self) -> Sequence[Rental]:
        """All machines of the account."""
        return [_rental(each) for each in self._data("/instances")]

    def machine(self, id_: str) -> Rental | None:
        """One of them; None where there is none of that id."""
        try:
            return _rental(self._data(f"/instances/{id_}"))
        except NotThere:
            return None

    def rent(self, order: Order) -> str:
        """Launch one; its id."""
        answer = self.api.post("/instance-operations/launch", launch(order), kind="launch")
        return str(within("lambda", answer, "data", "instance_ids", 0))

    def end(self, id_: str) -> None:
        """Terminate one; nothing where it is gone."""
        try:
            self.api.post("/instance-operations/terminate", {"instance_ids": [id_]}, again=True)
        except NotThere:
            return

    def stop(self, id_: str) -> None:
        """Lambda has no such call."""
        raise SkyrigError(f"lambda: {id_} cannot be stopped: Lambda has no such call")

    def start(self, id_: str) -> None:
        """The same."""
        raise SkyrigError(f"lambda: {id_} cannot be started: Lambda has no such call")

    def known_keys(self) -> Sequence[KnownKey]:
        """The public keys that the account keeps."""
        return [KnownKey(each["id"], each["name"], each["public_key"]) for each in self._data("/ssh-keys")]

    def keep_key(self, name: str, public_key: str) -> str:
        """Have a public key kept; its id."""
        answer = self.api.post("/ssh-keys", {"name": name, "public_key": public_key})
        return str(within("lambda", answer, "data", "id"))

    def forget_key(self, id_: str) -> None:
        """Have a key gone; nothing where it is."""
        try:
            self.api.delete(f"/ssh-keys/{id_}")
        except NotThere:
            return

    def kinds(self) -> Mapping[str, Any]:
        """The types by name, each with the regions that have room for it now."""
        found: Mapping[str, Any] = self._data("/instance-types")
        return found

    def owner(self) -> str:
        """The account by Lambda's own name for it, out of its audit log, where making an API key is an entry; "" where
        the log is empty."""
        said = self._data("/audit-events", {"resource_type": "cloud.api_key"})
        events = said.get("events", said) if isinstance(said, Mapping) else said
        owners = (str(each.get("resource_owner_lrn") or "") for each in events)
        return next((each for each in owners if each), "")

    def _data(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        return within("lambda", self.api.get(path, query), "data")


def launch(order: Order) -> dict[str, Any]:
    """The body of a launch. Of disks there is no choice: each type has one of its own."""
    image = order.image
    named: dict[str, Any] = {} if not image else {"image": {"id": image} if _is_id(image) else {"family": image}}
    return {
        "region_name": order.region,
        "instance_type_name": order.kind,
        "ssh_key_names": [order.key],
        "name": order.name,
        "hostname": order.name,
        "user_data": order.told,
        "tags": [{"key": key, "value": value} for key, value in sorted(labels(order.tags).items())],
        **named,
    }


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as Lambda takes them: keys of two or more small letters, digits, "-" and ":", the first of them a letter."""
    kept = {re.sub(r"[^a-z0-9:-]", "-", name.lower()): value for name, value in tags.items() if value}
    return {name if re.fullmatch("[a-z][a-z0-9:-]+", name) else f"x-{name}": value for name, value in kept.items()}


def _is_id(image: str) -> bool:
    """Images are named by a family (lambda-stack-22-04) or by an id, which is a UUID."""
    return len(image) == 36 and image.count("-") == 4


def _rental(said: Mapping[str, Any]) -> Rental:
    cents = said.get("instance_type", {}).get("price_cents_per_hour")
    return Rental(
        id=said["id"],
        name=said.get("name") or "",
        state=_STATES.get(said["status"], "starting"),
        kind=said.get("instance_type", {}).get("name", ""),
        region=said.get("region", {}).get("name", ""),
        public=said.get("ip") or "",
        private=said.get("private_ip") or said.get("ip") or "",
        tags={each["key"]: each["value"] for each in said.get("tags") or ()},
        hourly=None if cents is None else float(cents) / 100,
        why=str(said["status"]),
    )
