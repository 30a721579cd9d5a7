"""Whatever stands in a file: errors with places, never a traceback; what is read can be written and read again."""

from __future__ import annotations

import json
import string
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skyrig.errors import BadInput
from skyrig.task import normal, reading, writing

WORDS = st.sampled_from(
    [
        "name", "run", "setup", "resources", "accelerators", "any_of", "ordered", "envs", "secrets", "file_mounts",
        "/a", "mode", "service", "pool", "replicas", "config", "hooks", "kubernetes", "autostop", "ports", "infra",
        "cpus", "num_nodes", "workdir", "url", "volumes", "image_id", "labels", "job_recovery", "execution",
        "containers", "<<",
    ]
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.dates(), st.binary(max_size=3), WORDS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | SCALARS, inner, max_size=4),
    max_leaves=12,
)


def taken(text: str) -> Any:
    """What a text is read as; None where it is refused."""
    try:
        return reading.loads(text, "f.yaml")
    except BadInput as refused:
        assert str(refused)
        assert "Traceback" not in str(refused)
        return None


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=string.printable + "é\u0085\u2028\ufeff🚀", max_size=200))
@example("a: &a [*a]")
@example("[" * 5000)
@example("? {a: b}\n: c")
@example("run: !!python/object/apply:os.system [x]")
@example("envs: {A: 99999999-99-99}")
@example("resources: {<<: [1], cpus: 1}")
@example("a: &a {<<: *a}")
@example("resources: {accelerators: {1: 2}}")
@example("!!set {a, b}")
@example("cpus: 0b2\nname: 1:99\n")
def test_no_text_makes_a_traceback(text: str) -> None:
    taken(text)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(WORDS, VALUES, max_size=5), min_size=1, max_size=3))
def test_no_document_makes_a_traceback(documents: list[Any]) -> None:
    found = taken(yaml.safe_dump_all(documents, allow_unicode=True))
    if found is not None:
        json.dumps(normal.of_file(found))


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=40)
RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        "infra": st.sampled_from(["aws", "gcp/us-central1", "*/*/z", "k8s/a/b", "ssh/pool", "local"]),
        "cpus": st.sampled_from([4, "4+", 1.5]),
        "memory": st.sampled_from([16, "64GB+", "4x"]),
        "use_spot": st.booleans(),
        "disk_size": st.sampled_from([256, 100, "1TB"]),
        "disk_tier": st.sampled_from(["low", "BEST"]),
        "network_tier": st.just("best"),
        "local_disk": st.sampled_from(["nvme", "ssd:3+", "10"]),
        "ports": st.lists(st.integers(1, 65535), max_size=3),
        "image_id": st.sampled_from(["ami-1", "docker:a/b", {"docker": "x", "r": "ami-2"}]),
        "labels": st.dictionaries(NAMES, TEXTS, max_size=2),
        "autostop": st.sampled_from([False, True, 5, "2h", {"idle_minutes": 3, "down": True, "wait_for": "jobs"}]),
        "priority": st.just(7),
        "max_hourly_cost": st.floats(0.1, 99),
        "job_recovery": st.sampled_from(
            ["failover", {"max_restarts_on_errors": 3, "recover_on_exit_codes": [1, 2]}, "none"]
        ),
        "volumes": st.just([{"path": "/v", "name": "n", "disk_size": 10}]),
    },
)
KINDS = st.sampled_from(["A100:8", "V100:0.5", {"A100": 1, "H100": 2}, "80GB+", "nvidia:40GB:2"])
CHOICES = st.one_of(
    RESOURCES,
    st.builds(lambda base, kinds: {**base, "accelerators": kinds}, RESOURCES, KINDS | st.just(["H100:8", "A100:8"])),
    st.builds(
        lambda key, each: {key: each},
        st.sampled_from(["any_of", "ordered"]),
        st.lists(RESOURCES, min_size=1, max_size=3),
    ),
)
MOUNTS = st.sampled_from(
    [
        "s3://b/c",
        {"name": "n", "mode": "MOUNT_CACHED", "config": {"mount_cached": {"transfers": 3}}},
        {"source": "gs://b", "persistent": False},
        {"source": "s3://b/c", "mode": "COPY"},
        {"store": "volume", "name": "d", "config": {"disk_size": 10}},
        {"store": "s3", "name": "b"},
        {"mode": "MOUNT"},
    ]
)
SCALED = {"min_replicas": 1, "max_replicas": 3, "target_qps_per_replica": 2}
CONFIGS: list[dict[str, Any]] = [{"hooks": [{"run": "x"}]}, {"gcp": {"enable_gpu_direct": True}}, {"jobs": {"x": 1}}]
TASKS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True),
        "num_nodes": st.integers(1, 64),
        "workdir": st.sampled_from([".", {"url": "https://example.com/x", "ref": "main"}, "not/there"]),
        "resources": CHOICES,
        "envs": st.dictionaries(NAMES, TEXTS, max_size=3),
        "secrets": st.dictionaries(NAMES, TEXTS, max_size=2) | st.just(["secrets:workspace.A"]),
        "managed_secrets": st.just([{"B": {"mount_path": "/x"}}, "personal.C"]),
        "file_mounts": st.dictionaries(st.sampled_from(["/a", "/b", "~/c"]), MOUNTS, max_size=2),
        "volumes": st.just({"/v": "n"}),
        "service": st.sampled_from([{"readiness_probe": "/", "replicas": 2}, {"replica_policy": SCALED}]),
        "config": st.sampled_from(CONFIGS),
        "setup": TEXTS,
        "run": TEXTS,
        "event_callback": TEXTS,
        "api_server_access": st.booleans(),
        "inputs": st.just({"s3://a": 3}),
    },
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(TASKS, min_size=1, max_size=2))
def test_a_task_survives_being_written_and_read(documents: list[dict[str, Any]]) -> None:
    mixed = [each.get("resources", {}) for each in documents]
    for choice in mixed:
        for each in choice.get("any_of", []) + choice.get("ordered", []):
            each.pop("priority", None)
    text = yaml.safe_dump_all(documents, allow_unicode=True)
    if not any(documents) or (len(documents) > 1 and set(documents[0]) == {"name"}):
        return
    first = reading.loads(text, "f.yaml")
    again = reading.loads(writing.of_file(first, secrets=True), "g.yaml")
    assert again.tasks == first.tasks
    assert [normal.of_task(task) for task in again.tasks] == [normal.of_task(task) for task in first.tasks]
