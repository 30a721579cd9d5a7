"""Nebius on loopback: the API that Skyrig asks (gRPC, with the SDK's own messages), and a door for the stand-in of the
engine's provider (HTTP), over one table of things."""

from __future__ import annotations

import importlib
import json
import threading
import time
from concurrent import futures
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import grpc
from attrs import define, field

PROJECT, REGION, TOKEN = "project-e00lab", "eu-north1", "an-iam-token"
NOUNS = {
    "computeV1Instance": ("compute", "Instance"),
    "computeV1GpuCluster": ("compute", "GpuCluster"),
    "vpcV1Allocation": ("vpc", "Allocation"),
    "vpcV1SecurityGroup": ("vpc", "SecurityGroup"),
    "vpcV1SecurityRule": ("vpc", "SecurityRule"),
    "vpcV1Subnet": ("vpc", "Subnet"),
    "vpcV1Network": ("vpc", "Network"),
    "storageV1Bucket": ("storage", "Bucket"),
    "computeV1Disk": ("compute", "Disk"),
}
"""Package and noun of the API, by the module of the provider's type tokens."""


@define
class Thing:
    """Something that is there, as the provider was asked for it; `status` and `address` of a machine."""

    id: str
    noun: tuple[str, str]
    inputs: dict[str, Any]
    status: str = "RUNNING"
    private: str = ""
    public: str = ""
    made: datetime = field(factory=lambda: datetime.now(UTC))

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.inputs.get("labels") or {})


