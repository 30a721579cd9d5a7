"""A stand-in for Pulumi's Kubernetes plugin: server-side apply against the API server that the provider's inputs name.

Run as `pulumi-resource-kubernetes`; see `put`. What it takes for the plugin's own ways: names made where none is
given, what is replaced when it changes (Job templates, data of ConfigMaps and Secrets), dry runs in previews, waiting
unless pulumi.com/skipAwait says not to, secrets that stay secrets.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, struct_pb2
from lab_client import Client, Refused, from_kubeconfig
from lab_values import UNKNOWN, Paths, changed, follow, plain, sealed, shown
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

MANAGER = "pulumi-kubernetes"
NAME = "pulumi-resource-kubernetes"
_POLL_S = 0.1
_PATIENCE_S = 600.0
_FIXED = ("metadata.name", "metadata.namespace", "apiVersion", "kind")
_SELECTOR = ("spec.selector",)
_REPLACED = {
    "Job": ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    "ConfigMap": ("data", "binaryData"),
    "Secret": ("data", "stringData", "type"),
    "Pod": ("spec",),
    "PersistentVolumeClaim": ("spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"),
    "PodDisruptionBudget": ("spec",),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "Service": ("spec.clusterIP",),
    "Deployment": _SELECTOR,
    "DaemonSet": _SELECTOR,
    "StatefulSet": (*_SELECTOR, "spec.serviceName", "spec.volumeClaimTemplates", "spec.podManagementPolicy"),
}
"""Kinds and what cannot change in them (pulumi-kubernetes, provider/pkg/provider/diff.go: Apache-2.0)."""


def put(folder: Path) -> Path:
    """Put the plugin into a folder for PATH; a real one that is on PATH already stays the one that is used."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / NAME
    real = shutil.which(NAME)
    program = f'"{real}"' if real else f'"{sys.executable}" "{Path(__file__).resolve()}"'
    file.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    file.chmod(0o755)
    return folder


class Plugin(provider_pb2_grpc.ResourceProviderServicer):
    """One provider: what Configure tells, all other calls use."""

    client: Client
    namespace = "default"

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="4.99.0")

    def GetSchema(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "kubernetes", "version": "4.99.0"}))

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        old, new = plain(request.olds)[0], plain(request.news)[0]
        replaced = [name for name in ("context", "cluster") if old.get(name) != new.get(name)]
        said = provider_pb2.DiffResponse.DIFF_SOME if old != new else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=said, replaces=replaced)

    def Configure(self, request: Any, context: Any) -> Any:
        told = plain(request.args)[0]
        config = str(told.get("kubeconfig") or os.environ.get("KUBECONFIG") or Path.home() / ".kube/config")
        text = config if "apiVersion" in config or "\n" in config else Path(config).expanduser().read_text()
        if UNKNOWN not in (told.get("kubeconfig"), told.get("context"), told.get("namespace")):
            self.client = from_kubeconfig(text, told.get("context") or "", told.get("namespace") or "")
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: Any) -> Any:
        wanted, secret = plain(request.news)
        old = plain(request.olds)[0]
        meta = wanted.setdefault("metadata", {})
        if "name" not in meta and "generateName" not in meta:
            meta["name"] = old.get("metadata", {}).get("name") or _made_name(request)
            meta.setdefault("annotations", {})["pulumi.com/autonamed"] = "true"
        try:
            spaced = "/namespaces/" in self.client.path(wanted["apiVersion"], wanted["kind"])
        except Refused:  # a kind that the same program makes
            spaced = "namespace" in meta
        if spaced:
            meta.setdefault("namespace", self.client.namespace)
        return provider_pb2.CheckResponse(inputs=sealed(wanted, secret))

    def Diff(self, request: Any, context: Any) -> Any:
        old, new = plain(request.old_inputs)[0], plain(request.news)[0]
        kinds = provider_pb2.PropertyDiff
        found = [path for path in changed(old, new) if path.split(".")[0] not in request.ignoreChanges]
        fixed = _FIXED + _REPLACED.get(new["kind"], ())
        detail = {path: kinds(kind=kinds.UPDATE, inputDiff=True) for path in found}
        for path in found:
            if any(path == each or path.startswith((f"{each}.", f"{each}[")) for each in fixed):
                detail[path].kind = kinds.UPDATE_REPLACE
        replaced = [path for path, each in detail.items() if each.kind == kinds.UPDATE_REPLACE]
        same = all(follow(old, f"metadata.{each}") == follow(new, f"metadata.{each}") for each in ("name", "namespace"))
        said = provider_pb2.DiffResponse
        return said(
            changes=said.DIFF_SOME if found else said.DIFF_NONE,
            diffs=sorted({path.split(".")[0] for path in found}),
            replaces=replaced,
            deleteBeforeReplace=bool(replaced) and same,
            detailedDiff=detail,
            hasDetailedDiff=True,
        )

    def Create(self, request: Any, context: Any) -> Any:
        wanted, secret = plain(request.properties)
        live = self._applied(wanted, request)
        return provider_pb2.CreateResponse(id=_id(wanted), properties=_outputs(live, secret))

    def Update(self, request: Any, context: Any) -> Any:
        wanted, secret = plain(request.news)
        return provider_pb2.UpdateResponse(properties=_outputs(self._applied(wanted, request), secret))

    def Read(self, request: Any, context: Any) -> Any:
        inputs, secret = plain(request.inputs)
        known = inputs or plain(request.properties)[0]
        space, _, name = request.id.rpartition("/")
        live = self.client.get(known["apiVersion"], known["kind"], name, space or "")
        if live is None:
            return provider_pb2.ReadResponse()
        said = sealed(shown(inputs, live) if inputs else live, secret)
        return provider_pb2.ReadResponse(id=request.id, properties=_outputs(live, secret), inputs=said)

    def Delete(self, request: Any, context: Any) -> Any:
        known = plain(request.old_inputs)[0] or plain(request.properties)[0]
        policy = _annotations(known).get("pulumi.com/deletionPropagationPolicy", "Foreground").title()
        live = self.client.get(known["apiVersion"], known["kind"], *_place(request.id))
        if live is None:
            return empty_pb2.Empty()
        self.client.delete(live, policy=policy)
        uid = live["metadata"]["uid"]

        def gone() -> bool:
            now = self.client.get(known["apiVersion"], known["kind"], *_place(request.id))
            return now is None or now["metadata"]["uid"] != uid

        _until(gone, request.timeout, f"{request.id} is not gone")
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def _applied(self, wanted: dict[str, Any], request: Any) -> dict[str, Any]:
        """The object after server-side apply; in a preview as it would be, as far as that can be told."""
        if request.preview and UNKNOWN in json.dumps(wanted):
            return wanted
        bare = {**wanted, "metadata": {k: v for k, v in wanted["metadata"].items() if k != "resourceVersion"}}
        try:
            live = self.client.apply(bare, dry=request.preview, manager=MANAGER)
        except Refused as refused:
            if request.preview and refused.code == 404:  # its namespace or its kind is yet to be made
                return wanted
            raise
        if request.preview or _annotations(wanted).get("pulumi.com/skipAwait") == "true":
            return live

        def there() -> dict[str, Any] | None:
            now: dict[str, Any] | None = self.client.get(live["apiVersion"], live["kind"], *_place(_id(live)))
            return now if now is not None and _complete(now) else None

        return _until(there, request.timeout, f"{_id(live)} ({live['kind']}) is not ready")


