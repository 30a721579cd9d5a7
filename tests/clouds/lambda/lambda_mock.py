"""Lambda's API on loopback. Its machines are records, or real SSH servers that were told what cloud-init would be."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any, Self

import yaml
from api_mock import Answer, ApiMock
from machine_served import Served, free_address

KEY, OTHER = "secret_lambda_" + secrets.token_hex(16), "secret_other_" + secrets.token_hex(16)
OWNER = "lrn:account:5f2b7a"
REGIONS = ("us-east-1", "us-west-1")
KIND = "gpu_1x_a10"
_CAPACITY = ("instance-operations/launch/insufficient-capacity", "Not enough capacity to fulfill launch request.")


def error(code: str, message: str, **more: str) -> dict[str, Any]:
    """A refusal as the API words it."""
    return {"error": {"code": code, "message": message, **more}}


class LambdaMock(ApiMock):
    """One account. `rooms` are the regions that have room, `boot_s` is how long a machine boots. With a folder
    `homes` its machines are real ones."""

    def __init__(self, homes: Path | None = None, boot_s: float = 0.2) -> None:
        super().__init__(Path(__file__).with_name("openapi.json"), KEY)
        self.homes = homes
        self.boot_s = boot_s
        self.rooms = set(REGIONS)
        self.instances: dict[str, dict[str, Any]] = {}
        self.ssh_keys: dict[str, dict[str, str]] = {}
        self.told: dict[str, str] = {}
        self.served: dict[str, Served] = {}
        self.owners = {KEY: OWNER}
        self._up_at: dict[str, float] = {}
        self.work = {
            "listInstances": lambda query: {"data": [self._seen(id_) for id_ in list(self.instances)]},
            "getInstance": lambda id_, query: {"data": self._seen(id_)},
            "launchInstance": self._launch,
            "terminateInstance": self._terminate,
            "listInstanceTypes": lambda query: {"data": {KIND: self._kind()}},
            "listSSHKeys": lambda query: {"data": list(self.ssh_keys.values())},
            "addSSHKey": self._add_key,
            "deleteSSHKey": self._delete_key,
            "getAuditEvents": lambda query: {"data": self._events()},
        }

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for each in self.served.values():
            each.close()

    def unauthorized(self) -> Any:
        return error("global/invalid-api-key", "API key was invalid, expired, or deleted.")

    def there(self, stack: str = "") -> dict[str, dict[str, Any]]:
        """The machines that are there, by node."""
        found = {}
        for each in self.instances.values():
            tags = {tag["key"]: tag["value"] for tag in each["tags"]}
            if each["status"] in ("booting", "active", "unhealthy") and stack in ("", tags["skyrig-stack"]):
                assert tags["skyrig-node"] not in found, "two machines for one node"
                found[tags["skyrig-node"]] = {**each, "named": tags}
        return found

    def lose(self, stack: str, node: str) -> None:
        """Take a machine away, behind everybody's back."""
        self._end(self.there(stack)[node]["id"])

    def _launch(self, body: dict[str, Any]) -> Any:
        region = body["region_name"]
        if body["ssh_key_names"][0] not in {each["name"] for each in self.ssh_keys.values()}:
            raise Answer(404, error("global/object-does-not-exist", "Specified SSH key does not exist."))
        if region not in self.rooms:
            raise Answer(400, error(*_CAPACITY, suggestion="Choose an instance type with more availability."))
        id_ = secrets.token_hex(16)
        self.instances[id_] = {
            "id": id_,
            "name": body["name"],
            "status": "booting",
            "ssh_key_names": body["ssh_key_names"],
            "file_system_names": [],
            "region": {"name": region, "description": region},
            "instance_type": self._kind()["instance_type"],
            "actions": {
                what: {"available": True} for what in ("migrate", "rebuild", "restart", "cold_reboot", "terminate")
            },
            "tags": body["tags"],
        }
        self.told[id_] = body["user_data"]
        self._up_at[id_] = time.monotonic() + self.boot_s
        return {"data": {"instance_ids": [id_]}}

    def _seen(self, id_: str) -> dict[str, Any]:
        if id_ not in self.instances:
            raise Answer(404, error("global/object-does-not-exist", "Specified instance does not exist."))
        each = self.instances[id_]
        if each["status"] == "booting" and time.monotonic() > self._up_at[id_]:
            address = free_address()
            each |= {"status": "active", "ip": address, "private_ip": address, "hostname": each["name"]}
            if self.homes is not None:
                said = yaml.safe_load(self.told[id_])
                client = said["users"][0]["ssh_authorized_keys"][0]
                private = said["ssh_keys"]["ed25519_private"]
                self.served[id_] = Served(self.homes / id_, address, 22, private, client)
        return dict(each)

    def _end(self, id_: str) -> None:
        self.instances[id_]["status"] = "terminated"
        if id_ in self.served:
            self.served.pop(id_).close()

    def _terminate(self, body: dict[str, Any]) -> Any:
        for id_ in body["instance_ids"]:
            if id_ not in self.instances:
                raise Answer(404, error("global/object-does-not-exist", "Specified instance does not exist."))
            self._end(id_)
        return {"data": {"terminated_instances": [self._seen(id_) for id_ in body["instance_ids"]]}}

    def _add_key(self, body: dict[str, Any]) -> Any:
        if body["name"] in {each["name"] for each in self.ssh_keys.values()}:
            raise Answer(400, error("global/duplicate", "The SSH key name is already in use."))
        id_ = secrets.token_hex(16)
        self.ssh_keys[id_] = {"id": id_, "name": body["name"], "public_key": body["public_key"]}
        return {"data": self.ssh_keys[id_]}

    def _delete_key(self, id_: str, query: object) -> Any:
        if self.ssh_keys.pop(id_, None) is None:
            raise Answer(404, error("global/object-does-not-exist", "Specified SSH key does not exist."))
        return {"data": {}}

    def _kind(self) -> dict[str, Any]:
        return {
            "instance_type": {
                "name": KIND,
                "description": "1x A10 (24 GB PCIe)",
                "gpu_description": "A10 (24 GB PCIe)",
                "price_cents_per_hour": 75,
                "specs": {"vcpus": 30, "memory_gib": 200, "storage_gib": 1400, "gpus": 1},
            },
            "regions_with_capacity_available": [{"name": each, "description": each} for each in sorted(self.rooms)],
        }

    def open_to(self, key: str, owner: str) -> None:
        """Let another account's key in too; it sees the same machines, and is told of its own account."""
        self.keys.add(key)
        self.owners[key] = owner

    def _events(self) -> dict[str, Any]:
        event = {"resource_owner_lrn": self.owners[self.caller], "resource_lrns": [], "action": "created"}
        return {"events": [event], "page_token": None}
