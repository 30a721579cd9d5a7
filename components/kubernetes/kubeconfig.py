"""Kubeconfigs without a token in them: a program gets one when it is needed. Pure functions."""

import json
from collections.abc import Mapping, Sequence


def kubeconfig(
    name: str, server: str, authority: str, command: str, words: Sequence[str], env: Mapping[str, str] | None = None
) -> str:
    """A kubeconfig of one context `name`, as JSON. `authority` is the server's certificate authority, base64; `command`
    with `words` says who the user is, each time."""
    way = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": command,
        "args": list(words),
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
        "interactiveMode": "Never",
        "provideClusterInfo": False,
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"exec": way}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return json.dumps(config)
