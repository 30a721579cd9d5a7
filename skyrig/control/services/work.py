"""What is done for services, each piece in a process of its own (skyrig.control.work)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from skyrig import bringing, provision, renting
from skyrig.bringing import Asked, Manner
from skyrig.cluster.description import ClusterDescription
from skyrig.control import table
from skyrig.control.look import marks
from skyrig.control.services import wards as services
from skyrig.control.services.capacity import Act
from skyrig.control.ward import Ward
from skyrig.serve.client.deploy import deploy as deploy_service
from skyrig.serve.client.link import steward
from skyrig.stack import described, stacks

Notify = Callable[[str], None]
"""Takes one line for the log."""

_FLUSH_S = 120.0
"""How long files that replicas wrote may take to reach their buckets when a service ends, in seconds."""

_REACH_S = 20.0
"""How long a head that is to be told something may take to answer, in seconds."""


def deploy(ward: Ward, notify: Notify) -> None:
    """Bring the ward's service to its cluster, which is made or repaired for it."""
    service = services.opened(ward)
    deploy_service(
        ward.stack,
        service.task,
        service.spec,
        service.secrets,
        notify,
        renting.pays,
        reached=lambda cluster: services.deployed(ward, cluster),
    )


def nodes(ward: Ward, notify: Notify) -> None:
    """Have as many nodes as the ward says that there shall be, without those that it names."""
    doing = ward.data["doing"]
    going = tuple(doing["going"])
    cluster = described.describe(ward.stack)
    staying = [node.id for node in cluster.nodes if node.id not in going] if cluster is not None else []
    count = max(int(doing["nodes"]), len(staying))
    asked = Asked(nodes=count, ondemand=int(doing["ondemand"]), without=going, at_least=True)
    _tell(ward, bringing.up(ward.stack, notify, asked, Manner(renting.pays, taking=going)), notify)


def repair(ward: Ward, notify: Notify) -> None:
    """Make anew what is lost of the cluster."""
    anew = tuple(ward.data["doing"]["anew"])
    asked = Asked(anew=anew, at_least=True)
    _tell(ward, bringing.up(ward.stack, notify, asked, Manner(renting.pays, taking=anew)), notify)


def tell(ward: Ward, notify: Notify) -> None:
    """Have the head know the cluster's nodes: somebody else has changed them, or it was not reached."""
    cluster = described.describe(ward.stack)
    if cluster is not None:
        _tell(ward, cluster, notify)


def retire(ward: Ward, notify: Notify) -> None:
    """Take the cluster of a service down that failed for good."""
    if ward.alone and stacks.exists(ward.stack):
        provision.down(ward.stack, notify, force=True)


def end(ward: Ward, notify: Notify) -> None:
    """End a service: its replicas, its cluster where that was made for it, and all that is kept of it."""
    services.stop(ward, notify, going=ward.alone)
    if ward.alone and stacks.exists(ward.stack):
        provision.down(ward.stack, notify, force=True, flush_s=_FLUSH_S)
    services.forget(ward.name)


def _tell(ward: Ward, cluster: ClusterDescription, notify: Notify) -> None:
    """Have keeper and steward know the nodes as they are now. A head that is another machine has no service yet."""
    if cluster.head.incarnation != ward.data.get("head"):
        return

    async def told() -> None:
        async with steward(cluster, patience_s=_REACH_S, prepare=True, notify=notify) as link:
            await link.describe()

    asyncio.run(told())
    table.change(ward.name, ward.kind, data={"told": marks(cluster)})


WORK: dict[str, Callable[[Ward, Notify], None]] = {
    str(Act.DEPLOY): deploy,
    str(Act.TELL): tell,
    str(Act.NODES): nodes,
    str(Act.REPAIR): repair,
    str(Act.RETIRE): retire,
    str(Act.END): end,
}
"""What is done for each act but a look."""
