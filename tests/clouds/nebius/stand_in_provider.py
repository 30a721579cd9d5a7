"""A provider plugin in the place of Nebius' own: it takes what it is asked for, and tells the cloud on loopback
(NEBIUS_STAND_IN) what it makes, changes and deletes. What is gone there it tells a refresh. The engine starts it as
`pulumi-resource-terraform-provider`, and parameterizes it as it does the real one."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

CLOUD = os.environ.get("NEBIUS_STAND_IN", "")
ANOTHER = {"parentId", "name", "gpuCluster", "infinibandFabric", "networkId", "resources", "preemptible"}
"""Inputs of which another value is another thing."""

_SIGNATURE, _SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"


def tell(method: str, path: str = "", **body: Any) -> Any:
    """Tell the cloud; None where it knows no such thing. RuntimeError says what it refuses."""
    asked = urllib.request.Request(f"{CLOUD}/{path}", json.dumps(body).encode(), method=method)
    try:
        with urllib.request.urlopen(asked) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise RuntimeError(json.loads(error.read())) from None


def plain(struct: Struct) -> dict[str, Any]:
    """Properties as plain data, secrets opened."""
    opened: dict[str, Any] = _opened(json_format.MessageToDict(struct))
    return opened


def _opened(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return _opened(value["value"])
        return {key: _opened(each) for key, each in value.items()}
    return [_opened(each) for each in value] if isinstance(value, list) else value


def changed(olds: Struct, news: Struct) -> list[str]:
    """The inputs that are others now."""
    before, after = plain(olds), plain(news)
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """What the engine asks of a provider."""

    def Parameterize(self, request: Any, context: Any) -> Any:
        return provider_pb2.ParameterizeResponse(name="nebius", version="0.6.73")

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="1.5.0")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=True)

    def Check(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:
        diffs = changed(request.old_inputs, request.news)
        kind = provider_pb2.DiffResponse.DIFF_SOME if diffs else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=kind, diffs=diffs, replaces=sorted(ANOTHER & {*diffs}))

    def Create(self, request: Any, context: Any) -> Any:
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        kind = request.urn.split("::")[2].rpartition("$")[2]
        module = kind.split(":")[1].removeprefix("index/")
        try:
            made = tell("POST", module=module, inputs=plain(request.properties))
        except RuntimeError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        return provider_pb2.CreateResponse(id=made["id"], properties=self._whole(request.properties, made["id"]))

    def Update(self, request: Any, context: Any) -> Any:
        if not request.preview:
            tell("PUT", id=request.id, inputs=plain(request.news))
        return provider_pb2.UpdateResponse(properties=self._whole(request.news, request.id))

    def Delete(self, request: Any, context: Any) -> Any:
        tell("DELETE", id=request.id)
        return empty_pb2.Empty()

    def Read(self, request: Any, context: Any) -> Any:
        if tell("GET", request.id) is None:
            return provider_pb2.ReadResponse(id="")
        known = request.properties if request.properties.fields else request.inputs
        return provider_pb2.ReadResponse(id=request.id, properties=known, inputs=request.inputs)

    def Attach(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def _whole(self, inputs: Struct, id_: str) -> Struct:
        whole = Struct()
        whole.CopyFrom(inputs)
        whole.fields["id"].string_value = id_
        return whole


def main() -> None:
    """Serve until the engine ends this process."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
