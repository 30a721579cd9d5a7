"""Google Cloud on loopback: the APIs that Skyrig asks, over things that tests or an echo of the engine put there."""

from __future__ import annotations

import re
from typing import Any

from compute_server import ComputeServer

APIS = {
    "compute": "COMPUTE",
    "tpu": "TPU_V2",
    "iam": "IAM",
    "cloudresourcemanager": "RESOURCE_MANAGER",
    "serviceusage": "SERVICE_USAGE",
    "cloudquotas": "CLOUD_QUOTAS",
    "storage": "STORAGE",
}
"""APIs, as their provider variables call them."""

PROJECT = "lab-project"
_COLLECTIONS = re.compile(r"aggregated/\w+|locations|locations/-/nodes|global/\w+|(regions|zones)/[^/]+/\w+")
"""Paths in a project that list things; others are things."""

Body = dict[str, Any]
Answer = tuple[int, Body]


class GoogleCloud(ComputeServer):
    """All of a project. `things` are bodies by API and path: "compute/projects/P/global/networks/N". `allowed` are the
    caller's rights (None: all); `denied` are APIs that answer 403, `disabled` those that are not activated; `stuck`
    are things that cannot be deleted; `busy` is how often 429 is answered first, `silent` are zones that do not answer.
    An echo of the engine puts what it makes into `echoed` by id, which is told to whoever reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.things: dict[str, Body] = {f"compute/projects/{PROJECT}": {"name": PROJECT, "quotas": []}}
        self.allowed: set[str] | None = None
        self.denied: set[str] = set()
        self.disabled: set[str] = set()
        self.stuck: set[str] = set()
        self.silent: set[str] = set()
        self.busy = 0
        self.urls: list[str] = []
        self.echoed: dict[str, Body] = {}

    @property
    def env(self) -> dict[str, str]:
        """Variables with which this cloud is used, and no other."""
        root = self.endpoint.partition("/compute/")[0]
        places = {f"GOOGLE_{name}_CUSTOM_ENDPOINT": f"{root}/{api}/" for api, name in APIS.items()}
        return {**places, "GOOGLE_OAUTH_ACCESS_TOKEN": "a-token", "GOOGLE_CLOUD_PROJECT": PROJECT, "ECHO_CLOUD": root}

    def put(self, path: str, api: str = "compute", **body: Any) -> str:
        """Put a thing there; where it is in its project."""
        where = f"{api}/projects/{PROJECT}/{path}"
        zone = {"zone": f"https://x/zones/{path.split('/')[1]}"} if path.startswith("zones/") else {}
        name = f"projects/123/{path}" if api == "tpu" else path.rpartition("/")[2]
        self.things[where] = {"name": name, **zone, **body}
        if "/instances/" in path:
            self.machines[path.rpartition("/")[2]] = body.get("status", "RUNNING")
        return where

    def left(self) -> list[str]:
        """What is there beside the project and the types that it may have."""
        things = [key for key in self.things if key.count("/") > 2 and "/machineTypes/" not in key]
        return sorted(key.partition(f"/{PROJECT}/")[2] for key in things)

    def answer(self, method: str, url: str, query: dict[str, list[str]], body: Any) -> Answer:
        self.urls.append(f"{method} {url}")
        if url == "/echo":
            return self._echo(method, body)
        api, path = url.strip("/").split("/", 1)
        if self.busy:
            self.busy -= 1
            return 429, {"error": {"message": "slow down", "errors": [{"reason": "rateLimitExceeded"}]}}
        if api in self.disabled:
            return 403, {"error": {"message": f"{api} has not been used", "details": [{"reason": "SERVICE_DISABLED"}]}}
        if api in self.denied:
            return 403, {"error": {"message": f"Required permission for {path}", "errors": [{"reason": "forbidden"}]}}
        if api == "storage":
            names = sorted(key for key in self.things if key.startswith("storage/b/"))
            return (
                (200, {"items": [self.things[key] for key in names]}) if path == "b" else self._thing(f"storage/{path}")
            )
        where, colon, verb = path.partition(":")
        project, _, rest = where.removeprefix("projects/").partition("/")
        if f"compute/projects/{project}" not in self.things:
            return 404, {"error": {"message": f"The resource 'projects/{project}' was not found"}}
        if colon:
            return self._told(verb, query, body)
        if method == "POST" and "/instances/" in rest:
            return self.in_zone(method, rest.split("/")[2:], query)
        if "operations/" in rest:
            return 200, self._finished(rest)
        if method == "DELETE":
            return self._deleted(api, project, rest)
        return self._read(api, project, rest, query)

    def _told(self, verb: str, query: dict[str, list[str]], body: Any) -> Answer:
        if verb == "testIamPermissions":
            asked = body["permissions"]
            return 200, {"permissions": [each for each in asked if self.allowed is None or each in self.allowed]}
        names = [each.rpartition("/")[2] for each in query["names"]]
        off = {f"{api}.googleapis.com" for api in self.disabled}
        states = [(f"projects/123/services/{name}", "DISABLED" if name in off else "ENABLED") for name in names]
        return 200, {"services": [{"name": name, "state": state} for name, state in states]}

    def _finished(self, path: str) -> Body:
        name = path.split("operations/")[1].partition("/")[0]
        if name.startswith(("done-", "refused-")):
            return self._waited(name)
        return {"status": "DONE", "done": True}

    def _read(self, api: str, project: str, path: str, query: dict[str, list[str]]) -> Answer:
        where = f"{api}/projects/{project}/{path}".rstrip("/")
        if not _COLLECTIONS.fullmatch(path):
            return self._thing(where)
        noun = path.rpartition("/")[2]
        pattern = re.compile(query.get("filter", [".*"])[0].removeprefix("name eq ").strip('"'))
        anywhere = rf"{api}/projects/{project}/(zones|regions|locations)/[^/]+/{noun}/[^/]+"
        everywhere = path.startswith(("aggregated/", "locations/-/"))
        under = re.compile(anywhere if everywhere else rf"{re.escape(where)}/[^/]+")
        keys = sorted(k for k in self.things if under.fullmatch(k) and pattern.fullmatch(k.rpartition("/")[2]))
        first = int(query.get("pageToken", ["0"])[0])
        shown = keys[first : first + self.page]
        more = {"nextPageToken": str(first + self.page)} if first + self.page < len(keys) else {}
        return 200, {**self._page(path, noun, shown), **more}

    def _page(self, path: str, noun: str, keys: list[str]) -> Body:
        bodies = [self._thing(key)[1] for key in keys]
        if not path.startswith("aggregated/"):
            silent = [f"locations/{zone}" for zone in sorted(self.silent)]
            return {noun if noun in ("nodes", "locations") else "items": bodies, "unreachable": silent}
        items: dict[str, Body] = {f"zones/{zone}": {"warning": {"code": "UNREACHABLE"}} for zone in self.silent}
        items.setdefault("zones/no-where-a", {"warning": {"code": "NO_RESULTS_ON_PAGE"}})
        for key, body in zip(keys, bodies, strict=True):
            items.setdefault("/".join(key.split("/")[3:5]), {}).setdefault(noun, []).append(body)
        return {"items": items}

    def _thing(self, where: str) -> Answer:
        if where not in self.things:
            return 404, {"error": {"message": f"The resource '{where}' was not found"}}
        live = self._one(where.rpartition("/")[2]) if "/instances/" in where else {}
        return 200, {**self.things[where], **live}

    def _listed(self, query: dict[str, list[str]]) -> Body:
        raise AssertionError("lists are read from things")

    def _deleted(self, api: str, project: str, path: str) -> Answer:
        where = f"{api}/projects/{project}/{path}"
        if where not in self.things:
            return 404, {"error": {"message": f"{path} was not found"}}
        if path in self.stuck:
            return 400, {
                "error": {"message": f"{path} is in use", "errors": [{"reason": "resourceInUseByAnotherResource"}]}
            }
        self.calls.append(f"delete {path.rpartition('/')[2]}")
        self.end(where)
        return 200, {"name": f"projects/{project}/locations/z/operations/gone" if api == "tpu" else "gone"}

    def _echo(self, method: str, body: Any) -> Answer:
        """What an echo of the engine says of a resource: it was made, deleted, or is looked for."""
        known = self.echoed.get(body["id"])
        if method == "GET":
            return (200, known["outputs"]) if known is not None else (404, {})
        if method == "DELETE":
            self.echoed.pop(body["id"], None)
            if known is not None and known["where"] in self.things:
                self.end(known["where"])
            return 200, {}
        api = next((api for kind, api in _ECHOED.items() if kind in body["type"]), "compute")
        where = f"{api}/{body['id']}"
        said = body["outputs"]
        self.echoed[body["id"]] = {**body, "where": where}
        if "routerNat" in body["type"]:
            router = body["id"].rpartition("/")[0].partition("/")[2].replace("/", "/routers/")
            self.things[f"compute/projects/{PROJECT}/regions/{router}"]["nats"] = [{"name": said["name"]}]
        elif body["id"].startswith("projects/") and "iAMMember" not in body["type"]:
            self.put(body["id"].split("/", 2)[2], api, **_as_the_api_says(said))
        return 200, {}

    def end(self, where: str) -> None:
        """Take a thing away."""
        del self.things[where]
        if "/instances/" in where:
            self.machines.pop(where.rpartition("/")[2], None)
        gone = [key for key, said in self.echoed.items() if said["where"] == where]
        for key in gone:
            del self.echoed[key]


_ECHOED = {"iAMCustomRole": "iam", "serviceaccount": "iam", "v2Vm": "tpu", "storage": "storage"}
"""APIs of types, by a part of their tokens; all others are of Compute Engine."""


def _as_the_api_says(said: Body) -> Body:
    """What the provider says of a thing, in the words of its API."""
    body = {key: said[key] for key in ("description", "labels", "title", "displayName") if key in said}
    if "networkEndpoints" in said:
        ends = [{**each, "accessConfig": each["accessConfigs"][0]} for each in said["networkEndpoints"]]
        return {**body, "state": "READY", "acceleratorType": said["acceleratorType"], "networkEndpoints": ends}
    if "instanceId" not in said:
        return body
    nics = [
        {
            "networkIP": nic.get("networkIp", ""),
            "accessConfigs": [{"natIP": each.get("natIp", "")} for each in nic.get("accessConfigs", ())],
        }
        for nic in said.get("networkInterfaces", ())
    ]
    kind = f"https://x/machineTypes/{said['machineType']}"
    return {**body, "id": said["instanceId"], "machineType": kind, "networkInterfaces": nics, "status": "RUNNING"}
