"""The fields `service` and `pool`: replicas behind one endpoint, or workers behind one queue."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from skyrig.task.node import Node, at_least, either, one_word, texts_by_name

POLICIES = ("round_robin", "least_load", "instance_aware_least_load")
INSTANCE_AWARE = "instance_aware_least_load"
SPOT_PLACERS = ("dynamic_fallback",)

INITIAL_DELAY_S = 1200
TIMEOUT_S = 15
INTERVAL_S = 10
STREAM_TIMEOUT_S = 120
"""Seconds that SkyPilot 0.14.1 takes where a service does not say: until a replica must answer, for one probe, between
probes, and between two parts of a streamed answer."""

_QUEUE_LENGTH = 1
_QPS_KEY = r"[A-Z0-9]+(?::[0-9]+)?"


@frozen
class Probe:
    """How a replica shows that it is ready; times in seconds. With `post_data` it is asked with POST."""

    path: str = "/"
    initial_delay_seconds: float = INITIAL_DELAY_S
    timeout_seconds: float = TIMEOUT_S
    endpoint_probe_interval_seconds: float = INTERVAL_S
    consecutive_failure_threshold_timeout: float | None = None
    post_data: Any = None
    headers: Mapping[str, str] | None = None


@frozen
class Service:
    """What `serve.up` brings up. `policy` holds the given fields of `replica_policy`, `min_replicas` always."""

    probe: Probe = field(factory=Probe)
    policy: Mapping[str, Any] = field(factory=lambda: {"min_replicas": 1})
    load_balancing_policy: str | None = None
    stream_timeout_seconds: float = STREAM_TIMEOUT_S
    port: int | None = None
    tls: Mapping[str, str] | None = None

    @property
    def replicas(self) -> tuple[int, int]:
        """Fewest and most replicas."""
        least = int(self.policy["min_replicas"])
        most = self.policy.get("max_replicas")
        return least, least if most is None else int(most)


@frozen
class Pool:
    """Workers that take managed jobs: `workers` of them, or between `min_workers` and `max_workers`."""

    workers: int | None = None
    min_workers: int | None = None
    max_workers: int | None = None
    queue_length_threshold: int | None = None
    upscale_delay_seconds: float | None = None
    downscale_delay_seconds: float | None = None


def read(node: Node, *, by_load: bool = False) -> Service | Pool:
    """The field `service`; a pool where it has the older form of one inside. `by_load`: something else than requests a
    second tells how many replicas there shall be."""
    given = node.read_fields(_TABLE, null_is_absent=True)
    fields = node.fields()
    if given.get("pool") is not None:
        for name in ("replicas", "replica_policy"):
            if name in given:
                fields[name].note("says nothing for a pool; give workers, or min_workers and max_workers")
        return pool(fields["pool"])
    if "replicas" in given and "replica_policy" in given:
        fields["replicas"].note("cannot stand beside replica_policy: give one of them")
    if "replicas" in given and "workers" in given:
        fields["workers"].note("cannot stand beside replicas: give one of them")
    count = given.get("replicas", given.get("workers", 1))
    service = Service(
        probe=given.get("readiness_probe", Probe()),
        policy=given.get("replica_policy") or {"min_replicas": count},
        load_balancing_policy=given.get("load_balancing_policy"),
        stream_timeout_seconds=given.get("load_balancer", {}).get("stream_timeout_seconds", STREAM_TIMEOUT_S),
        port=given.get("ports"),
        tls=given.get("tls"),
    )
    _check(node, service, by_load=by_load)
    return service


def pool(node: Node) -> Pool:
    """The field `pool`."""
    given = node.read_fields(
        {
            **dict.fromkeys(("workers", "min_workers", "max_workers"), at_least(0)),
            "queue_length_threshold": at_least(1),
            **dict.fromkeys(("upscale_delay_seconds", "downscale_delay_seconds"), _seconds),
        }
    )
    made = Pool(**given)
    if made.workers is None and made.min_workers is None and made.max_workers is None:
        raise node.wrong("workers, or min_workers and max_workers, are wanted")
    if made.max_workers is None:
        for name in ("min_workers", "queue_length_threshold", "upscale_delay_seconds", "downscale_delay_seconds"):
            if name in given:
                raise node.fields()[name].wrong("needs max_workers beside it")
        return made
    least = made.min_workers if made.min_workers is not None else made.workers or 1
    if least > made.max_workers:
        raise node.wrong(f"at least {least} and at most {made.max_workers} workers cannot be")
    return evolve(made, min_workers=least, queue_length_threshold=made.queue_length_threshold or _QUEUE_LENGTH)


def _check(node: Node, service: Service, *, by_load: bool) -> None:
    least, most = service.replicas
    qps = service.policy.get("target_qps_per_replica")
    where = node.fields().get("replica_policy", node)
    if most < least:
        where.note(f"at least {least} and at most {most} replicas cannot be")
    elif qps is None and most != least and not by_load:
        where.note("max_replicas that differs from min_replicas needs target_qps_per_replica to tell when to scale")
    elif qps is not None and "max_replicas" not in service.policy:
        where.note("target_qps_per_replica needs max_replicas beside it")
    if isinstance(qps, dict) != (service.load_balancing_policy == INSTANCE_AWARE):
        where.note(f"rates by accelerator go with load_balancing_policy: {INSTANCE_AWARE}, and the other way round")


def _probe(node: Node) -> Probe:
    if isinstance(node.data, str):
        return Probe(_path(node))
    given = node.read_fields(
        {
            "path": _path,
            "initial_delay_seconds": _seconds,
            "timeout_seconds": _seconds,
            "endpoint_probe_interval_seconds": _seconds,
            "consecutive_failure_threshold_timeout": _seconds,
            "post_data": _post_data,
            "headers": texts_by_name,
        }
    )
    if "path" not in node.fields():
        raise node.wrong("`path` is missing")
    return Probe(**given)


def _path(node: Node) -> str:
    if not node.text().startswith("/"):
        raise node.wrong(f"{node.shown}: a path that begins with / is wanted")
    return node.text()


def _post_data(node: Node) -> Any:
    if isinstance(node.data, dict):
        return node.plain()
    try:
        return json.loads(node.text())
    except json.JSONDecodeError as error:
        raise node.wrong(f"no JSON: {error}") from None


def _policy(node: Node) -> dict[str, Any]:
    given = node.read_fields(
        {
            **dict.fromkeys(
                ("min_replicas", "max_replicas", "num_overprovision", "base_ondemand_fallback_replicas"), at_least(0)
            ),
            "target_qps_per_replica": either(_rates, _rate),
            "dynamic_ondemand_fallback": Node.switch,
            "spot_placer": one_word(SPOT_PLACERS),
            **dict.fromkeys(("upscale_delay_seconds", "downscale_delay_seconds"), Node.number),
        }
    )
    if "min_replicas" not in node.fields():
        raise node.wrong("`min_replicas` is missing")
    return {"min_replicas": 1, **given}


def _rates(node: Node) -> Any:
    if not isinstance(node.data, dict):
        raise node.wrong(f"a number is wanted, not {node.shown}")
    for key, each in node.fields().items():
        if not re.fullmatch(_QPS_KEY, key):
            raise each.wrong("an accelerator is wanted, for instance H100 or H100:1")
    return {key: each.number(0) for key, each in node.fields().items()}


def _rate(node: Node) -> Any:
    return node.number(0)


def _seconds(node: Node) -> float:
    return node.number(0)


def _balancing(node: Node) -> str:
    if node.data not in POLICIES:
        raise node.wrong(f"{node.shown} is none of {', '.join(POLICIES)}")
    return node.text()


def _tls(node: Node) -> dict[str, str]:
    given: dict[str, str] = node.read_fields({"keyfile": Node.filled_text, "certfile": Node.filled_text})
    for name in ("keyfile", "certfile"):
        if name not in node.fields():
            raise node.wrong(f"`{name}` is missing")
    return given


_TABLE: dict[str, Any] = {
    "readiness_probe": _probe,
    "load_balancer": lambda node: node.read_fields({"stream_timeout_seconds": _seconds}),
    "pool": Node.fields,
    "replica_policy": _policy,
    "ports": lambda node: node.whole(1, 65535),
    "replicas": Node.whole,
    "workers": Node.whole,
    "load_balancing_policy": _balancing,
    "tls": _tls,
}
