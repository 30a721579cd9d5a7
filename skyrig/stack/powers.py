"""Which power each node of a cluster is in right now: local ones by their folders, others by asking their cloud."""

from __future__ import annotations

from collections.abc import Mapping

from skyrig import places
from skyrig.clouds import cloud as clouds
from skyrig.cluster.description import ClusterDescription
from skyrig.errors import SkyrigError
from skyrig.fleet.local.layout import NodeFolder
from skyrig.stack import config

GONE = "gone"
"""Power of a node whose machine is not there any more, or is another one than the description says."""


def of(cluster: ClusterDescription) -> Mapping[str, str]:
    """Power by node id: up, stopped, ended (for good, by itself) or gone. Where the cloud cannot be asked from here,
    it is what it was when the stack was last changed."""
    if cluster.cloud == "local":
        folder = places.local_nodes(cluster.name)
        return {node.id: NodeFolder(folder / node.id).power() for node in cluster.nodes}
    if cluster.is_queue or cluster.cloud not in clouds.known():
        return {node.id: "up" for node in cluster.nodes}
    try:
        return asked(cluster)
    except SkyrigError:
        return {node.id: node.power for node in cluster.nodes}


def asked(cluster: ClusterDescription) -> Mapping[str, str]:
    """The same of a cluster on a cloud; SkyrigError says why its cloud cannot be asked."""
    owner = config.read_shape(cluster.name).machine.account
    cloud = clouds.of(cluster.cloud, owner)
    seen = {each.machine: each.power for each in cloud.machines(cluster.name, cluster.region)}
    return {node.id: seen.get(node.incarnation, GONE) for node in cluster.nodes}