class NebiusCloud:
    """A project. `calls` are changes that were asked of the API; `busy` is how often it answers UNAVAILABLE first,
    `denied` whether it refuses whoever calls, `full` what is said to whoever wants a machine, `late_s` for how long a
    machine is there before the provider is told so, `stuck` ids of what cannot be deleted."""

    def __init__(self, project: str = PROJECT, region: str = REGION) -> None:
        self.project, self.region = project, region
        self.things: dict[str, Thing] = {}
        self.calls: list[str] = []
        self.tokens: set[str] = set()
        self.busy, self.denied, self.full, self.late_s = 0, False, "", 0.0
        self.refused_after = -1
        self.stuck: set[str] = set()
        self._number = 0
        self._lock = threading.RLock()

    @property
    def env(self) -> dict[str, str]:
        """Variables with which this cloud is used, and no other."""
        return {
            "NEBIUS_IAM_TOKEN": TOKEN,
            "NEBIUS_PROJECT_ID": self.project,
            "SKYRIG_NEBIUS_LOOPBACK": f"127.0.0.1:{self.port}",
            "NEBIUS_STAND_IN": f"http://127.0.0.1:{self.door.server_port}",
        }

    def __enter__(self) -> Self:
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
        self.server.add_generic_rpc_handlers((_Handlers(self),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.door = ThreadingHTTPServer(("127.0.0.1", 0), _door(self))
        threading.Thread(target=self.door.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.stop(0)
        self.door.shutdown()
        self.door.server_close()

    def of(self, noun: str, stack: str = "") -> list[Thing]:
        """All things of a noun, of a stack."""
        with self._lock:
            found = [each for each in self.things.values() if each.noun[1] == noun]
        return [each for each in found if not stack or each.labels.get("skyrig-stack") == stack]

    def make(self, module: str, inputs: dict[str, Any]) -> Thing:
        """Make a thing; KeyError where its name is taken, RuntimeError where there is no room."""
        with self._lock:
            package, noun = NOUNS[module]
            taken = [one for one in self.things.values() if one.noun == (package, noun) and self._same(one, inputs)]
            if taken:
                raise KeyError(f"{noun} {inputs['name']} exists already")
            if noun == "Instance" and self.full and (len(self.of("Instance")) > self.refused_after):
                raise RuntimeError(self.full)
            self._number += 1
            made = Thing(f"{package}{noun.lower()}-e00{self._number:04d}", (package, noun), inputs)
            if noun == "Instance":
                made.private = f"10.0.0.{self._number}"
                made.public = "203.0.113.9" if "publicIpAddress" in inputs["networkInterfaces"][0] else ""
                if inputs.get("stopped"):
                    made.status = "STOPPED"
            self.things[made.id] = made
            return made

    def _same(self, one: Thing, inputs: dict[str, Any]) -> bool:
        return (one.inputs["name"], one.inputs.get("parentId")) == (inputs["name"], inputs.get("parentId"))

    def end(self, id_: str) -> None:
        """Take a thing away, with what goes with it."""
        with self._lock:
            self.things.pop(id_, None)

    def switch(self, id_: str, status: str) -> None:
        """A machine gets another state."""
        with self._lock:
            self.things[id_].status = status

    def message(self, thing: Thing) -> Any:
        """A thing as the API describes it."""
        package, noun = thing.noun
        module, common = _module(package), _module("common")
        metadata = common.ResourceMetadata(
            id=thing.id,
            parent_id=str(thing.inputs.get("parentId", "")),
            name=str(thing.inputs["name"]),
            labels=thing.labels,
            created_at=thing.made,
        )
        said: dict[str, Any] = {"metadata": metadata}
        if noun == "Instance":
            said |= self._instance(thing, module)
        elif noun == "Disk":
            spec = module.DiskSpec(type=module.DiskSpec.DiskType.NETWORK_SSD, size_gibibytes=100)
            status = module.DiskStatus(size_bytes=100 * 2**30, managed_by=str(thing.inputs.get("managedBy", "")))
            said |= {"spec": spec, "status": status}
        elif noun == "Allocation":
            said["spec"] = module.AllocationSpec(ipv4_public=module.IPv4PublicAllocationSpec(subnet_id="s"))
        return getattr(module, noun)(**said)

    def _instance(self, thing: Thing, module: Any) -> dict[str, Any]:
        spec = module.InstanceSpec(resources=module.ResourcesSpec(**thing.inputs["resources"]))
        nic = module.NetworkInterfaceStatus(
            ip_address=module.IPAddressStatus(address=f"{thing.private}/32"),
            public_ip_address=module.PublicIPAddressStatus(address=f"{thing.public}/32") if thing.public else None,
        )
        state = module.InstanceStatus.InstanceState[thing.status]
        return {"spec": spec, "status": module.InstanceStatus(state=state, network_interfaces=[nic])}


class _Handlers(grpc.GenericRpcHandler):
    """The API's services: /nebius.PACKAGE.v1.NOUNService/VERB."""

    def __init__(self, cloud: NebiusCloud) -> None:
        self._cloud = cloud

    def service(self, details: Any) -> Any:
        _, service, verb = details.method.split("/")
        package, noun = service.split(".")[1], service.rpartition(".")[2].removesuffix("Service")

        def answer(payload: bytes, context: Any) -> bytes:
            said: bytes = self._answer(package, noun, verb, payload, context).SerializeToString()
            return said

        return grpc.unary_unary_rpc_method_handler(answer)

    def _answer(self, package: str, noun: str, verb: str, payload: bytes, context: Any) -> Any:
        cloud, module = self._cloud, _module(package)
        cloud.tokens |= {str(value) for key, value in context.invocation_metadata() if key == "authorization"}
        if cloud.busy:
            cloud.busy -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        if cloud.denied:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you")
        if noun == "Project":
            return self._project(importlib.import_module("nebius.api.nebius.iam.v2"), payload, context)
        if verb == "List":
            asked = getattr(module, f"List{noun}sRequest").FromString(payload)
            known = [each for each in cloud.of(noun) if each.inputs.get("parentId") == asked.parent_id]
            first, size = int(asked.page_token or 0), 2
            more = str(first + size) if len(known) > first + size else ""
            items = [cloud.message(each) for each in known[first : first + size]]
            return getattr(module, f"List{noun}sResponse")(items=items, next_page_token=more)
        return self._changed(module, noun, verb, payload, context)

    def _project(self, module: Any, payload: bytes, context: Any) -> Any:
        asked = module.GetProjectRequest.FromString(payload).id
        if asked != self._cloud.project:
            context.abort(grpc.StatusCode.NOT_FOUND, f"project {asked} was not found")
        metadata = _module("common").ResourceMetadata(id=asked, name="lab")
        return module.Project(metadata=metadata, spec=module.ProjectSpec(region=self._cloud.region))

    def _changed(self, module: Any, noun: str, verb: str, payload: bytes, context: Any) -> Any:
        """A delete, start or stop, which is done at once."""
        cloud = self._cloud
        id_ = getattr(module, f"{verb}{noun}Request").FromString(payload).id
        if id_ not in cloud.things:
            context.abort(grpc.StatusCode.NOT_FOUND, f"{id_} was not found")
        if id_ in cloud.stuck:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{id_} is in use")
        cloud.calls.append(f"{verb.lower()} {cloud.things[id_].inputs['name']}")
        if verb == "Delete":
            cloud.end(id_)
        else:
            cloud.switch(id_, {"Start": "RUNNING", "Stop": "STOPPED"}[verb])
        common, now = _module("common"), datetime.now(UTC)
        return common.Operation(id=f"op-{id_}", resource_id=id_, created_at=now, finished_at=now, status=_status())


def _status() -> Any:
    """That all went well, by the SDK's own message: the engine's SDK has another one of that name."""
    registry = importlib.import_module("nebius.base.protos.dynamic").REGISTRY
    return registry.message_class("google.rpc.Status")(code=0)


def _module(package: str) -> Any:
    return importlib.import_module(f"nebius.api.nebius.{package}.v1")


def _door(cloud: NebiusCloud) -> type[BaseHTTPRequestHandler]:
    """What the provider's stand-in says and asks: POST makes, PUT changes, DELETE deletes, GET looks."""

    class Door(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def _body(self) -> dict[str, Any]:
            read: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
            return read

        def _say(self, code: int, said: object) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def do_POST(self) -> None:
            asked = self._body()
            try:
                made = cloud.make(asked["module"], asked["inputs"])
            except (KeyError, RuntimeError) as error:
                self._say(409, str(error.args[0]))
                return
            if made.noun[1] == "Instance":
                time.sleep(cloud.late_s)
            self._say(200, {"id": made.id})

        def do_PUT(self) -> None:
            asked = self._body()
            cloud.things[asked["id"]].inputs = asked["inputs"]
            self._say(200, {})

        def do_DELETE(self) -> None:
            cloud.end(self._body()["id"])
            self._say(200, {})

        def do_GET(self) -> None:
            found = cloud.things.get(self.path.strip("/"))
            self._say(200 if found else 404, found.inputs if found else {})

    return Door
