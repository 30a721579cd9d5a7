"""Where a task may run: clouds, regions and zones, in SkyPilot's words."""

from __future__ import annotations

from attrs import frozen

from skyrig.cluster import clouds
from skyrig.task.node import Node
from skyrig.task.problems import did_you_mean

CLOUDS = (
    "aws", "azure", "cudo", "do", "fluidstack", "gcp", "hyperbolic", "ibm", "kubernetes", "lambda", "local", "mithril",
    "nebius", "oci", "paperspace", "primeintellect", "runpod", "scp", "seeweb", "shadeform", "slurm", "ssh", "vast",
    "verda", "vsphere", "yotta",
)  # fmt: skip
"""Names of clouds in task files: those of SkyPilot 0.14.1, and our `local`."""

_OPEN_ENDED = ("kubernetes", "ssh")
"""Clouds whose region is a name that may hold slashes (a context, a pool), and that have no zones."""


def known() -> tuple[str, ...]:
    """All names of clouds: every registered one is a name, too."""
    return tuple(dict.fromkeys((*CLOUDS, *clouds.CLOUDS)))


@frozen
class Infra:
    """A place, each part None where any will do. The region of `ssh` is its pool with `ssh-` before it, as SkyPilot has
    it."""

    cloud: str | None = None
    region: str | None = None
    zone: str | None = None

    def __str__(self) -> str:
        region = self.region.removeprefix("ssh-") if self.region and self.cloud == "ssh" else self.region
        parts = [self.cloud or "*", region or "*", self.zone or "*"]
        while parts and parts[-1] == "*":
            parts.pop()
        return "/".join(parts)


def read(node: Node) -> Infra:
    """`CLOUD`, `CLOUD/REGION`, `CLOUD/REGION/ZONE`, each part `*` for any; `k8s/CONTEXT`, `ssh/POOL`."""
    try:
        return parse(node.filled_text())
    except ValueError as error:
        raise node.wrong(str(error)) from None


def parse(text: str) -> Infra:
    """The same from a text; ValueError says what is wrong."""
    first, *rest = text.split("/")
    cloud = {"k8s": "kubernetes"}.get(first.lower(), first.lower())
    if cloud != "*" and cloud not in known():
        raise ValueError(f"{first!r} is no cloud{did_you_mean(first, known())}")
    if cloud in _OPEN_ENDED:
        region = "/".join(rest) or None
        return Infra(cloud, f"ssh-{region}" if region and cloud == "ssh" else region)
    if len(rest) > 2 or "" in rest:
        raise ValueError(f"{text!r}: CLOUD, CLOUD/REGION or CLOUD/REGION/ZONE is wanted")
    parts = [None if part == "*" else part for part in (cloud, *rest)]
    return Infra(*parts)


def cloud(node: Node) -> str:
    """The older field `cloud`."""
    return node.one_of(CLOUDS)
