"""The cluster that the controller of managed jobs sits on, where the user wants one: an ordinary stack of one small
node that is not spot, which stays until the user takes it down."""

from __future__ import annotations

from skyrig import bringing
from skyrig.bringing import Asked, Confirm, Manner, Notify
from skyrig.cluster.description import ClusterDescription
from skyrig.cluster.shape import Shape, WantedNode
from skyrig.control import settings
from skyrig.errors import NotYet, SkyrigError
from skyrig.stack import config, described, powers, stacks
from skyrig.task import reading

STACK = "skyrig-controller"
"""The name of its stack."""

_TASK = """
name: skyrig-controller
resources:
  infra: {infra}
  cpus: 2+
  memory: 4+
  use_spot: false
"""


def is_wanted() -> bool:
    """Whether managed jobs are cared for on a node of their own, as the user's settings say."""
    return settings.read().controller == settings.STACK


def known() -> ClusterDescription | None:
    """Its cluster; None where there is none."""
    return described.describe(STACK) if stacks.exists(STACK) else None


def there() -> ClusterDescription:
    """Its cluster. SkyrigError where there is none, or its node is off."""
    found = known()
    if found is None:
        raise SkyrigError(
            "the controller's node is not there: no managed job was launched", hint="`jobs.launch` makes it"
        )
    if powers.of(found).get(found.head.id) == "stopped":
        raise SkyrigError("the controller's node is stopped", hint=f"`start -c {STACK}` starts it")
    return found


def made(notify: Notify, confirm: Confirm) -> ClusterDescription:
    """Its cluster, made where there is none, or its node is gone. BadInput where that costs money and the answer is
    no."""
    found = known()
    if found is not None and powers.of(found).get(found.head.id) == "up":
        return found
    infra = settings.read().controller_infra
    if infra != "local":
        raise NotYet(
            f"jobs.controller_infra: {infra}: a controller on a cloud's node: not yet in this version of Skyrig",
            hint="jobs.controller: here, on a machine that stays on",
        )
    if not stacks.is_there(STACK) and config.is_bare(STACK):
        # nodes that it makes would be inside of its own namespaces, and end with them
        config.write_shape(STACK, Shape(nodes=(WantedNode("n0"),), isolation="plain"))
    notify("the controller of managed jobs has a node of its own: bringing it up")
    task = reading.loads(_TASK.format(infra=infra), "the controller's node").only()
    return bringing.up(STACK, notify, Asked(task=task), Manner(confirm))
