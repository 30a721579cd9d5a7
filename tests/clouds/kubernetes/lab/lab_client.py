"""A plain client of a Kubernetes API server for tests: any kind, found by discovery; server-side apply, strict."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lab_stream
import yaml
from lab_refused import Refused

Object = dict[str, Any]
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

__all__ = ["Client", "Object", "Refused", "from_kubeconfig"]


class Client:
    """Speaks to the server at `url` as whoever `context` stands for; `namespace` is where objects without one go."""

    def __init__(self, url: str, context: ssl.SSLContext, namespace: str = "default", token: str = "") -> None:
        self.url = url
        self.namespace = namespace
        self._place = urllib.parse.urlsplit(url)
        self.context = context
        self._token = token
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    def ask(self, verb: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """The answer to one request; Refused where the server refuses."""
        link = http.client.HTTPSConnection(
            self._place.hostname or "", self._place.port, timeout=60, context=self.context
        )
        headers = {"Accept": "application/json", "Content-Type": kind}
        headers |= {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            link.request(verb, path, None if body is None else json.dumps(body), headers)
            answer = link.getresponse()
            text = answer.read()
        finally:
            link.close()
        said: Any = text.decode()
        if answer.headers.get_content_type() == "application/json":
            said = json.loads(text)
        if answer.status >= 400:
            raise Refused(answer.status, said if isinstance(said, dict) else {"message": said})
        return said

    def path(self, version: str, kind: str, namespace: str | None = None, name: str = "") -> str:
        """The path of an object, or without `name` of all in a namespace (None: this client's; empty: all of them)."""
        resource, spaced = self._kind(version, kind)
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        space = self.namespace if namespace is None else namespace
        inside = f"/namespaces/{space}" if spaced and space else ""
        return f"{root}{inside}/{resource}" + (f"/{name}" if name else "")

    def of(self, thing: Mapping[str, Any]) -> str:
        """The path of an object."""
        meta = thing["metadata"]
        return self.path(thing["apiVersion"], thing["kind"], meta.get("namespace"), meta["name"])

    def apply(self, thing: Mapping[str, Any], *, dry: bool = False, manager: str = "lab") -> Object:
        """Server-side apply, with strict validation; the object as it is (or with `dry`, would be) then."""
        query = f"?fieldManager={manager}&force=true&fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        answer: Object = self.ask("PATCH", self.of(thing) + query, thing, APPLY)
        return answer

    def get(self, version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """An object; None where there is none."""
        try:
            found: Object = self.ask("GET", self.path(version, kind, namespace, name))
        except Refused as refused:
            if refused.code == 404:
                return None
            raise
        return found

    def all(self, version: str, kind: str, namespace: str | None = None, labels: str = "") -> list[Object]:
        """All objects of a kind in a namespace (empty: all namespaces) with these labels, as a selector says them."""
        query = f"?labelSelector={urllib.parse.quote(labels)}" if labels else ""
        items: list[Object] = self.ask("GET", self.path(version, kind, namespace) + query)["items"]
        return [{"apiVersion": version, "kind": kind, **item} for item in items]

    def patch(self, thing: Mapping[str, Any], change: Mapping[str, Any], part: str = "") -> Object:
        """Merge a change into an object, or into its `part`, as `status`."""
        answer: Object = self.ask("PATCH", self.of(thing) + (f"/{part}" if part else ""), change, MERGE)
        return answer

    def delete(self, thing: Mapping[str, Any], *, now: bool = False, policy: str = "Background") -> bool:
        """Have an object deleted, with `now` without any grace; whether it was there."""
        options: Object = {"propagationPolicy": policy, **({"gracePeriodSeconds": 0} if now else {})}
        try:
            self.ask("DELETE", self.of(thing), options)
        except Refused as refused:
            if refused.code == 404:
                return False
            raise
        return True

    def execute(self, pod: Mapping[str, Any], *words: str) -> tuple[int, str]:
        """Exit code of a command in a pod's first container, and what it said."""
        return lab_stream.execute(self.url, self.context, self.of(pod), words)

    def ask_port(self, pod: Mapping[str, Any], port: int, question: bytes) -> bytes:
        """What a port of a pod answers to these bytes until it closes, by a port-forward."""
        return lab_stream.ask_port(self.url, self.context, self.of(pod), port, question)

    def wait(self, look: Callable[[], Any], seconds: float = 90.0, what: str = "") -> Any:
        """What `look` finds, as soon as that is something; AssertionError after so many seconds."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or look}"
            time.sleep(0.05)
        return found

    def _kind(self, version: str, kind: str) -> tuple[str, bool]:
        if (version, kind) not in self._kinds:
            root = f"/apis/{version}" if "/" in version else f"/api/{version}"
            for each in self.ask("GET", root)["resources"]:
                if "/" not in each["name"]:
                    self._kinds[version, each["kind"]] = (each["name"], each["namespaced"])
        try:
            return self._kinds[version, kind]
        except KeyError:
            raise Refused(404, {"message": f"no kind {kind} in {version}", "reason": "NotFound"}) from None


def from_kubeconfig(text: str, context: str = "", namespace: str = "") -> Client:
    """The client that a kubeconfig (its text) makes for one of its contexts; by default the current one."""
    config = yaml.safe_load(text)
    named = {each["name"]: each["context"] for each in config["contexts"]}[context or config["current-context"]]
    cluster = {each["name"]: each["cluster"] for each in config["clusters"]}[named["cluster"]]
    user = {each["name"]: each["user"] for each in config["users"]}[named["user"]]
    trust = ssl.create_default_context(cadata=_part(cluster, "certificate-authority"))
    if "client-certificate-data" in user or "client-certificate" in user:
        with tempfile.NamedTemporaryFile("w") as pair:
            pair.write(_part(user, "client-certificate") + "\n" + _part(user, "client-key"))
            pair.flush()
            trust.load_cert_chain(pair.name)
    space = namespace or named.get("namespace") or "default"
    return Client(cluster["server"], trust, space, user.get("token", ""))


def _part(holder: Mapping[str, str], name: str) -> str:
    data = holder.get(f"{name}-data")
    return base64.b64decode(data).decode() if data else Path(holder[name]).read_text()
