"""The Pulumi program: the stack's config becomes a cluster, and the cluster's description is exported."""

import json
import os
import sys

import attrs
import pulumi

from components.cluster import Cluster
from components.data import Data, DataArgs
from components.image import Image, ImageArgs
from components.tags import STACK
from components.wanted import ClusterArgs
from skyrig.catalog import costs
from skyrig.cluster import imagery, shape
from skyrig.cluster.keys import NAMESPACE
from skyrig.errors import BadInput, SkyrigError
from skyrig.stack import agreement

EXIT_SAID = 32
"""Exit code by which the language host knows that the reader has been told what is wrong, and adds nothing."""

# The SDK's debug lines hold every property in the clear, secrets too, and the engine's log keeps them.
pulumi.log.debug = lambda *_, **__: None


def wanted() -> shape.Shape:
    """The shape that the stack's config asks for; a SkyrigError where it makes no sense."""
    prefix = f"{NAMESPACE}:"
    values = json.loads(os.environ.get("PULUMI_CONFIG", "{}"))
    return shape.from_config({k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)})


def cluster_args(stack: str, asked: shape.Shape) -> ClusterArgs:
    """What the component is made from."""
    machine, ttl = asked.machine, asked.policy.ttl
    lives = {"ends_at": int(ttl.ends_at)} if ttl is not None else {}
    owned = {"managed": asked.managed} if asked.managed else {}
    return {
        **owned,
        "cloud": asked.cloud,
        "stack": stack,
        "nodes": [{"id": node.id, "group": node.group, "version": node.version, **lives} for node in asked.nodes],
        "accelerator": asked.accelerators.name,
        "accelerator_count": asked.accelerators.count,
        "cpus": asked.cpus,
        "isolation": asked.isolation,
        "ports": list(asked.ports),
        "balancer": asked.balancer,
        "scheduler": asked.scheduler,
        "power": asked.power,
        "starts": asked.starts,
        "owner": asked.owner,
        "task": asked.task,
        "machine": {
            **attrs.asdict(machine, recurse=False),
            "capacity": str(machine.capacity),
            "labels": dict(machine.labels),
            "ssh_from": list(machine.ssh_from),
            "reaches": list(machine.reaches),
        },
    }


def data_args(stack: str, asked: shape.Shape) -> DataArgs:
    """What the component of its buckets is made from."""
    wanted = [attrs.asdict(bucket) for bucket in asked.buckets]
    return {"stack": stack, "buckets": wanted, "owner": asked.owner}


def image_args(stack: str, asked: shape.Shape, wanted: imagery.WantedImage) -> ImageArgs:
    """What the component of a machine image is made from."""
    ours = {STACK: stack, "skyrig-owner": asked.owner, "skyrig-image": wanted.name, "skyrig-recipe": wanted.digest}
    return {
        "cloud": wanted.cloud,
        "name": wanted.name,
        "stack": stack,
        "mark": wanted.mark,
        "source": wanted.source,
        "digest": wanted.digest,
        "region": wanted.region,
        "regions": list(wanted.regions),
        "account": wanted.account,
        "size_gb": wanted.size_gb,
        "facts": dict(wanted.facts),
        "made_at": wanted.made_at,
        "tags": {**dict(wanted.labels), **{name: value for name, value in ours.items() if value}},
    }


def main() -> None:
    """Build cluster and buckets, or an image, and export them; nothing where the config wants it down."""
    asked = wanted()
    stack = pulumi.get_stack()
    agreement.check(stack, asked)
    if not pulumi.runtime.is_dry_run():
        if asked.policy.ttl is not None and not asked.policy.ttl.ends_at:
            raise BadInput(
                f"{NAMESPACE}:ttl: {asked.policy.ttl}: nobody has counted it yet",
                hint=f"`up -c {stack}`, or pulumi in the activated environment, does",
            )
        agreement.note_run(stack, asked)
    if asked.power == "down" and not asked.nodes:
        return
    if asked.power == "down":
        again = f"{asked}, {costs.said(costs.of_shape(asked))}"
        pulumi.log.info(f"{stack} is down by its config; `invoke up -c {stack}` makes it again: {again}")
        return
    if asked.buckets:
        data = Data(f"{stack}-data" if asked.nodes else stack, data_args(stack, asked))
        pulumi.export("buckets", data.buckets)
        if data.keys is not None:
            pulumi.export("bucket_keys", data.keys)
    if asked.imaged is not None:
        pulumi.export("image", Image(stack, image_args(stack, asked, asked.imaged)).description)
    if asked.nodes:
        cluster = Cluster(stack, cluster_args(stack, asked))
        pulumi.export("cluster", cluster.exported())


try:
    main()
except (SkyrigError, pulumi.InputPropertiesError) as error:
    pulumi.log.error(str(error))
    sys.exit(EXIT_SAID)
