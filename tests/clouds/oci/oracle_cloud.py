"""Oracle Cloud on loopback: the APIs that Skyrig asks, over things that tests or an echo of the engine put there.

Every call is signed, and the signature is checked as Oracle does: who calls, what the signature covers, the time, and
the digest of a body.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

TENANCY = "ocid1.tenancy.oc1..lab"
COMPARTMENT = "ocid1.compartment.oc1..lab"
USER = "ocid1.user.oc1..ada"
FINGERPRINT = "20:3b:97:13:55:1c:5b:0d:d3:37:d8:50:4e:c5:3a:34"
REGION, HOME = "us-ashburn-1", "us-ashburn-1"
ZONES = ("Uocm:US-ASHBURN-AD-1", "Uocm:US-ASHBURN-AD-2", "Uocm:US-ASHBURN-AD-3")

PATHS = {
    "ComputeCluster": "/computeClusters",
    "DynamicGroup": "/dynamicGroups",
    "Instance": "/instances",
    "InternetGateway": "/internetGateways",
    "NatGateway": "/natGateways",
    "NetworkSecurityGroup": "/networkSecurityGroups",
    "Policy": "/policies",
    "RouteTable": "/routeTables",
    "SecurityList": "/securityLists",
    "ServiceGateway": "/serviceGateways",
    "Subnet": "/subnets",
    "Vcn": "/vcns",
}
"""Where a thing of a type is listed."""

Body = dict[str, Any]
Answer = tuple[int, Any]

_KEY: RSAPrivateKey = generate_private_key(65537, 2048)


class OracleCloud:
    """All of a tenancy, in one region. `things` are bodies by path: "/vcns/ocid1.vcn...". `shapes` are those that each
    zone has, `free` what the limits leave; `stuck` are things that cannot be deleted; `busy` is how often 429 is
    answered first; `calls` are the changes that were asked for; `dark` are paths that answer 404 as where one may not
    look. `keys` are the public keys of callers by their key id."""

    def __init__(self) -> None:
        self.things: dict[str, Body] = {}
        self.shapes = dict.fromkeys(ZONES, ("VM.Standard.E4.Flex", "VM.GPU.A10.1"))
        self.free: dict[str, float] = {}
        self.stuck: set[str] = set()
        self.dark: set[str] = set()
        self.busy = 0
        self.page = 100
        self.calls: list[str] = []
        self.asked: list[str] = []
        self.unsigned: list[str] = []
        self.echoed: dict[str, Body] = {}
        self.keys: dict[str, RSAPublicKey] = {f"{TENANCY}/{USER}/{FINGERPRINT}": _KEY.public_key()}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def env(self, folder: Path) -> dict[str, str]:
        """Variables with which this cloud is used, and no other; the key lies in `folder`."""
        file = folder / "oci-key.pem"
        file.write_bytes(_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return {
            "SKYRIG_OCI_LOOPBACK": self.url,
            "ECHO_CLOUD": self.url,
            "OCI_TENANCY_OCID": TENANCY,
            "OCI_USER_OCID": USER,
            "OCI_FINGERPRINT": FINGERPRINT,
            "OCI_PRIVATE_KEY_PATH": str(file),
            "OCI_COMPARTMENT_OCID": COMPARTMENT,
            "OCI_CONFIG_FILE": str(folder / "none"),
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, path: str, **body: Any) -> str:
        """Put a thing there, in the compartment unless it says otherwise; its path."""
        id_ = path.rpartition("/")[2]
        said = {"id": id_, "compartmentId": COMPARTMENT, "lifecycleState": "AVAILABLE", "freeformTags": {}, **body}
        self.things[path] = {"timeCreated": "2026-11-22T10:00:00.000Z", **said}
        return path

    def instances(self, stack: str) -> dict[str, str]:
        """Path of the instance behind each node of a stack that is there."""
        return {
            said["freeformTags"].get("skyrig-node", ""): path
            for path, said in self.things.items()
            if path.startswith("/instances/")
            and said["freeformTags"].get("skyrig-stack") == stack
            and not said["lifecycleState"].startswith("TERMINAT")
        }

    def left(self) -> list[str]:
        """What is there, by kind and name."""
        gone, hidden = ("TERMINATED", "DELETED"), ("/vnics/", "/vnicAttachments/")
        there = {
            path: said
            for path, said in self.things.items()
            if said["lifecycleState"] not in gone and not path.startswith(hidden)
        }
        return sorted(f"{path.split('/')[1]} {said.get('displayName') or said['name']}" for path, said in there.items())

    def end(self, path: str) -> None:
        """Take a thing away. An instance is told of for a while."""
        id_ = path.rpartition("/")[2]
        if path.startswith("/instances/"):
            self.things[path]["lifecycleState"] = "TERMINATED"
            for tied in (f"/vnicAttachments/{id_}", f"/vnics/{id_}"):
                self.things.pop(tied, None)
        else:
            self.things.pop(path)
        self.echoed.pop(id_, None)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any, str]:
        """Status, body and next page of the answer to one call."""
        parts = urlsplit(target)
        if parts.path == "/echo":
            return (*self._echo(method, json.loads(body)), "")
        if wrong := self._unsigned(method, target, headers, body):
            self.unsigned.append(wrong)
            return 401, {"code": "NotAuthenticated", "message": wrong}, ""
        self.asked.append(f"{method} {target}")
        if self.busy:
            self.busy -= 1
            return 429, {"code": "TooManyRequests", "message": "slow down"}, ""
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        _, service, region, *rest = unquote(parts.path).split("/")
        path = "/" + "/".join(rest[1:] if rest[0] == "20160918" else rest)
        if path.partition("/")[2].partition("/")[0] in self.dark or region != REGION:
            return 404, {"code": "NotAuthorizedOrNotFound", "message": f"Authorization failed or {path} not found"}, ""
        status, said = self._said(method, service, path, query)
        first = int(query.get("page", "0"))
        if isinstance(said, list) and len(said) > first + self.page:
            return status, said[first : first + self.page], str(first + self.page)
        return status, said[first:] if isinstance(said, list) else said, ""

    def _said(self, method: str, service: str, path: str, query: Mapping[str, str]) -> Answer:
        if method == "GET" and (known := self._facts(path, query)) is not None:
            return 200, known
        if path.count("/") == 1 and method == "GET":
            return 200, self._listed(path, query)
        if path not in self.things:
            return 404, {"code": "NotAuthorizedOrNotFound", "message": f"{path} not found"}
        if method == "GET":
            return 200, self.things[path]
        if method == "POST":
            return self._acted(path, query.get("action", ""))
        self.calls.append(f"{method} {path}")
        if path in self.stuck:
            return 409, {"code": "IncorrectState", "message": f"{path} is in use"}
        self.end(path)
        return 204, None

    def _facts(self, path: str, query: Mapping[str, str]) -> Any:
        """What is no thing: regions, zones, shapes, limits, namespaces."""
        if path.endswith("/regionSubscriptions"):
            return [{"regionName": HOME, "isHomeRegion": True}]
        if path == "/availabilityDomains":
            return [{"name": zone} for zone in ZONES]
        if path == "/shapes":
            return [{"shape": shape} for shape in self.shapes[query["availabilityDomain"]]]
        if path == f"/compartments/{COMPARTMENT}":
            return {"id": COMPARTMENT, "name": "lab"}
        if match := re.fullmatch(r"/services/compute/limits/(.+)/resourceAvailability", path):
            return {"available": self.free.get(match[1], 0), "used": 0}
        if path == "/n":
            return "labspace"
        if path == "/n/labspace/b":
            return [said for where, said in self.things.items() if where.startswith(path)]
        return None

    def _listed(self, path: str, query: Mapping[str, str]) -> list[Body]:
        there = {where: said for where, said in self.things.items() if where.startswith(f"{path}/")}
        return [said for said in there.values() if said["compartmentId"] == query["compartmentId"]]

    def _acted(self, path: str, action: str) -> Answer:
        self.calls.append(f"{action} {path}")
        self.things[path]["lifecycleState"] = "RUNNING" if action == "START" else "STOPPED"
        return 200, self.things[path]

    def _unsigned(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> str:
        """What is wrong with a call's signature; "" where nothing is."""
        said = dict(re.findall(r'(\w+)="([^"]*)"', headers.get("authorization", "")))
        covers, key = said.get("headers", "").split(), self.keys.get(said.get("keyId", ""))
        needed = ["date", "(request-target)", "host"]
        needed += ["content-length", "content-type", "x-content-sha256"] if method in ("POST", "PUT") else []
        if said.get("version") != "1" or said.get("algorithm") != "rsa-sha256" or key is None:
            return f"nobody known has signed {method} {target}"
        if lacking := set(needed) - set(covers):
            return f"the signature does not cover {sorted(lacking)}"
        if abs((datetime.now(UTC) - parsedate_to_datetime(headers["date"])).total_seconds()) > 300:
            return "the clock is wrong"
        if body and headers["x-content-sha256"] != base64.b64encode(hashlib.sha256(body).digest()).decode():
            return "the body is another one"
        known = {**headers, "(request-target)": f"{method.lower()} {target}"}
        text = "\n".join(f"{name}: {known[name]}" for name in covers)
        try:
            key.verify(base64.b64decode(said["signature"]), text.encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            return "the signature is another one"
        return ""

    def _echo(self, method: str, body: Body) -> Answer:
        """What an echo of the engine says of a resource: it was made, changed, deleted, or is looked for."""
        id_ = body["id"]
        known = self.echoed.get(id_)
        if method == "GET":
            return (200, known["outputs"]) if known is not None else (404, {})
        if method == "DELETE":
            if known is not None and known["path"]:
                self.end(known["path"])
            self.echoed.pop(id_, None)
            return 200, {}
        kind, said = body["type"].rpartition(":")[2], body["outputs"]
        where = f"{PATHS[kind]}/{id_}" if kind in PATHS else ""
        self.echoed[id_] = {**body, "path": where}
        if where:
            keys = ("displayName", "name", "freeformTags", "compartmentId", "matchingRule", "statements", "shape")
            state = "RUNNING" if kind == "Instance" else "ACTIVE"
            config = said.get("shapeConfig") or {}
            size = {"shapeConfig": {"ocpus": config.get("ocpus"), "memoryInGBs": config.get("memoryInGbs")}}
            self.put(where, lifecycleState=state, **{key: said[key] for key in keys if key in said}, **size)
        if kind == "Instance":
            self.put(f"/vnicAttachments/{id_}", instanceId=id_, vnicId=id_, lifecycleState="ATTACHED")
            self.put(f"/vnics/{id_}", privateIp=said["privateIp"], publicIp=said["publicIp"] or None)
        return 200, {}


def _handler(cloud: OracleCloud) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do("GET")

        def do_POST(self) -> None:
            self._do("POST")

        def do_PUT(self) -> None:
            self._do("PUT")

        def do_DELETE(self) -> None:
            self._do("DELETE")

        def _do(self, method: str) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, body, page = cloud.answer(method, self.path, headers, sent)
            text = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "0")
            if page:
                self.send_header("opc-next-page", page)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
