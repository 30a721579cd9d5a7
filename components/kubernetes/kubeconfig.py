"""Kubeconfigs without a token in them: a program gets one when it is needed. Pure functions."""

import json
from collections.abc import Mapping, Sequence

import yaml


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


def called(name: str, text: str) -> str:
    """A kubeconfig of one context with another name for that, as JSON. Names of resources that the engine makes up are
    known to nobody."""
    config = yaml.safe_load(text)
    [context] = config["contexts"]
    return json.dumps({**config, "contexts": [{**context, "name": name}], "current-context": name})
