"""From a task, and what was said on the command line, to what its service shall be. All that can be wrong with it is
found here, before anything is made. Nothing is asked of a cluster, and only certificates are read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import evolve, frozen

from skyrig.errors import BadInput, NotYet
from skyrig.launch import serving
from skyrig.serve.client import pem
from skyrig.serve.spec import LEAST_LOAD, PORT, ROUND_ROBIN, Entrance, Probe, Scaling, Secrets, ServiceSpec, Tls, Update
from skyrig.task.frontdoor import FrontDoor
from skyrig.task.model import Task
from skyrig.task.service import INSTANCE_AWARE, Pool, Service

OWN_KEY = "SKYRIG_API_KEY"
"""A secret of this name is an API key of the endpoint by itself, and is not handed to replicas."""

LEAST_KEY = 16
"""Fewest characters of an API key."""

ANY_PORT = 8000
"""What replicas serve on that listen on the port they are told to, where nobody names one."""

_OPENAI = re.compile(r"\b(?:vllm|sglang)\b")
"""Servers in a text that have OpenAI's API."""

_TOLD_PORT = re.compile(r"\bSKYRIG_SERVE_PORT\b")


@frozen
class Said:
    """What a caller says of a service besides its task; None, "" and empty values leave it to the task."""

    replicas: int | None = None
    port: int | None = None
    update: str | None = None
    api_keys: tuple[str, ...] = ()
    max_body: int | None = None
    rate: float | None = None
    alone: bool = True


@frozen
class Asked:
    """What a service shall be: its `spec` and `secrets`, the `task` as replicas run it and its cluster is made for it,
    and lines that its owner should know (`notes`). `keys` are the names of the API keys."""

    task: Task
    spec: ServiceSpec
    secrets: Secrets
    notes: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def takes_any_port(self) -> bool:
        """Whether replicas serve on the port that they are told, so that two of them can share an address."""
        return takes_any_port(self.task)


NOTHING_SAID = Said()


def of(task: Task, name: str, said: Said = NOTHING_SAID) -> Asked:
    """The service called `name` that `task` makes, with what was `said`. BadInput says what cannot be."""
    if isinstance(task.service, Pool):
        raise NotYet("service.pool: pools of workers are not yet in this version of Skyrig")
    if not task.run:
        raise BadInput("the task has nothing to run, so nothing to serve", hint="give it a `run` text")
    door, notes = _door(task.config.front_door, said), [*_notes(task)]
    port, how = _port(task)
    keys = _keys(task, door)
    secrets = Secrets(_pem(task.service, door))
    spec = ServiceSpec(
        name=name,
        port=port,
        nodes_each=task.num_nodes,
        probe=_probe(task.service),
        scaling=_scaling(task, door, said.replicas),
        entrance=evolve(
            _entrance(task.service, door, port, tuple(keys.values()), has_pem=bool(secrets.pem)),
            openai=bool(door.engine or _OPENAI.search(task.run)),
        ),
        engine=door.engine,
        metrics_path=door.metrics,
        update=Update(door.update or Update.ROLLING),
        alone=said.alone,
    )
    return Asked(_served(task, spec), spec, secrets, (*([how] if how else []), *notes), tuple(keys))


def direct(asked: Asked) -> Asked:
    """The same without a balancer: the endpoint is the one replica's own port. BadInput where that cannot be."""
    entrance, spec = asked.spec.entrance, asked.spec
    wants = [
        what
        for what, wanted in (
            ("several replicas", spec.scaling.most > 1 or spec.scaling.least == 0),
            ("API keys", entrance.keys),
            ("TLS", entrance.tls is not Tls.NONE),
            ("a limit on requests", entrance.max_body or entrance.rate),
        )
        if wanted
    ]
    if wants:
        raise BadInput(
            f"{wants[0]} need the balancer HAProxy, which is not on this machine",
            hint="`apt install haproxy`, or `brew install haproxy`",
        )
    return at_port(evolve(asked, spec=evolve(spec, entrance=evolve(entrance, direct=True))), spec.port)


def at_port(asked: Asked, port: int) -> Asked:
    """The same with the endpoint at another port."""
    spec = evolve(asked.spec, entrance=evolve(asked.spec.entrance, port=port))
    return evolve(asked, spec=spec, task=_served(asked.task, spec))


def takes_any_port(task: Task) -> bool:
    """Whether a task serves on the port that it is told in $SKYRIG_SERVE_PORT."""
    return bool(_TOLD_PORT.search(f"{task.setup or ''}\n{task.run or ''}"))


def _door(own: FrontDoor, said: Said) -> FrontDoor:
    """What the task says of the endpoint, with what was said instead."""
    return evolve(
        own,
        port=own.port if said.port is None else said.port,
        update=said.update or own.update,
        api_keys=said.api_keys or own.api_keys,
        max_body=own.max_body if said.max_body is None else said.max_body,
        rate=own.rate if said.rate is None else said.rate,
    )


def _notes(task: Task) -> Iterator[str]:
    """What in the task says nothing here, or something else than it seems to."""
    service = task.service
    if isinstance(service, Service):
        if service.load_balancing_policy == INSTANCE_AWARE:
            yield f"service: {INSTANCE_AWARE} is taken as {LEAST_LOAD}: all replicas have the same machines"
        if service.policy.get("spot_placer"):
            yield "service: spot_placer says nothing here: all nodes of a service are in one place"
        if service.replicas[0] == 0:
            yield "service: at 0 replicas the head stays, which holds the endpoint"
    else:
        yield "the task has no section `service`: one replica, ready once it answers at / with a status below 500"
    if any(each.autostop for each in task.choice.each):
        yield "resources.autostop says nothing for a service: it runs until `serve.down`"


