"""What shall be done when a managed job loses nodes, fails or stands still."""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from skyrig.cluster.policy import NO_WISH, Wish


class Strategy(str, Enum):
    """Where a job goes whose nodes cannot be replaced where they were: to the next region at once
    (EAGER_NEXT_REGION), or to the same region first (FAILOVER), then wherever there is capacity."""

    __str__ = str.__str__

    EAGER_NEXT_REGION = "EAGER_NEXT_REGION"
    FAILOVER = "FAILOVER"


class Policy(str, Enum):
    """What is done about lost nodes: they are replaced and the job is started again from its checkpoint (RESTART), they
    are replaced while the job goes on with those that are left (REPLACE_NODE), or the job has failed (STOP)."""

    __str__ = str.__str__

    RESTART = "restart"
    REPLACE_NODE = "replace_node"
    STOP = "stop"


@frozen
class RecoverySpec:
    """How a job comes back.

    `restarts` is how often it is started again after it failed by itself, not counting failures with one of the exit
    codes `codes`, after which it always is. `min_nodes` is how many nodes REPLACE_NODE needs left to go on (0: one
    fewer than it has). After `hang_s` seconds in which no rank writes or gives a sign of life it has failed by
    standing still (0: never), and is started again unless `hang_stops`. Nodes that cost money save what they can and
    end themselves when no controller has been heard of for `lease_s` seconds. With `early` a node whose cloud says
    that it goes is replaced before it is gone.
    """

    strategy: Strategy = Strategy.EAGER_NEXT_REGION
    policy: Policy = Policy.RESTART
    min_nodes: int = 0
    restarts: int = 0
    codes: tuple[int, ...] = ()
    hang_s: float = 0.0
    hang_stops: bool = False
    lease_s: float = 3600.0
    early: bool = True


@frozen
class ManagedSpec:
    """What a managed job is asked to be, beside its tasks: `recovery`, one for each task of the pipeline; with `retry`
    it waits for capacity without end, else it has failed when there is none at its beginning; `user` asked for it. Each
    of its clusters is made with the limits and the time to live of `wish`."""

    recovery: tuple[RecoverySpec, ...]
    retry: bool = True
    user: str = ""
    wish: Wish = NO_WISH
