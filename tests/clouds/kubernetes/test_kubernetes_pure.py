"""What is worked out without a cluster: merging, machines and their labels, contexts, waiting, sizes."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import lab_nodes
import pytest
import yaml
from lab_nodes import CPU, EFA, GKE_H100, GKE_TPU, H100, MI300X, NEBIUS_H200, TRN2, NodeShape

from skyrig import checking
from skyrig.catalog import market as markets
from skyrig.catalog import optimizer, sized
from skyrig.catalog import table as tables
from skyrig.clouds.cloud import NotUsable
from skyrig.clouds.kubernetes import (
    check,
    gangs,
    kubeconfig,
    looking,
    machines,
    merging,
    names,
    podspec,
    seen,
    settling,
    stock,
    waiting,
)
from skyrig.clouds.kubernetes.gangs import WantedNode
from skyrig.clouds.kubernetes.machines import Machine
from skyrig.clouds.kubernetes.seen import SeenPod
from skyrig.errors import BadInput
from skyrig.task.reading import of_plain as tasks_of
from skyrig.task.resources import of_plain


def node(shape: NodeShape) -> dict[str, object]:
    """A node as the API describes it."""
    made = lab_nodes.manifest(shape, "127.0.0.1")
    return {**made, "status": lab_nodes.status(shape, "127.0.0.1", 1, "2026-11-22T00:00:00Z")}


def machine(shape: NodeShape) -> Machine:
    [found] = machines.seen([node(shape)], [])
    return found


@pytest.mark.parametrize(
    ("shape", "accelerator", "resource", "fabric", "devices"),
    [
        (CPU, "", "", "", {}),
        (H100, "H100", "nvidia.com/gpu", "rdma-ib", {"rdma/ib": "1"}),
        (EFA, "H100", "nvidia.com/gpu", "efa", {"vpc.amazonaws.com/efa": "32", "hugepages-2Mi": "5120Mi"}),
        (GKE_H100, "H100-MEGA", "nvidia.com/gpu", "tcpxo", {}),
        (GKE_TPU, "tpu-v5p-slice", "google.com/tpu", "", {}),
        (MI300X, "MI300X", "amd.com/gpu", "rdma-ib", {"rdma/ib": "1"}),
        (TRN2, "Trainium2", "aws.amazon.com/neuron", "efa", {"vpc.amazonaws.com/efa": "16"}),
        (NEBIUS_H200, "H200", "nvidia.com/gpu", "infiniband", {}),
    ],
)  # fmt: skip
def test_a_machine_is_known_by_its_labels(
    shape: NodeShape, accelerator: str, resource: str, fabric: str, devices: dict[str, str]
) -> None:
    found = machine(shape)
    assert (found.accelerator, found.resource, found.fabric) == (accelerator, resource, fabric)
    assert found.devices == devices


def test_what_pods_take_is_not_free() -> None:
    asks = {"resources": {"requests": {"cpu": "1500m", "memory": "4Gi"}, "limits": {"nvidia.com/gpu": "3"}}}
    pod = {"spec": {"nodeName": "h100", "containers": [asks]}, "status": {"phase": "Running"}}
    [found] = machines.seen([node(H100)], [pod, {**pod, "status": {"phase": "Succeeded"}}])
    assert (found.cpus, found.memory_gib, found.accelerators) == (190.5, 2044, 5)


def test_machines_that_take_no_pods_are_none() -> None:
    kept = CPU.named("kept", taints=(("team", "other", "NoSchedule"),))
    assert machines.seen([node(kept)], []) == []


@pytest.mark.parametrize(
    ("toleration", "there"),
    [
        ({"key": "team", "operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "team", "value": "other"}, True),
        ({"key": "team", "value": "ours"}, False),
        ({"key": "team", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "tea", "operator": "Exists"}, False),
    ],
)
def test_machines_that_a_task_tolerates_are_offered_to_it(toleration: dict[str, object], there: bool) -> None:
    kept = node(CPU.named("kept", taints=(("team", "other", "NoSchedule"),)))
    said = {"kubernetes": {"pod_config": {"spec": {"tolerations": [toleration]}}}}
    [task] = tasks_of({"run": "ls", "config": said}, "test").tasks
    borne = merging.tolerations(task.config.of_place("kubernetes", "lab"))
    assert bool(machines.seen([kept], [], borne)) == there and not machines.seen([kept], [])


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        ({"imagePullSecrets": ["registry"]}, r"imagePullSecrets\[0\]: a mapping is wanted, not 'registry'"),
        ({"containers": {"image": "x"}}, "containers: a list is wanted"),
        ({"containers": [{"env": {"A": "b"}}]}, r"containers\[0\]\.env: a list is wanted"),
        ([], "spec: a mapping is wanted"),
    ],
)
def test_a_pod_config_that_cannot_be_merged_is_refused(spec: object, wrong: str) -> None:
    with pytest.raises(BadInput, match=wrong):
        tasks_of({"run": "ls", "config": {"kubernetes": {"pod_config": {"spec": spec}}}}, "test")


def test_a_section_that_says_nothing_takes_nothing_away() -> None:
    asked = podspec.Asked(config={"pod_config": {"metadata": None, "spec": {"containers": [{"resources": None}]}}})
    made = podspec.template(podspec.Pod("c", podspec.size_of("4CPU--16GB--H100:2"), asked, labels={"a": "b"}))
    assert made["metadata"] == {"labels": {"a": "b"}}
    assert made["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "2"}


@pytest.mark.parametrize(
    "text",
    ["clusters: [a]", "clusters: {a: 1}", "contexts: [{context: {}}]", "clusters: [{name: a, cluster: x}]", "a: \xff"],
)
def test_what_is_no_kubeconfig_is_told(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_bytes(text.encode("latin-1"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert "config is no kubeconfig" in check.missing()


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, b'{"message": "Unauthorized"}', "lab answers 401: Unauthorized .does `kubectl get pods` work"),
        (503, b"busy", "lab answers 503"),
        (404, b'{"message": "no such page"}', "is no API server"),
        (200, b"<html>log in</html>", "answers something that is no JSON"),
    ],
)
def test_an_api_server_that_will_not_have_us_is_told(
    status: int, body: bytes, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        file = config(tmp_path, "lab", b"")
        said = yaml.safe_load(file.read_text())
        said["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{server.server_port}"}
        file.write_text(yaml.safe_dump(said))
        monkeypatch.setenv("KUBECONFIG", str(file))
        with pytest.raises(NotUsable, match=told):
            looking.machines("lab")
        server.shutdown()


def test_pod_config_is_merged_as_skypilot_does() -> None:
    ours = {"name": "node", "env": [{"name": "A", "value": "1"}], "image": "x"}
    below = {"spec": {"containers": [ours], "tolerations": [1]}}
    own = {"env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}]}
    above = {"spec": {"containers": [own, {"name": "side"}], "tolerations": [2], "nodeSelector": {"a": "b"}}}
    found = merging.merged(below, above)["spec"]
    assert found["containers"][0] == {
        "name": "node", "image": "x", "env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}],
    }  # fmt: skip
    assert found["containers"][1] == {"name": "side"}
    assert (found["tolerations"], found["nodeSelector"]) == ([1, 2], {"a": "b"})
    assert below["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]


def test_gangs() -> None:
    wanted = [WantedNode("n0", "main", 1), WantedNode("n2", "main", 1), WantedNode("n1", "main", 2)]
    assert [each.nodes for each in gangs.gangs(wanted, "")] == [("n0",), ("n2",), ("n1",)]
    assert [each.nodes for each in gangs.gangs(wanted, "queue")] == [("n0", "n2"), ("n1",)]


def test_names_are_no_longer_than_they_may_be() -> None:
    cluster = names.cluster_name("A.Very_Long.stack-name-with-much-in-it-that-goes-on-and-on-and-on")
    job = names.job_name(cluster, "n" * 31 + "-v123456789", "abcdef")
    assert len(f"{job}-0") <= 63 and cluster in job
    assert names.labels({"skyrig-owner": "Ada@Example.org", "empty": "..."}) == {"skyrig-owner": "ada_example.org"}


def config(folder: Path, name: str, authority: bytes, namespace: str = "team") -> Path:
    """A kubeconfig with one context."""
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority-data": base64.b64encode(authority).decode()}
    said = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "current-context": name,
    }
    file = folder / f"{name.rpartition('/')[2]}.yaml"
    file.write_text(yaml.safe_dump(said))
    return file


def test_contexts_of_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eks = "arn:aws:eks:us-east-1:123456789012:cluster/lab"
    files = [config(tmp_path, eks, b"one"), config(tmp_path, "other", b"two"), tmp_path / "not-there"]
    monkeypatch.setenv("KUBECONFIG", ":".join(map(str, files)))
    assert set(kubeconfig.contexts()) == {eks, "other"} and kubeconfig.current() == eks
    account = kubeconfig.find(eks).account
    config(tmp_path, eks, b"somebody else's")
    assert kubeconfig.find(eks).account != account and account.startswith("team.")
    monkeypatch.delenv("SKYRIG_KUBE_CONTEXTS", raising=False)
    monkeypatch.setenv("SKYPILOT_CONFIG", str(tmp_path / "sky.yaml"))
    assert stock.allowed() == [eks]
    (tmp_path / "sky.yaml").write_text(f"kubernetes: {{allowed_contexts: [other, {eks}, unknown]}}")
    assert stock.allowed() == ["other", eks]


def test_sizes_are_cut_out_of_machines() -> None:
    rows = stock.offered([("lab", [machine(H100), machine(CPU)])], "test").rows
    market = markets.Market(tables.of_rows(rows), {"kubernetes": ""})
    asked = {
        "2CPU--8GB": {}, "4CPU--16GB": {"cpus": "4+"}, "3CPU--5GB": {"cpus": "3", "memory": "5"},
        "8CPU--32GB--H100:2": {"accelerators": "H100:2"}, "1CPU--1GB--H100:8": {"instance_type": "1CPU--1GB--H100:8"},
    }  # fmt: skip
    for name, said in asked.items():
        [offer, *_] = optimizer.rank(of_plain({**said, "infra": "k8s"}, "test")[0], 1, market).offers
        assert (offer.kind.name, offer.region, offer.hourly) == (name, "lab", 0.0)
        assert sized.name(sized.parse(name)) == name  # type: ignore[arg-type]
    assert not optimizer.rank(of_plain({"accelerators": "H100:16", "infra": "k8s"}, "test")[0], 1, market).offers


FUSE = {"spec": {"containers": [{"resources": {"limits": {"smarter-devices/fuse": 1}}}]}}


@pytest.mark.parametrize(("mode", "extra", "there"), [("MOUNT", {}, False), ("COPY", {}, True), ("MOUNT", FUSE, True)])
def test_a_mount_needs_fuse(mode: str, extra: dict[str, object], there: bool) -> None:
    mounts = {"/d": {"source": "s3://some-bucket", "mode": mode}}
    said = {"run": "ls /d", "resources": {"infra": "k8s"}, "file_mounts": mounts}
    [task] = tasks_of({**said, "config": {"kubernetes": {"pod_config": extra}}}, "test").tasks
    rows = stock.offered([("lab", [machine(CPU)])], "test").rows
    ranking = optimizer.rank(task.choice, 1, markets.Market(tables.of_rows(rows), {"kubernetes": ""}))
    assert bool(ranking.offers) == there
    assert there or any("mode COPY" in each.reason for each in ranking.rejected)


def test_what_keeps_pods_from_running_has_a_word_that_failover_knows() -> None:
    from skyrig.catalog import refusals

    placed = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/5 nodes"}
    meta = {"uid": "u", "name": "p", "labels": {}}
    pod = seen.seen({"metadata": meta, "status": {"phase": "Pending", "conditions": [placed]}})
    [error] = waiting._errors({"n0": pod}, late=True, broken=False)
    assert refusals.kind("kubernetes", str(error)) == "capacity" and "0/5 nodes" in str(error)
    held = SeenPod(why="Suspended: no queue has admitted it yet")
    assert "SkyrigNotAdmitted" in str(next(waiting._errors({"n0": held}, late=True, broken=False)))
    assert list(waiting._errors({"n0": pod}, late=False, broken=False)) == []


def test_settling_finds_label_and_fabric() -> None:
    found = settling.chosen([machine(EFA), machine(CPU)], "H100", fabric=True)
    assert found["select"] == {"nvidia.com/gpu.product": ["NVIDIA-H100-80GB-HBM3"]}
    assert (found["resource"], found["fabric"]) == ("nvidia.com/gpu", "efa")
    assert json.dumps(found) and settling.chosen([], "H100", fabric=False) == {"resource": "nvidia.com/gpu"}


def test_pods_that_a_refresh_has_missed_are_waited_for() -> None:
    from components.kubernetes.pods import KubernetesPodsProvider

    news = {"context": "lab", "namespace": "team", "cluster": "c", "jobs": {"job": ["n0"]}, "timeout_s": 600}
    for phase, changes in (("Running", False), ("Gone", True), ("Leaving", True)):
        olds = {**news, "nodes": {"n0": {"phase": phase}}}
        assert KubernetesPodsProvider().diff("id", olds, news).changes is changes
    assert KubernetesPodsProvider().diff("id", {**news, "nodes": {}}, {**news, "context": "other"}).replaces == [
        "context"
    ]


def test_a_gang_keeps_its_size() -> None:
    from components.kubernetes.program import KubernetesError
    from components.kubernetes.run import KubernetesRunProvider

    olds = {"context": "lab", "namespace": "team", "cluster": "c", "gang": "gang-main-v1", "nodes": ["n0", "n1"]}
    assert not KubernetesRunProvider().diff("id", olds, dict(olds)).changes
    with pytest.raises(KubernetesError, match="all or none"):
        KubernetesRunProvider().diff("id", olds, {**olds, "nodes": ["n0"]})


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("power", "stopped", "keeps no disk"),
        ("balancer", "cloud", "no balancer"),
        ("capacity", "spot", "on demand"),
        ("instance_type", "p5.48xlarge", "a size is wanted"),
        ("image", "ami-0123", "docker:IMAGE"),
        ("reaches", ["s3://bucket"], "with keys alone"),
        ("zone", "a", "no zones"),
    ],
)
def test_what_cannot_be_had_is_refused(field: str, value: object, said: str) -> None:
    from kubernetes_cases import case

    from components.kubernetes.wrong import wrong

    args = case("cpu-pair")
    assert wrong(args) == {}
    changed = {**args, field: value} if field in ("power", "balancer") else {
        **args, "machine": {**args["machine"], field: value},
    }  # fmt: skip
    [told] = wrong(changed).values()  # type: ignore[arg-type]
    assert said in told


def test_a_check_looks_at_what_there_is_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(config(tmp_path, "lab", b"one")))
    monkeypatch.setenv("SKYRIG_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.setenv("SKYRIG_KUBE_CONTEXTS", "lab")
    monkeypatch.setattr(looking, "machines", lambda *_: [machine(H100)])
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(
        check, "findings", lambda region, wanted: asked.append((region, wanted.instance_type if wanted else "")) or []
    )
    [task] = tasks_of({"run": "ls", "resources": {"infra": "k8s/lab", "accelerators": "H100:8"}}, "test").tasks
    checking.check(["kubernetes"], task, None)
    checking.check(["kubernetes"], None, None)
    assert asked == [("lab", "32CPU--128GB--H100:8"), ("", "")]


def test_a_cluster_that_is_away_has_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(config(tmp_path, "away", b"-----BEGIN CERTIFICATE-----")))
    monkeypatch.setenv("SKYRIG_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.delenv("SKYRIG_KUBE_CONTEXTS", raising=False)
    monkeypatch.setenv("SKYPILOT_CONFIG", str(tmp_path / "sky.yaml"))
    stock.look()
    assert (tmp_path / "catalog" / "kubernetes.csv").read_text().count("\n") == 1
    assert stock.look() is False
