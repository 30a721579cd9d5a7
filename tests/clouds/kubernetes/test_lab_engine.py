"""The engine with the plugin's stand-in against the real API server: what it makes, sees, changes and takes away."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lab_plugin
import pulumi
import pytest
from kubernetes_lab import Lab
from pulumi import automation
from user import BIN

pytestmark = pytest.mark.e2e
KINDS = {"ConfigMap": ("kubernetes:core/v1:ConfigMap", "v1"), "Secret": ("kubernetes:core/v1:Secret", "v1")}

SDK = pulumi.ResourceOptions(version="4.34.2")
"""The engine asks the internet for the newest plugin where no version is named, also if one lies on PATH."""


class Thing(pulumi.CustomResource):
    """Any object of Kubernetes, as the SDK's own classes send it."""

    def __init__(self, kind: str, name: str, body: dict[str, Any], provider: pulumi.ProviderResource) -> None:
        token, version = {**KINDS, "Job": ("kubernetes:batch/v1:Job", "batch/v1")}[kind]
        options = pulumi.ResourceOptions(provider=provider)
        super().__init__(token, name, {"apiVersion": version, "kind": kind, **body}, options)


def program(lab: Lab, space: str, words: dict[str, str]) -> Callable[[], None]:
    """One that makes a ConfigMap, a Secret and a Job that says what `words` have."""

    def make() -> None:
        told = {"kubeconfig": str(lab.kubeconfig), "context": "lab", "namespace": space}
        where = pulumi.ProviderResource("kubernetes", "where", told, SDK)
        Thing("ConfigMap", "words", {"metadata": {"name": "words"}, "data": words}, where)
        key = pulumi.Output.secret("open sesame")
        Thing("Secret", "key", {"metadata": {"name": "key"}, "stringData": {"key": key}}, where)
        main = {
            "name": "main",
            "image": "debian:12",
            "command": ["cat", "/words/say"],
            "resources": {"limits": {"cpu": "1000m"}},
        }
        main["volumeMounts"] = [{"name": "words", "mountPath": "/words"}]
        volumes = [{"name": "words", "configMap": {"name": "words"}}]
        pods = {
            "metadata": {"annotations": words},
            "spec": {"restartPolicy": "Never", "containers": [main], "volumes": volumes},
        }
        Thing("Job", "say", {"metadata": {"name": "say"}, "spec": {"template": pods}}, where)

    return make


def stack(lab: Lab, folder: Path, make: Callable[[], None]) -> automation.Stack:
    """A stack for a program, with its state in `folder`."""
    (folder / "state").mkdir(exist_ok=True)
    environment = {
        "PATH": f"{lab_plugin.put(folder / 'plugins')}:{BIN}:{os.environ['PATH']}",
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    options = automation.LocalWorkspaceOptions(env_vars=environment)
    return automation.create_or_select_stack("t", "lab", make, opts=options)


def test_what_the_engine_makes_is_there_and_what_is_gone_is_seen(lab: Lab, tmp_path: Path) -> None:
    space = lab.namespace()
    held = stack(lab, tmp_path, program(lab, space, {"say": "hello"}))
    held.preview()
    assert lab.client.get("v1", "ConfigMap", "words", space) is None
    assert held.up().summary.resource_changes == {"create": 5}
    (pod,) = lab.pods(space)
    assert lab.logs(space, pod["metadata"]["name"]) == "hello"
    kept = (tmp_path / "state" / ".pulumi" / "stacks" / "lab" / "t.json").read_text()
    assert "hello" in kept and "sesame" not in kept and base64.b64encode(b"open sesame").decode() not in kept
    assert held.preview(refresh=True).change_summary == {"same": 5}

    lab.client.delete({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": space}})
    changed = stack(lab, tmp_path, program(lab, space, {"say": "good day"}))
    assert changed.up(refresh=True).summary.resource_changes == {"same": 2, "replace": 2, "create": 1}
    (pod,) = lab.pods(space)
    assert lab.logs(space, pod["metadata"]["name"]) == "good day"
    changed.destroy()
    assert lab.pods(space) == [] and lab.client.get("v1", "ConfigMap", "words", space) is None


def test_what_the_api_server_refuses_is_the_engines_error(lab: Lab, tmp_path: Path) -> None:
    def make() -> None:
        where = pulumi.ProviderResource("kubernetes", "where", {"kubeconfig": str(lab.kubeconfig)}, SDK)
        Thing("ConfigMap", "wrong", {"metadata": {"name": "wrong"}, "datum": {}}, where)

    with pytest.raises(automation.CommandError, match="datum"):
        stack(lab, tmp_path, make).preview()
