"""Services: up, status, logs, update, down."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from skyrig.cli import flags
from skyrig.cli.verb import Values, agreed, flag, notify, positional, repeated, verb, whole
from skyrig.errors import BadInput

if TYPE_CHECKING:
    from skyrig.serve.client.asked import Said
    from skyrig.serving import Options
    from skyrig.task.model import Task

NAME = flag("name n", "name of the service; that of the selected cluster without it")
NAMES = (*repeated([NAME], "name"), flags.ALL)
REPLICA = flag("replica replica-id", "number of a replica")
CLUSTER = flag("cluster c", "run it on this cluster, which stays when the service goes; on one of its own without it")

ENDPOINT = (
    flag("replicas", "so many replicas, whatever the task says"),
    flag("endpoint-port", "port of the endpoint on the head"),
    flag("api-key-secret", "name of a secret whose value is let in as an API key; may be repeated", kind=list),
    flag("max-body", "largest request that is let in: 10MB"),
    flag("rate", "most requests a second from one address"),
)
MODE = flag("mode", "how a new version takes over: rolling (the default), or blue_green")
MODEL = (
    flag("model", "serve this model: a folder, an absolute path on the node, or a name on the hub"),
    flag("engine", "with what: transformers (the default on CPU), vllm (on GPU), sglang"),
)
TASK = (
    *(each for each in flags.RUN if each.key not in ("cluster", "name")),
    *flags.RESOURCES,
    *ENDPOINT,
    *MODEL,
    *flags.POLICY,
    flags.RETRY,
)


@verb(
    "up",
    [positional("file", "task file, or a command in quotes", optional=True), NAME, CLUSTER, *TASK, MODE],
    alone="serve",
)
def up(values: Values) -> None:
    """Serve a task, or without a file the model that `train` made: an endpoint that stays up."""
    from skyrig import serving

    name, task = _name(values), _task(values, required=False)
    found = serving.up(task, name, _options(values), notify, agreed(values.switch("yes")))
    _endpoint(found)


@verb("update", [positional("file", "task file, or a command in quotes", optional=True), NAME, *TASK, MODE])
def update(values: Values) -> None:
    """Change a service without a break; one that never becomes ready is taken back."""
    from skyrig import serving

    name, task = _name(values), _task(values, required=True)
    _endpoint(serving.update(task, name, _options(values), notify, agreed(values.switch("yes"))))


@verb(
    "status",
    [
        *NAMES,
        *flags.JSON,
        flag("endpoint", "print HOST:PORT of the endpoint alone", kind=bool),
        flag("metrics", "print Prometheus metrics of balancer, engines, steward and controller", kind=bool),
        flag("web", "show them on a page in the browser, until Ctrl-C", kind=bool),
        flag("port", "port of that page; a free one without it"),
    ],
)
def status(values: Values) -> None:
    """Show services and their replicas."""
    from skyrig import serving
    from skyrig.cli import service_tables

    as_json, names = flags.wants_json(values), values.many("name")
    wanted = None if not names or values.switch("all") else names
    if values.switch("endpoint"):
        print(serving.endpoint(_one(values)))
        return
    if values.switch("metrics"):
        sys.stdout.write(serving.metrics(wanted))
        return
    if values.switch("web"):
        serving.web(wanted, notify, port=values.whole("port") or 0)
        return
    found = serving.status(wanted)
    if as_json:
        now = time.time()
        print(json.dumps({"services": [each.to_json(now) for each in found]}, indent=2))
    else:
        service_tables.services(found)


@verb(
    "logs",
    [
        NAME,
        REPLICA,
        flag("controller", "what the controller did for it", kind=bool),
        flag("balancer load-balancer", "what the balancer and the steward tell", kind=bool),
        flag("follow f", "go on while it runs (it does anyway)", kind=bool),
        flag("no-follow", "end at what is there now", kind=bool),
        flag("tail", "only the last so many lines"),
    ],
)
def logs(values: Values) -> int:
    """Show the output of a replica, the newest without --replica; or what controller or balancer tell."""
    from skyrig import serving

    replica, tail, follow = values.whole("replica"), values.whole("tail"), not values.switch("no-follow")
    wanted = [each for each in ("controller", "balancer") if values.switch(each)]
    if len(wanted) + (replica is not None) > 1:
        raise BadInput("serve.logs: whose?", hint="one of --replica K, --controller and --balancer")
    if wanted:
        serving.logs_of(_name(values), wanted[0], notify.output(), notify, follow=follow, tail=tail)
        return 0
    return serving.logs(_name(values), replica, notify.output(), notify, follow=follow, tail=tail)


@verb(
    "down",
    [
        *NAMES,
        REPLICA,
        flag("purge p", "forget it also where its cluster does not answer or cannot be taken down", kind=bool),
        flags.YES,
    ],
)
def down(values: Values) -> None:
    """Take services away, with the clusters that were made for them; with --replica one replica, for which another
    comes. Asks on a terminal; -y answers yes."""
    from skyrig import serving

    agree = agreed(values.switch("yes") or not sys.stdin.isatty())
    if values.text("replica") is not None:
        serving.terminate_replica(_one(values), whole("--replica", values.text("replica") or ""), notify, agree)
        return
    if values.switch("all") and values.many("name"):
        raise BadInput("--all and a name say different things", hint="give one of them")
    names = None if values.switch("all") else values.many("name") or [_one(values)]
    serving.down(names, notify, agree, purge=values.switch("purge"))


def _name(values: Values) -> str:
    """The service that was named, else that of the selected cluster."""
    from skyrig.cluster.shape import stack_name
    from skyrig.stack import stacks

    name = values.text("name")
    return stacks.selected() if name is None else stack_name(name)


def _one(values: Values) -> str:
    """The one service that was named, where several could be."""
    from skyrig.cluster.shape import stack_name
    from skyrig.stack import stacks

    names = values.many("name")
    if len(names) > 1 or values.switch("all"):
        raise BadInput("of which service?", hint="name one")
    return stack_name(names[0]) if names else stacks.selected()


def _task(values: Values, *, required: bool) -> Task:
    """What shall be served: the task file, or what serves a model."""
    from skyrig import picking
    from skyrig.cluster.shape import stack_name

    file, model, engine = values.text("file"), values.text("model"), values.text("engine")
    if file is not None:
        if model is not None or engine is not None:
            raise BadInput("a task file brings its own server: no --model or --engine beside it")
        return flags.task_of(values, file)
    if required and model is None:
        raise BadInput("serve.update: to what?", hint="a task file, or --model M")
    cluster = values.text("cluster")
    return picking.task_of(
        model,
        engine,
        flags.machines_of(values),
        flags.training_options(values),
        stack_name(cluster) if cluster is not None else _name(values),
        notify,
    )


def _options(values: Values) -> Options:
    from skyrig.cluster.shape import stack_name
    from skyrig.serving import Options

    cluster = values.text("cluster")
    return Options(
        said=_said(values),
        cluster=stack_name(cluster) if cluster is not None else None,
        selected=values.text("name") is None,
        detach=values.switch("detach"),
        wish=flags.wish(values),
        retry_until_up=values.switch("retry-until-up"),
    )


def _said(values: Values) -> Said:
    """What the flags say of the endpoint."""
    from skyrig.serve.client.asked import Said
    from skyrig.task import frontdoor

    mode, body, rate, port = (values.text(name) for name in ("mode", "max-body", "rate", "endpoint-port"))
    if mode is not None and mode not in frontdoor.UPDATES:
        raise BadInput(f"--mode {mode}: {' or '.join(frontdoor.UPDATES)} is wanted")
    size = frontdoor.size(body) if body is not None else None
    if body is not None and size is None:
        raise BadInput(f"--max-body {body}: a size is wanted, for instance 10MB")
    number = whole("--endpoint-port", port) if port is not None else None
    if number is not None and not 0 < number < 65536:
        raise BadInput(f"--endpoint-port {number}: 1 to 65535 is wanted")
    return Said(
        replicas=values.whole("replicas"),
        port=number,
        update=mode,
        api_keys=tuple(values.many("api-key-secret")),
        max_body=size,
        rate=_rate(rate) if rate is not None else None,
    )


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate < 1e9:
        raise BadInput(f"--rate {text}: a number of requests a second is wanted")
    return rate


def _endpoint(found: object) -> None:
    """Print where a service is reached, and how it is tried."""
    from skyrig.serve.client import curl
    from skyrig.serve.client.seen import Seen

    if isinstance(found, Seen) and found.endpoint:
        print(found.endpoint)
        print(curl.line(found))
