"""RunPod's API on loopback. Its pods are records, or run (pod_served.py)."""

from __future__ import annotations

import json
import secrets
import socket
import time
from pathlib import Path
from typing import Any

from api_mock import Answer, ApiMock
from pod_served import Pod

KEY, OTHER = "rpa_" + secrets.token_hex(20), "rpa_" + secrets.token_hex(20)
POD_KEY = "rpa_" + secrets.token_hex(20)
"""What a pod itself is given to speak of itself."""
GPU, KIND, CENTER = "NVIDIA L40", "1x_L40_SECURE", "US-TX-3"
NO_ROOM = "There are no longer any instances available with the requested specifications. Please refresh and try again."
_ACTIONS = {"RUNNING": ["stop", "restart", "terminate"], "EXITED": ["start", "terminate"]}


def problem(status: int, title: str, detail: str) -> dict[str, Any]:
    """A refusal as the API words it (RFC 9457)."""
    return {"title": title, "status": status, "detail": detail}


class RunpodMock(ApiMock):
    """One account. `rooms` is the stock of the GPU by data center, `boot_s` how long a pod starts. After a start it has
    another port. Pods run where there is a `folder` for what they have."""

    def __init__(self, boot_s: float = 0.2, folder: Path | None = None) -> None:
        super().__init__(Path(__file__).with_name("openapi.json"), KEY)
        self.boot_s = boot_s
        self.folder = folder
        self.running: dict[str, Pod] = {}
        self.rooms = {"US-KS-2": "NONE", CENTER: "LOW", "US-CA-2": "NONE", "EU-RO-1": "HIGH"}
        self.owners = {KEY: "user_1", OTHER: "user_2"}
        self.keys.add(OTHER)
        self.pods: dict[str, dict[str, Any]] = {}
        self._up_at: dict[str, float] = {}
        self.work = {
            "listPods": lambda query: {"pods": [self._seen(id_) for id_ in list(self.pods)]},
            "getPod": lambda id_, query: self._seen(id_),
            "createPod": self._create,
            "deletePod": self._delete,
            "podAction": self._action,
            "listDataCenters": lambda query: {"dataCenters": [self._center(each) for each in self.rooms]},
            "graphql": lambda body: {"data": {"myself": {"id": self.owners[self.caller]}}},
        }

    def unauthorized(self) -> Any:
        return problem(401, "Unauthorized", "invalid bearer token")

    def there(self, stack: str = "") -> dict[str, dict[str, Any]]:
        """The pods that are there, by node."""
        found = {}
        for each in self.pods.values():
            tags = json.loads(each["env"]["SKYRIG_TAGS"])
            if stack in ("", tags["skyrig-stack"]):
                assert tags["skyrig-node"] not in found, "two pods for one node"
                found[tags["skyrig-node"]] = {**each, "named": tags}
        return found

    def end(self, id_: str) -> None:
        """Have a pod gone."""
        self._halt(id_)
        self.pods.pop(id_)

    def _create(self, body: dict[str, Any]) -> Any:
        [center] = body["dataCenterIds"]
        if self.rooms.get(center, "NONE") == "NONE":
            raise Answer(400, problem(400, "Bad Request", NO_ROOM))
        id_ = secrets.token_hex(7)
        given = ("name", "image", "args", "disk", "ports", "env", "cloud", "gpu", "mounts")
        self.pods[id_] = {
            **{name: body[name] for name in given},
            "id": id_,
            "registry": None,
            "status": "PROVISIONING",
            "actions": ["stop", "terminate"],
            "dataCenterId": center,
            "cudaVersion": None,
            "ssh": {"proxy": None, "direct": None},
            "template": None,
            "cost": 0.79,
            "locked": False,
            "globalNetworking": {"enabled": False},
            "runtime": None,
            "createdAt": "2026-11-22T12:00:00Z",
            "startedAt": None,
        }
        self._up_at[id_] = time.monotonic() + self.boot_s
        return dict(self.pods[id_])

    def _seen(self, id_: str) -> dict[str, Any]:
        if id_ not in self.pods:
            raise Answer(404, problem(404, "Not Found", "pod not found"))
        each = self.pods[id_]
        if each["status"] == "PROVISIONING" and time.monotonic() > self._up_at[id_]:
            port = self._begin(id_) if self.folder else _free_port()
            where = {"host": "127.0.0.1", "port": port, "username": "root", "command": f"ssh root@127.0.0.1 -p {port}"}
            self._status(id_, "RUNNING")
            each |= {"ssh": {"proxy": None, "direct": where}, "startedAt": f"2026-11-22T12:00:00.{port}Z"}
        return dict(each)

    def _begin(self, id_: str) -> int:
        """Start what the pod is to run; the port at which its SSH server will be."""
        assert self.folder is not None
        each, number = self.pods[id_], len(list(self.folder.glob(f"{id_}.*.log")))
        scratch = self.folder / f"{id_}.{number}"
        env = {"RUNPOD_POD_ID": id_, "RUNPOD_API_KEY": POD_KEY, **each["env"]}
        self.running[id_] = Pod(scratch, self.folder / f"{id_}.volume", env, each["args"])
        return self.running[id_].port

    def _halt(self, id_: str) -> None:
        if pod := self.running.pop(id_, None):
            pod.close()

    def _status(self, id_: str, status: str) -> None:
        self.pods[id_] |= {"status": status, "actions": _ACTIONS.get(status, ["stop", "terminate"])}

    def _delete(self, id_: str, query: object) -> Any:
        self._seen(id_)
        self.end(id_)

    def _action(self, id_: str, body: dict[str, Any]) -> Any:
        each = self._seen(id_)
        if body["action"] not in each["actions"]:
            raise Answer(409, problem(409, "Conflict", f"{body['action']} is not valid now"))
        if body["action"] == "start":
            self._up_at[id_] = time.monotonic() + self.boot_s
            self._status(id_, "PROVISIONING")
        else:
            self._halt(id_)
            self._status(id_, "EXITED")
            self.pods[id_] |= {"ssh": {"proxy": None, "direct": None}, "cost": 0.0}
        return dict(self.pods[id_])

    def _center(self, center: str) -> dict[str, Any]:
        return {
            "id": center,
            "name": center,
            "region": "EUROPE" if center.startswith("EU") else "NORTH_AMERICA",
            "networkVolumeTypes": [],
            "compliance": [],
            "globalNetwork": False,
            "gpuAvailability": [{"id": GPU, "name": "L40", "availability": self.rooms[center]}],
        }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