def _port(task: Task) -> tuple[int, str]:
    """The port that replicas serve on, and a line where it was found out."""
    if isinstance(task.service, Service) and task.service.port is not None:
        return task.service.port, ""
    named = [port for each in task.choice.each for port in each.ports or ()]
    if named:
        return int(named[0].partition("-")[0]), ""
    if takes_any_port(task):
        return ANY_PORT, ""
    for served in serving.ports(task.run or ""):
        return served.port, f"{served.note}: serving that"
    raise BadInput(
        "the task does not say which port it serves on",
        hint="service: {ports: 8000}, resources: {ports: 8000}, or serve on $SKYRIG_SERVE_PORT",
    )


def _probe(service: object) -> Probe:
    if not isinstance(service, Service):
        return Probe(accept_below=500)
    given, usual = service.probe, Probe()
    patience = given.consecutive_failure_threshold_timeout
    return Probe(
        path=given.path,
        post_data=None if given.post_data is None else json.dumps(given.post_data),
        headers=dict(given.headers or {}),
        initial_delay_s=float(given.initial_delay_seconds),
        timeout_s=float(given.timeout_seconds),
        interval_s=float(given.endpoint_probe_interval_seconds),
        patience_s=usual.patience_s if patience is None else float(patience),
    )


def _scaling(task: Task, door: FrontDoor, replicas: int | None) -> Scaling:
    service = task.service if isinstance(task.service, Service) else Service()
    policy, usual = service.policy, Scaling()
    least, most = service.replicas if replicas is None else (replicas, replicas)
    if most < 1:
        raise BadInput("a service needs at least one replica now and then", hint="max_replicas: 1 or more")
    return Scaling(
        least=least,
        most=most,
        target_qps=_target_qps(task, policy.get("target_qps_per_replica")),
        target_in_flight=float(door.target_in_flight) if door.target_in_flight else None,
        upscale_delay_s=float(policy.get("upscale_delay_seconds", usual.upscale_delay_s)),
        downscale_delay_s=float(policy.get("downscale_delay_seconds", usual.downscale_delay_s)),
        overprovision=int(policy.get("num_overprovision") or 0),
        ondemand_base=int(policy.get("base_ondemand_fallback_replicas") or 0),
        dynamic_ondemand=bool(policy.get("dynamic_ondemand_fallback")),
    )


def _target_qps(task: Task, given: object) -> float | None:
    """Requests a second for a replica; of rates by accelerator that of the task's own, else the lowest."""
    if not isinstance(given, Mapping):
        return float(given) if isinstance(given, int | float) and given else None
    own = task.resources.accelerator
    names = (f"{own.name}:{own.count:g}", own.name) if own is not None else ()
    for name in names:
        if given.get(name):
            return float(given[name])
    rates = [float(rate) for rate in given.values() if rate]
    return min(rates) if rates else None


def _entrance(
    service: object, door: FrontDoor, replica_port: int, digests: tuple[str, ...], *, has_pem: bool
) -> Entrance:
    given = service if isinstance(service, Service) else Service()
    port = door.port or (PORT if replica_port != PORT else PORT + 1)
    if port == replica_port:
        raise BadInput(
            f"port {port} cannot be both the endpoint's and a replica's: the head has a replica too",
            hint="config: {skyrig: {serve: {port: ...}}} or --endpoint-port names another one for the endpoint",
        )
    return Entrance(
        port=port,
        policy=ROUND_ROBIN if given.load_balancing_policy == ROUND_ROBIN else LEAST_LOAD,
        stream_timeout_s=float(given.stream_timeout_seconds),
        max_body=door.max_body or 0,
        rate=float(door.rate or 0),
        keys=digests,
        tls=Tls.FILE if has_pem else Tls.ACME if door.acme else Tls.NONE,
        domain=door.acme.get("domain", ""),
        email=door.acme.get("email", ""),
        acme_directory=door.acme.get("directory", ""),
    )


def _keys(task: Task, door: FrontDoor) -> dict[str, str]:
    """Digests of the API keys by the names of their secrets. An error names a key, and never shows it."""
    known = {**task.env, **task.secrets}
    names = list(dict.fromkeys([*door.api_keys, *([OWN_KEY] if OWN_KEY in known else [])]))
    for name in names:
        if name not in known:
            raise BadInput(f"api_keys: {name} is none of the task's secrets", hint=f"--secret {name}")
        if len(known[name]) < LEAST_KEY or known[name] != known[name].strip():
            raise BadInput(
                f"api_keys: {name} has to have at least {LEAST_KEY} characters, and no space around them",
                hint="`openssl rand -hex 24` makes one",
            )
    return {name: hashlib.sha256(known[name].encode(errors="surrogateescape")).hexdigest() for name in names}


def _pem(service: object, door: FrontDoor) -> str:
    given = service.tls if isinstance(service, Service) else None
    if given is None:
        return ""
    if door.acme:
        raise BadInput("service.tls and config.skyrig.serve.acme both bring a certificate", hint="give one of them")
    return pem.joined(Path(given["certfile"]), Path(given["keyfile"]))


def _served(task: Task, spec: ServiceSpec) -> Task:
    """The task as its cluster is made for it: what is open is the endpoint alone, as replicas are reached through it,
    and no idle time ends it."""
    ports = (str(spec.entrance.port), *(["80"] if spec.entrance.tls is Tls.ACME and spec.entrance.port != 80 else []))
    each = tuple(evolve(one, ports=ports, autostop=None) for one in task.choice.each)
    secrets = {name: value for name, value in task.secrets.items() if name != OWN_KEY}
    env = {name: value for name, value in task.env.items() if name != OWN_KEY}
    return evolve(task, choice=evolve(task.choice, each=each), secrets=secrets, env=env)