def _complete(live: Mapping[str, Any]) -> bool:
    """Whether what the plugin waits for is so; Refused where it cannot come."""
    status, spec = live.get("status", {}), live.get("spec", {})
    true = {each["type"] for each in status.get("conditions", []) if each["status"] == "True"}
    match live["kind"]:
        case "Deployment":
            current = status.get("observedGeneration") == live["metadata"]["generation"]
            return current and status.get("updatedReplicas", 0) == spec["replicas"] and "Available" in true
        case "StatefulSet":
            return bool(status.get("readyReplicas", 0) == spec["replicas"])
        case "Pod":
            return "Ready" in true or status.get("phase") == "Succeeded"
        case "Job":
            if "Failed" in true:
                raise Refused(409, {"message": f"job {live['metadata']['name']} has failed"})
            return "Complete" in true
    return True


def _outputs(live: Mapping[str, Any], secret: Paths) -> struct_pb2.Struct:
    own: Paths = {("data",), ("stringData",)} if live.get("kind") == "Secret" else set()
    meta = {key: value for key, value in live.get("metadata", {}).items() if key != "managedFields"}
    return sealed({**live, "metadata": meta}, secret | own)


def _annotations(thing: Mapping[str, Any]) -> Mapping[str, str]:
    return thing["metadata"].get("annotations") or {}


def _id(thing: Mapping[str, Any]) -> str:
    meta = thing["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])


def _place(known: str) -> tuple[str, str]:
    space, _, name = known.rpartition("/")
    return name, space


def _made_name(request: Any) -> str:
    name = str(request.urn).rpartition("::")[2]
    return f"{name}-{random.Random(request.randomSeed).randrange(16**8):08x}"


def _until(look: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + (seconds or _PATIENCE_S)
    while not (found := look()):
        if time.monotonic() > deadline:
            raise Refused(504, {"message": f"{what} in time"})
        time.sleep(_POLL_S)
    return found


class _Told(grpc.ServerInterceptor):
    """Refusals of the API server become the error of the call, in its words."""

    def intercept_service(self, go_on: Any, details: Any) -> Any:
        handler = go_on(details)
        if handler is None or handler.unary_unary is None:
            return handler

        def called(request: Any, context: Any) -> Any:
            try:
                return handler.unary_unary(request, context)
            except (Refused, OSError, KeyError, TypeError, ValueError) as error:
                words = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
                context.abort(grpc.StatusCode.UNKNOWN, words)

        return grpc.unary_unary_rpc_method_handler(called, handler.request_deserializer, handler.response_serializer)


def main() -> None:
    """Serve on a port that is said on stdout, until the engine ends this."""
    server = grpc.server(
        futures.ThreadPoolExecutor(16), interceptors=[_Told()], options=[("grpc.max_receive_message_length", -1)]
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Plugin(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
