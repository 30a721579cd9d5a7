"""Contexts of the kubeconfig, as the files say: nobody is asked.

KUBECONFIG may name several files; what an earlier one says of a name stands, as kubectl has it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import urllib.parse
from pathlib import Path
from typing import Any

from attrs import frozen

from skyrig.clouds.cloud import NotUsable

DEFAULT = "~/.kube/config"


@frozen
class Context:
    """One context: its name, its namespace, and the cluster that it leads to: the `server`'s url and what it proves
    itself by."""

    name: str
    namespace: str
    server: str
    authority: bytes = b""
    server_name: str = ""

    @property
    def identity(self) -> str:
        """What tells the cluster from others: by its certificate authority, so that another address is no other
        cluster; by the url where it has none. Behind a gate that several share, the url's path tells them apart."""
        url = urllib.parse.urlsplit(self.server)
        said = (self.authority or self.server.encode(), url.path.strip("/").encode(), self.server_name.encode())
        return hashlib.sha256(b"\0".join(said)).hexdigest()[:12]

    @property
    def account(self) -> str:
        """Whose the pods are: NAMESPACE.CLUSTER."""
        return f"{self.namespace}.{self.identity}"


def files() -> list[Path]:
    """The files that there are, in the order in which they count."""
    named = [Path(each).expanduser() for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    return [file for file in named or [Path(DEFAULT).expanduser()] if file.is_file()]


def contexts() -> dict[str, Context]:
    """All contexts by name. NotUsable where a file is no kubeconfig."""
    clusters: dict[str, tuple[Path, dict[str, Any]]] = {}
    found: dict[str, Context] = {}
    said = [(file, _read(file)) for file in files()]
    for file, document in said:
        for each in _listed(file, document, "clusters"):
            clusters.setdefault(each["name"], (file, _inside(file, each, "cluster")))
    for file, document in said:
        for each in _listed(file, document, "contexts"):
            inside = _inside(file, each, "context")
            if each["name"] not in found and inside.get("cluster") in clusters:
                found[each["name"]] = _context(each["name"], inside, *clusters[inside["cluster"]])
    return found


def current() -> str:
    """The context that is meant where none is named; "" where there is none."""
    return next((str(name) for file in files() if (name := _read(file).get("current-context"))), "")


def find(name: str) -> Context:
    """The context called `name`, the current one for ""; NotUsable where there is none."""
    known = contexts()
    wanted = name or current()
    if wanted not in known:
        hint = f"contexts are {', '.join(sorted(known))}" if known else "no kubeconfig has a context"
        raise NotUsable(f"kubernetes: the kubeconfig has no context {wanted or '(none is current)'}", hint=hint)
    return known[wanted]


def _context(name: str, inside: dict[str, Any], file: Path, cluster: dict[str, Any]) -> Context:
    data, path = cluster.get("certificate-authority-data"), cluster.get("certificate-authority")
    try:
        authority = base64.b64decode(data) if data else b""
        if path and not data:
            at = file.parent / Path(path).expanduser()
            authority = at.read_bytes() if at.is_file() else b""
    except (OSError, TypeError, ValueError) as error:
        raise NotUsable(f"kubernetes: {file}: the certificate authority of {name} cannot be read: {error}") from error
    return Context(
        name=name,
        namespace=inside.get("namespace") or "default",
        server=str(cluster.get("server", "")),
        authority=authority.strip(),
        server_name=str(cluster.get("tls-server-name") or ""),
    )


def _listed(file: Path, document: dict[str, Any], what: str) -> list[dict[str, Any]]:
    """The named entries of a list of a kubeconfig."""
    found = document.get(what) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) and each.get("name") for each in found):
        raise NotUsable(f"kubernetes: {file} is no kubeconfig: `{what}` is no list of what has a name")
    return found


def _inside(file: Path, each: dict[str, Any], what: str) -> dict[str, Any]:
    found = each.get(what) or {}
    if not isinstance(found, dict):
        raise NotUsable(f"kubernetes: {file} is no kubeconfig: {what} {each['name']} says nothing")
    return found


def _read(file: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise NotUsable(f"kubernetes: {file} is no kubeconfig: {str(error).splitlines()[0]}") from error
    if not isinstance(found, dict):
        raise NotUsable(f"kubernetes: {file} is no kubeconfig")
    return found
