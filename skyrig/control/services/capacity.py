"""What is to be done about a service's nodes, worked out from what is known: values in, one action out.

Nodes go by name only, and only those that the steward said hold nothing; what somebody stopped or took down on purpose
stays so.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from skyrig.cluster.description import ClusterDescription
from skyrig.control.look import SHUT_S, Look, marks
from skyrig.control.ward import END as ENDING
from skyrig.control.ward import Ward, Wish
from skyrig.serve.state import Snapshot, Wanted

_PATIENT = 2
"""How often a node that its head does not reach is looked after before another one is made in its place."""


class Act(str, Enum):
    """What can be done: nothing; DEPLOY (bring the cluster up and tell its head all of the
    service); TELL (its head which nodes there are); NODES (add, take away); REPAIR (make anew what is lost); RETIRE
    (the service failed: its cluster goes, its ward stays); END (all of it goes)."""

    __str__ = str.__str__

    NOTHING = "nothing"
    DEPLOY = "deploy"
    TELL = "tell"
    NODES = "nodes"
    REPAIR = "repair"
    RETIRE = "retire"
    END = ENDING


@frozen
class Action:
    """One thing to do. NODES: there shall be `nodes` in all, of which `ondemand` are not spot, and those in `going` are
    taken away. REPAIR: those in `anew` are made anew though their machines seem to be there. `why` is one line for
    people."""

    act: Act
    why: str = ""
    nodes: int = 0
    ondemand: int = 0
    going: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()


NOTHING = Action(Act.NOTHING)


def decide(
    ward: Ward, look: Look, snapshot: Snapshot | None, away_s: float, repairs: int = 0, *, bare: bool = False
) -> Action:
    """What is to be done now. `snapshot` is what the steward says, None where it cannot be heard, for `away_s` seconds
    by now, or is `bare`: it knows of no service. `repairs` is how often lost nodes were looked after in vain."""
    if ward.wish is Wish.GONE:
        return Action(Act.END, "it is taken down")
    if ward.gave_up:
        there = look.cluster is not None and ward.alone and look.power != "down"
        return Action(Act.RETIRE, ward.reason or "it failed") if there else NOTHING
    if ward.applied < ward.version:
        return Action(Act.DEPLOY, f"version {ward.version} is to be deployed")
    if look.off:
        return NOTHING
    if look.cluster is None:
        return Action(Act.DEPLOY, "its cluster is not there")
    if look.head_power in ("gone", "ended"):
        return Action(Act.DEPLOY, f"its head {look.cluster.head.id} is lost")
    if look.cluster.head.incarnation != ward.data.get("head"):
        return Action(Act.DEPLOY, f"its head {look.cluster.head.id} is another machine")
    if bare:
        return Action(Act.DEPLOY, "its steward knows nothing of it")
    if snapshot is None:
        return Action(Act.REPAIR, f"its head has been silent for {away_s:.0f} s") if away_s > SHUT_S else NOTHING
    if snapshot.forgot:
        return Action(Act.DEPLOY, "its head was started anew, and what replicas are made of was in its memory")
    if snapshot.wanted.nothing:
        return Action(Act.RETIRE, snapshot.reason or snapshot.wanted.why or "it failed")
    if marks(look.cluster) != ward.data.get("told"):
        return Action(Act.TELL, "its head is told which nodes there are")
    return _nodes(look, look.cluster, snapshot.wanted, repairs)


def _nodes(look: Look, cluster: ClusterDescription, wanted: Wanted, repairs: int) -> Action:
    """What the nodes lack of what the steward wants of them."""
    there = [node.id for node in cluster.nodes]
    others = there[1:]
    spare = max(0, len(there) - max(1, wanted.nodes))
    going = [node_id for node_id in reversed(others) if node_id in wanted.going]
    going = sorted(going, key=lambda node_id: node_id not in wanted.lost)[:spare]  # what is lost goes first
    gone = [node_id for node_id in others if look.powers.get(node_id) in ("gone", "ended")]
    lost = [node_id for node_id in others if node_id in (*wanted.lost, *gone) and node_id not in going]
    if wanted.nodes > len(there):
        why = wanted.why or f"{wanted.nodes} nodes are wanted"
        return Action(Act.NODES, why, wanted.nodes, min(wanted.ondemand, wanted.nodes))
    if lost:
        silent = [each for each in lost if look.powers.get(each) == "up"] if repairs >= _PATIENT else []
        return Action(Act.REPAIR, f"{', '.join(lost)} {_is(lost)} lost", anew=tuple(silent))
    if going:
        why = wanted.why or f"{', '.join(going)} {_is(going)} not needed"
        return Action(Act.NODES, why, nodes=len(there) - len(going), going=tuple(going))
    return NOTHING


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
