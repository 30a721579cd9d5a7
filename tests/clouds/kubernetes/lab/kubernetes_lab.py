"""A real Kubernetes on this machine for tests: see README.md in this folder."""

from __future__ import annotations

import itertools
import json
import ssl
import subprocess
import sys
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import lab_jobsets
import lab_nodes
import lab_programs as programs
import lab_queues
import pytest
from lab_client import Client, Object, Refused, from_kubeconfig
from lab_control import GATEWAY, PODS, Control, free_ports
from lab_nodes import NodeShape
from lab_round import Round
from lab_round import now as _now

CRDS = Path(__file__).with_name("crds")


class Lab:
    """A cluster whose nodes are `nodes`: a context manager that is up inside. `flags` are more of the API server's.

    `images` is what images have beyond this machine's files, as `lab_images.py` has it.

    `kubeconfig` is the administrator's, with the contexts `lab` (namespace default) and `team` (namespace team);
    `client` speaks as the administrator.
    """

    def __init__(
        self,
        folder: Path,
        nodes: Sequence[NodeShape] = (),
        flags: Sequence[str] = (),
        images: Mapping[str, Object] = {},
    ) -> None:
        try:
            programs.build()
        except subprocess.CalledProcessError:  # Go has said why, on stderr
            pytest.skip("a Kubernetes for tests cannot be built here by Go")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count(1)
        self._flags = flags
        self._images = images
        self._wanted = nodes
        self._port = free_ports(1)[0]
        self._kinds: list[Object] = []
        self._rounds: dict[str, Round] = {}
        self._shapes: dict[str, tuple[NodeShape, str]] = {}

    def __enter__(self) -> Lab:
        self.control = Control(self.folder, self._flags)
        try:
            self._come_up()
        except BaseException:
            self.control.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything: the kubelet with all processes of pods first."""
        try:
            for each in self._rounds.values():
                each.close()
        finally:
            self.control.close()

    @property
    def url(self) -> str:
        """The API server's."""
        return self.control.url

    def add(self, *shapes: NodeShape) -> None:
        """Register nodes, ready at once."""
        for shape in shapes:
            address = f"127.77.{len(self._shapes) >> 8}.{len(self._shapes) % 256 + 1}"
            self._shapes[shape.name] = (shape, address)
            made = self.client.apply(lab_nodes.manifest(shape, address))
            self._say_status(shape, address, made)
            self.client.wait(lambda name=shape.name: self._untainted(name), what=f"node {shape.name} without taints")

    def namespace(self, prefix: str = "t") -> str:
        """A new namespace, in which pods can be made at once."""
        name = f"{prefix}-{next(self._numbers)}"
        self._make_namespace(name)
        return name

    def user(self, name: str, namespace: str, rules: Sequence[Mapping[str, Any]]) -> Path:
        """The kubeconfig of a user who may do in `namespace` what the rules of RBAC say, and nothing else."""
        root = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name, "namespace": namespace}}
        self.client.apply({**root, "kind": "Role", "rules": list(rules)})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        who = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}
        self.client.apply({**root, "kind": "RoleBinding", "roleRef": role, "subjects": [who]})
        pair = self.control.authority.issue(name)
        return self.control.kubeconfig(self.folder / f"{name}.kubeconfig", pair, {name: namespace}, user=name)

    def install(self, *names: str) -> None:
        """Have the kinds of crds/NAME.yaml served and their controllers run, as far as the lab has them; `jobset` and
        `kueue` there are. From then on they are there for all tests."""
        fresh = [name for name in names if name not in self._rounds]
        texts = [(CRDS / f"{name}.yaml").read_text() for name in fresh]
        kinds = [json.loads(line) for text in texts for line in text.splitlines() if line.startswith("{")]
        for made in [*kinds, *(lab_queues.held() if "kueue" in fresh else [])]:
            self.client.ask("POST", self.client.path(made["apiVersion"], made["kind"]), made)
        if "kueue" in fresh:
            self.client.wait(self._holds_queued, 60, "queued Jobs held")
        self._kinds += kinds
        for made in self._kinds:  # known ones too: what holds queued things learns of them later than all others
            self.client.wait(lambda made=made: self._served(made), 60, f"{made['metadata']['name']} served")
        for name in fresh:
            self._rounds[name] = Round(name, {"jobset": lab_jobsets.look, "kueue": lab_queues.look}[name], self.client)

    def pods(self, namespace: str, labels: str = "") -> list[Object]:
        """The pods of a namespace, with these labels, that are not being deleted."""
        found = self.client.all("v1", "Pod", namespace, labels)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def wait_running(self, namespace: str, count: int, labels: str = "", seconds: float = 90.0) -> list[Object]:
        """The pods of a namespace with these labels, as soon as so many are ready."""

        def look() -> list[Object] | None:
            ready = [pod for pod in self.pods(namespace, labels) if _is_ready(pod)]
            return ready if len(ready) >= count else None

        found: list[Object] = self.client.wait(look, seconds, f"{count} pods ready in {namespace}")
        return found

    def finish(self, pod: Object, code: int = 0) -> None:
        """Have the containers of a pod on a node that only pretends end with this exit code."""
        now = _now()
        done = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "startedAt": now, "finishedAt": now}
        each = [
            {"name": c["name"], "image": c["image"], "imageID": "", "ready": False, "restartCount": 0}
            for c in pod["spec"]["containers"]
        ]
        states = [{**c, "state": {"terminated": done}} for c in each]
        phase = "Succeeded" if code == 0 else "Failed"
        self.client.patch(pod, {"status": {"phase": phase, "containerStatuses": states}}, "status")

    def lose(self, pod: Object, *, gone: bool = False) -> None:
        """Kill all processes of a pod at once; it has failed then, or with `gone` is no more."""
        meta = pod["metadata"]
        self._tell("lose", namespace=meta["namespace"], pod=meta["name"])
        if gone:
            self.client.delete(pod, now=True)

    def lose_node(self, name: str) -> None:
        """A node falls silent: its processes are killed, it is not ready, its pods keep the status that they had."""
        self._tell("lose-node", node=name)
        node = self.client.get("v1", "Node", name)
        assert node is not None, name
        now = _now()
        silent = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "lost by the lab"}
        conditions = [{**silent, "lastHeartbeatTime": now, "lastTransitionTime": now}]
        self.client.patch(node, {"status": {"conditions": conditions}}, "status")

    def find_node(self, name: str) -> None:
        """A node that was lost is heard of again, with none of its processes."""
        self._tell("find-node", node=name)
        shape, address = self._shapes[name]
        self._say_status(shape, address, self.client.get("v1", "Node", name) or {})

    def publish(self, port: int) -> None:
        """Have pods reach a port of this machine's loopback at the same port of GATEWAY."""
        self._tell("publish", port=str(port))

    def drain(self, name: str) -> None:
        """Cordon a node and evict its pods, as `kubectl drain` does."""
        node = self.client.get("v1", "Node", name)
        assert node is not None, name
        self.client.patch(node, {"spec": {"unschedulable": True}})
        for pod in self.client.all("v1", "Pod", ""):
            if pod["spec"].get("nodeName") == name:
                meta = {key: pod["metadata"][key] for key in ("name", "namespace")}
                eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
                self.client.ask("POST", self.client.of(pod) + "/eviction", eviction)

    def remove_node(self, name: str) -> None:
        """A node is gone for good, and so are its pods, as after a cloud took the machine away."""
        self._tell("lose-node", node=name)
        for pod in self.client.all("v1", "Pod", ""):
            if pod["spec"].get("nodeName") == name:
                self.client.delete(pod, now=True)
        self.client.delete({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})

    def logs(self, namespace: str, pod: str, container: str = "") -> str:
        """What a container has said, by way of the API server."""
        query = f"?container={container}" if container else ""
        said: str = self.client.ask("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log{query}")
        return said

    def _come_up(self) -> None:
        config = self.folder / "kubeconfig"
        self.kubeconfig = self.control.kubeconfig(config, self.control.admin, {"lab": "default", "team": "team"})
        self.control.ready()
        self.client: Client = from_kubeconfig(self.kubeconfig.read_text())
        self._start_kubelet()
        self._make_namespace("team")
        self.add(*self._wanted)

    def _make_namespace(self, name: str) -> None:
        self.client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self.client.wait(lambda: self.client.get("v1", "ServiceAccount", "default", name), 30, f"namespace {name}")

    def _start_kubelet(self) -> None:
        pair = self.control.authority.issue("system:node:lab", ["system:masters"], ["127.77.0.1", "127.0.0.1"])
        config = self.control.kubeconfig(self.folder / "kubelet.kubeconfig", pair, {"lab": "default"}, user="kubelet")
        certificate, key = self.control.authority.issue("kubelet", hosts=[f"127.77.0.{n}" for n in range(1, 255)])
        images = self.folder / "images.json"
        images.write_text(json.dumps(self._images))
        words = {
            "kubeconfig": str(config),
            "port": str(self._port),
            "cert": str(certificate),
            "key": str(key),
            "authority": str(self.control.authority.certificate),
            "folder": str(self.folder / "pods"),
            "pods": PODS,
            "gateway": GATEWAY,
            "hide": ",".join([str(programs.MODULE.parents[1]), sys.prefix]),
            "images": str(images),
        }
        program = programs.kubelet_folder() / programs.KUBELET
        self.control.run("kubelet", [str(program), *(f"--{name}={value}" for name, value in words.items())])

    def _tell(self, what: str, **about: str) -> None:
        trust = ssl.create_default_context(cafile=str(self.control.authority.certificate))
        trust.load_cert_chain(*self.control.admin)
        url = f"https://127.77.0.1:{self._port}"
        Client(url, trust).ask("POST", f"/lab/{what}?{urllib.parse.urlencode(about)}")

    def _say_status(self, shape: NodeShape, address: str, node: Object) -> None:
        self.client.patch(node, {"status": lab_nodes.status(shape, address, self._port, _now())}, "status")

    def _untainted(self, name: str) -> bool:
        node = self.client.get("v1", "Node", name) or {"spec": {}}
        return all(not taint["key"].startswith("node.kubernetes.io/") for taint in node["spec"].get("taints", []))

    def _holds_queued(self) -> bool:
        """Whether what is made with a queue's label is suspended by now."""
        probe = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "probe", "namespace": "default", "labels": {lab_queues.LABEL: "none"}},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
        }
        return bool(self.client.apply(probe, dry=True)["spec"].get("suspend"))

    def _served(self, made: Object) -> bool:
        """Whether objects of a kind can be applied by now, which is later than that they can be listed."""
        spec = made["spec"]
        meta: Object = {"name": "probe", "labels": {lab_queues.LABEL: "none"}}
        meta |= {"namespace": "default"} if spec["scope"] == "Namespaced" else {}
        for version in spec["versions"]:
            probe = {
                "apiVersion": f"{spec['group']}/{version['name']}",
                "kind": spec["names"]["kind"],
                "metadata": meta,
            }
            try:
                self.client.apply(probe, dry=True)
            except Refused as refused:
                if refused.code == 404 or "There can be a delay" in str(refused):
                    return False
        return True


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
