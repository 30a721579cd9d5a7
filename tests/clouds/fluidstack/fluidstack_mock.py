"""Fluidstack's global API and that of one region on loopback. Its machines are records, or real SSH servers that were
told what cloud-init would be."""

from __future__ import annotations

import base64
import secrets
import time
import uuid
from pathlib import Path
from typing import Any, Self

import yaml
from api_mock import Answer, ApiMock
from machine_served import Served, free_address

KEY, OTHER = "fs_" + secrets.token_hex(20), "fs_" + secrets.token_hex(20)
PROJECT, OTHERS = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
REGION, KIND = "eu-1", "h100-hgx-80gb.1x"


def own_prices() -> str:
    """What the user says of the type and its price: no list does."""
    told = f"cloud: fluidstack, region: {REGION}, instance_type: {KIND}, on_demand: 2.5"
    return f"prices:\n  - {{{told}, accelerator: H100, count: 1, vcpus: 26, memory_gib: 200}}\n"


class FluidstackMock(ApiMock):
    """Two projects. `stock` is how many of the type there are, `boot_s` how long a machine boots. With a folder `homes`
    its machines are real ones, each at another address after a start."""

    def __init__(self, homes: Path | None = None, boot_s: float = 0.2) -> None:
        super().__init__(Path(__file__).with_name("openapi.json"), KEY)
        self.keys.add(OTHER)
        self.homes = homes
        self.boot_s = boot_s
        self.stock = 8
        self.instances: dict[str, dict[str, Any]] = {}
        self.told: dict[str, str] = {}
        self.served: dict[str, Served] = {}
        self.region_url = f"https://{REGION}.atlas.fluidstack.io"
        self._up_at: dict[str, float] = {}
        self.work = {
            "ListRegions": lambda query: [{"name": REGION, "url": self.region_url}],
            "ListInstances": lambda query: [self._seen(id_) for id_ in list(self.instances) if self._is_mine(id_)],
            "GetInstance": lambda id_, query: self._seen(id_),
            "PostInstances": self._create,
            "DeleteInstancesId": self._delete,
            "PostInstancesIdActionsStart": lambda id_, query: self._switch(id_, "starting"),
            "PostInstancesIdActionsStop": lambda id_, query: self._switch(id_, "stopped"),
            "GetInstanceTypes": lambda query: [
                {"name": KIND, "cpu": 26, "memory": "200Gi", "gpu_model": "GH100_H100_SXM5_80GB", "gpu_count": 1},
                {"name": "cpu.2x", "cpu": 2, "memory": "8Gi"},
            ],
            "GetCapacity": lambda query: [{"name": KIND, "capacity": self.stock}],
        }

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for each in self.served.values():
            each.close()

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, "FLUIDSTACK_API_KEY": KEY, "FLUIDSTACK_PROJECT_ID": PROJECT}

    def unauthorized(self) -> Any:
        return {"message": "invalid token"}

    def there(self, stack: str = "") -> dict[str, dict[str, Any]]:
        """The machines that are there, by node."""
        found = {}
        for each in self.instances.values():
            if stack in ("", each["tags"]["skyrig-stack"]):
                assert each["tags"]["skyrig-node"] not in found, "two machines for one node"
                found[each["tags"]["skyrig-node"]] = each
        return found

    def end(self, id_: str) -> None:
        """Have a machine gone."""
        self.instances.pop(id_)
        if id_ in self.served:
            self.served.pop(id_).close()

    def _is_mine(self, id_: str) -> bool:
        return bool(self.instances[id_]["project_id"] == self._project())

    def _project(self) -> str:
        return {name.lower(): value for name, value in self.headers.items()}.get("x-project-id", "")

    def _create(self, body: dict[str, Any]) -> Any:
        id_ = str(uuid.uuid4())
        self.told[id_] = base64.b64decode(body["userData"]).decode()
        self.instances[id_] = {
            "id": id_,
            **{name: body[name] for name in ("name", "type", "ephemeral", "preemptible", "tags")},
            "state": "creating" if self.stock else "out-of-stock",
            "ip": None,
            "image": body.get("image", "image://ubuntu22.04"),
            "project_id": self._project(),
            "region": REGION,
        }
        self._up_at[id_] = time.monotonic() + self.boot_s
        return dict(self.instances[id_])

    def _seen(self, id_: str) -> dict[str, Any]:
        if id_ not in self.instances:
            raise Answer(404, {"message": "instance not found"})
        each = self.instances[id_]
        if each["state"] in ("creating", "starting") and time.monotonic() > self._up_at[id_]:
            each |= {"state": "running", "ip": free_address()}
            if self.homes is not None:
                said = yaml.safe_load(self.told[id_])
                client, private = said["users"][0]["ssh_authorized_keys"][0], said["ssh_keys"]["ed25519_private"]
                self.served[id_] = Served(self.homes / id_, each["ip"], 22, private, client)
        return dict(each)

    def _delete(self, id_: str, query: object) -> Any:
        self._seen(id_)
        self.end(id_)

    def _switch(self, id_: str, state: str) -> Any:
        self._seen(id_)
        self._up_at[id_] = time.monotonic() + self.boot_s
        self.instances[id_] |= {"state": state, "ip": None}
        if id_ in self.served:
            self.served.pop(id_).close()
