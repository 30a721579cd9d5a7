"""What a service shall be, as one value: what `serve.up` hands to the steward on the head.

Texts of the task (setup, run) are not in it: they travel as the job request that every replica is a copy of. Secrets
are not in it either: `Secrets` goes beside it, and never into a record, a log or a snapshot.
"""

from __future__ import annotations

from enum import Enum

import cattrs
from attrs import field, frozen

PORT = 30001
"""Port of the endpoint on the head where a task names none: the first one that SkyPilot's balancers have."""

HTTP_PORT = 80
"""Where an ACME authority looks for its challenge."""

LEAST_LOAD, ROUND_ROBIN = "least_load", "round_robin"
"""How requests are spread: to the replica with the fewest in flight, or in turn."""


class Update(str, Enum):
    """How replicas of a new version take over: one after the other, or all at once when all are ready."""

    __str__ = str.__str__

    ROLLING = "rolling"
    BLUE_GREEN = "blue_green"


class Tls(str, Enum):
    """Where the endpoint's certificate comes from."""

    __str__ = str.__str__

    NONE = "none"
    FILE = "file"
    ACME = "acme"


@frozen
class Probe:
    """How a replica shows that it is ready: `path` answers with a status below `accept_below` within `timeout_s`. With
    `post_data` (JSON text) it is asked with POST. `initial_delay_s` is how long a new replica may take until its first
    good answer; afterwards it is asked every `interval_s`, and given up after `patience_s` without a good answer."""

    path: str = "/"
    post_data: str | None = None
    headers: dict[str, str] = field(factory=dict)
    initial_delay_s: float = 1200.0
    timeout_s: float = 15.0
    interval_s: float = 10.0
    patience_s: float = 180.0
    accept_below: int = 400


@frozen
class Scaling:
    """How many replicas there shall be: `least` to `most`, by `target_qps` requests a second, or `target_in_flight`
    requests at a time, for each replica (None: not by that), over the last `window_s`. A change is made once it has
    been due for `upscale_delay_s`, or `downscale_delay_s`, without a break. `overprovision` replicas come on top.
    `ondemand_base` of them are always on nodes that are not spot; with `dynamic_ondemand` a replica whose spot node
    cannot be had is on one that is not, until it can."""

    least: int = 1
    most: int = 1
    target_qps: float | None = None
    target_in_flight: float | None = None
    window_s: float = 60.0
    upscale_delay_s: float = 300.0
    downscale_delay_s: float = 1200.0
    overprovision: int = 0
    ondemand_base: int = 0
    dynamic_ondemand: bool = False

    @property
    def is_fixed(self) -> bool:
        """Whether the number of replicas never changes by itself."""
        return self.least == self.most


@frozen
class Entrance:
    """The endpoint: its `port` on the head, how requests are spread (`policy`), how long a streamed answer may pause
    (`stream_timeout_s`), the largest request in bytes (`max_body`, 0: no limit), requests a second from one address
    (`rate`, 0: no limit), SHA-256 digests (hexadecimal) of the API keys that are let in (`keys`, none: everybody is),
    and the certificate. `direct`: without a balancer, where there is one replica and no HAProxy. `openai`: paths of
    OpenAI's API are also taken without the /v1 that they begin with."""

    port: int = PORT
    policy: str = LEAST_LOAD
    stream_timeout_s: float = 120.0
    max_body: int = 0
    rate: float = 0.0
    keys: tuple[str, ...] = ()
    tls: Tls = Tls.NONE
    domain: str = ""
    email: str = ""
    acme_directory: str = ""
    direct: bool = False
    openai: bool = False


@frozen
class ServiceSpec:
    """One version of a service. Each replica takes `nodes_each` nodes and serves on `port` of the first of them;
    `engine` names what serves there ("" where the task's own text does), whose Prometheus metrics are at
    `metrics_path` ("": it has none). `update` is how this version takes over from the one before. `alone`: the cluster
    was made for the service, and goes with it."""

    name: str
    port: int
    nodes_each: int = 1
    probe: Probe = field(factory=Probe)
    scaling: Scaling = field(factory=Scaling)
    entrance: Entrance = field(factory=Entrance)
    engine: str = ""
    metrics_path: str = ""
    update: Update = Update.ROLLING
    alone: bool = True


@frozen
class Secrets:
    """What the endpoint needs and nobody may see: certificate chain and key as one PEM text ("": none)."""

    pem: str = field(default="", repr=False)


CONVERTER = cattrs.Converter()
"""Turns the values of this room into plain data and back."""
