"""Azure Resource Manager on loopback: things by their paths, accepted operations that are polled, pages, throttling,
things that are busy, gone, or hang on others. A real HTTP server; only what is behind it is made up."""

from __future__ import annotations

import json
import threading
from collections import deque
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs

Answer = tuple[int, Any, dict[str, str]]
_START = datetime(2026, 11, 1, tzinfo=UTC)
_MACHINE = "/providers/microsoft.compute/virtualmachines/"


@attrs.define
class Manager:
    """The server's state. `machines` is the power of each machine, `things` all else, both by path in lower case;
    `said` are fixed answers by path. `next` are answers that are given instead of the right ones, each once: code,
    error code, headers. `polls` is how often an operation is still in progress when it is asked for, `page` how many
    things a page has. Of `subscriptions` (None: all) only these are there; what is named in `locked` stays, and what
    has something of `denied` in its path nobody may ask for; `generalized` are machines that start no more."""

    machines: dict[str, str] = attrs.field(factory=dict)
    things: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    said: dict[str, Any] = attrs.field(factory=dict)
    next: deque[tuple[int, str, dict[str, str]]] = attrs.field(factory=deque)
    ends: deque[str] = attrs.field(factory=deque)
    polls: int = 1
    page: int = 100
    subscriptions: set[str] | None = None
    locked: set[str] = attrs.field(factory=set)
    denied: set[str] = attrs.field(factory=set)
    generalized: set[str] = attrs.field(factory=set)
    asked: list[str] = attrs.field(factory=list)
    tokens: list[str] = attrs.field(factory=list)
    address: str = ""
    _disks: dict[str, datetime] = attrs.field(factory=dict)
    _made: dict[str, datetime] = attrs.field(factory=dict)
    _hours: int = 0
    _running: dict[str, tuple[str, str, int]] = attrs.field(factory=dict)
    _lock: Any = attrs.field(factory=threading.Lock)

    def answer(self, method: str, url: str, body: Any = None) -> Answer:
        """What is said to one request."""
        whole = urlsplit(url)
        path, query = whole.path, parse_qs(whole.query)
        with self._lock:
            self.asked.append(f"{method} {path.rpartition('/')[2]}")
            if self.next:
                code, error, headers = self.next.popleft()
                return _error(code, error, f"{error},\nsaid by the test", headers)
            if path.startswith("/operations/"):
                return self._operation(path)
            parts = path.lower().split("/")
            if self.subscriptions is not None and parts[2] not in self.subscriptions:
                return _error(404, "SubscriptionNotFound", "no such subscription")
            if any(each.lower() in path.lower() for each in self.denied):
                return _error(403, "AuthorizationFailed", f"no authorization for {path}")
            if path.lower() in self.said:
                return self._page(self.said[path.lower()], url, query)
            return self._of_thing(method, path, body, url, query)

    def put(self, path: str, **more: Any) -> None:
        """Make a thing at `path`, or change it; a machine runs, and has a boot disk."""
        provider = path.rpartition("/providers/")[2].split("/") if "/providers/" in path else ["", "resourceGroups", ""]
        kind = "/".join([provider[0], *provider[1::2]]).strip("/")
        thing = {"id": path, "name": path.rpartition("/")[2], "type": kind, "location": "eastus", "properties": {}}
        self.things[path.lower()] = {**thing, **more}
        if _is_machine(path) and path.lower() not in self.machines:
            self.machines[path.lower()] = "running"
            self._changed(path.lower())
            self._made[path.lower()] = self._disks[path.lower()]
            self.put(_disk(path), managedBy=path, sku={"name": "StandardSSD_LRS"}, properties={"diskSizeGB": 100})

    def switch(self, machine: str, power: str) -> None:
        """Turn a machine on or off, as somebody else may do."""
        self.machines[machine.lower()] = power
        self._changed(machine.lower())

    def drop(self, path: str) -> None:
        """Take away a thing and what is below it, and a machine's boot disk with it."""
        path = path.lower()
        for found in [each for each in self.things if each == path or each.startswith(f"{path}/")]:
            del self.things[found]
        gone = [each for each in self.machines if each == path or each.startswith(f"{path}/")]
        for machine in gone:
            del self.machines[machine]
            self.things.pop(_disk(machine), None)

    def ids(self, kind: str = "") -> list[str]:
        """Names of the things of a type that are there, by its last word."""
        return sorted(each["name"] for each in self.things.values() if each["type"].lower().endswith(kind.lower()))

    def _changed(self, machine: str) -> None:
        self._hours += 1
        self._disks[machine] = _START + timedelta(hours=self._hours)

    def _of_thing(self, method: str, path: str, body: Any, url: str, query: dict[str, list[str]]) -> Answer:
        lower = path.lower()
        last = lower.rpartition("/")[2]
        if last in ("start", "deallocate", "generalize", "instanceview"):
            return self._power(method, lower.rpartition("/")[0], last)
        if method == "PUT":
            if lower in self.things:
                return _error(409, "AlreadyExists", f"{path} exists")
            self.put(path, **(body or {}))
            return 201, self.things[lower], {}
        if method == "PATCH" and lower in self.things:
            self.things[lower] |= body
            return 200, self.things[lower], {}
        if method == "DELETE":
            return self._delete(lower)
        if lower in self.things or lower in self.machines:
            return 200, self._described(lower), {}
        found = self._listed(lower)
        return _error(404, "ResourceNotFound", "no such thing") if found is None else self._page(found, url, query)

    def _described(self, path: str) -> dict[str, Any]:
        """A thing as it is now."""
        thing = dict(self.things.get(path, {"id": path, "name": path.rpartition("/")[2], "properties": {}}))
        properties = dict(thing["properties"])
        if path in self.machines:
            statuses = [{"code": "ProvisioningState/succeeded"}, {"code": f"PowerState/{self.machines[path]}"}]
            statuses += [{"code": "OSState/generalized"}] if path in self.generalized else []
            properties |= {
                "timeCreated": self._made.get(path, _START).isoformat(),
                "instanceView": {"statuses": statuses},
                "storageProfile": {"osDisk": {"managedDisk": {"id": _disk(thing["id"])}}},
            }
        owner = str(thing.get("managedBy", "")).lower()
        if owner in self._disks:
            properties["LastOwnershipUpdateTime"] = self._disks[owner].isoformat()
        return {**thing, "properties": properties}

    def _listed(self, path: str) -> dict[str, Any] | None:
        """What is in a group, or of one type in it; None where nothing of that name can be listed."""
        if path.endswith("/resourcegroups"):
            return {"value": [self.things[each] for each in self.things if each.rpartition("/")[0] == path]}
        if "/resourcegroups/" not in path:
            return None
        group, _, kind = path.partition("/providers/")
        group = group.removesuffix("/resources")
        if not kind and not path.endswith("/resources"):
            return None
        found = [
            self._described(each)
            for each, thing in self.things.items()
            if each.startswith(f"{group}/providers/")
            and (thing["type"].lower() == kind if kind else _is_resource(thing["type"]))
        ]
        return {"value": found} if group in self.things and (not kind or kind.count("/") == 1) else None

    def _page(self, said: Any, url: str, query: dict[str, list[str]]) -> Answer:
        if not (isinstance(said, dict) and isinstance(said.get("value"), list)):
            return 200, said, {}
        start = int(query.get("$skiptoken", ["0"])[0])
        page: dict[str, Any] = {**said, "value": said["value"][start : start + self.page]}
        if start + self.page < len(said["value"]):
            base = url.partition("&$skiptoken")[0]
            page["nextLink"] = f"{self.address}{base}&$skiptoken={start + self.page}"
        return 200, page, {}

    def _power(self, method: str, machine: str, verb: str) -> Answer:
        if machine not in self.machines:
            return _error(404, "ResourceNotFound", "no such machine")
        if verb == "instanceview":
            return 200, self._described(machine)["properties"]["instanceView"], {}
        if verb == "generalize":
            self.generalized.add(machine)
            return 200, {}, {}
        return self._accept(machine, "running" if verb == "start" else "deallocated")

    def _delete(self, path: str) -> Answer:
        if path not in self.things:
            return _error(404, "ResourceNotFound", "no such thing")
        if any(path.startswith(lock) or lock.startswith(path) for lock in self.locked):
            return _error(409, "ScopeLocked", "there is a lock")
        users = [
            each["name"]
            for other, each in self.things.items()
            if not (other == path or other.startswith(f"{path}/")) and f'"{path}' in json.dumps(_links(each)).lower()
        ]
        if users and "/providers/" in path:
            return _error(400, "InUse", f"{path} is used by {', '.join(users)}")
        return self._accept(path, "")

    def _accept(self, path: str, becomes: str) -> Answer:
        operation = f"/operations/{len(self._running)}"
        self._running[operation] = (path, becomes, self.polls)
        return 202, None, {"Azure-AsyncOperation": f"{self.address}{operation}", "Retry-After": "0"}

    def _operation(self, path: str) -> Answer:
        thing, becomes, left = self._running[path]
        if left:
            self._running[path] = (thing, becomes, left - 1)
            return 200, {"status": "InProgress"}, {"Retry-After": "0"}
        if self.ends:
            error = self.ends.popleft()
            return 200, {"status": "Failed", "error": {"code": error, "message": "said by the test"}}, {}
        if not becomes:
            self.drop(thing)
        elif self.machines.get(thing) != becomes:
            self.switch(thing, becomes)
        return 200, {"status": "Succeeded"}, {}


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    return status, {"error": {"code": code, "message": message}}, headers or {}


def _is_machine(path: str) -> bool:
    _, found, name = path.lower().partition(_MACHINE)
    return bool(found) and "/" not in name


def _is_resource(kind: str) -> bool:
    """Whether a group lists things of this type: neither subnets, nor roles and their assignments."""
    if "/galleries/" in kind.lower():
        return True
    return kind.lower().endswith("/extensions") or (kind.count("/") == 1 and "Authorization" not in kind)


def _disk(machine: str) -> str:
    """The path of a machine's boot disk."""
    return f"{machine.replace('virtualMachines', 'disks').replace('virtualmachines', 'disks')}-boot"


def _links(thing: dict[str, Any]) -> list[Any]:
    """What of a thing may name others: its own ids do not."""
    return [value for key, value in thing.items() if key not in ("id", "name", "type", "tags", "managedBy")]


def serve(manager: Manager) -> ThreadingHTTPServer:
    """A server that answers for `manager`; the caller shuts it down."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            pass

        def _say(self) -> None:
            manager.tokens.append(self.headers.get("Authorization", ""))
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, body, headers = manager.answer(self.command, self.path, json.loads(sent) if sent else None)
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _say

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    manager.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server
