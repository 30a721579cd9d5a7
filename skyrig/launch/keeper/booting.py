"""Nodes of a cloud make themselves ready at each boot: scratch disk, fabric, container, a look at their drivers (see
docs/clouds/nodes.md). Nothing of a job goes to a node before that is done, and none begins before all its nodes are
ready, or those that are would wait in vain for the others to meet them.

A node is asked itself, each time: only it knows whether it has booted again. Where all are ready, which is nearly
always, that is one short command on each over a connection that the job needs next.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from skyrig.cluster.description import Node
from skyrig.errors import NodeLost, SkyrigError
from skyrig.fleet import fanout
from skyrig.fleet.deadline import timeout
from skyrig.fleet.pool import Pool
from skyrig.fleet.target import inside
from skyrig.launch import nodeside

PATIENCE_S = 1900.0
"""How long a node may take: the 30 minutes that its own unit has, and the start of that."""

SILENCE_S = 40.0
"""How long a node may not answer at first: as long as one that shall start a rank."""

REBOOT_S = 300.0
"""The same of one that is known to be getting ready: that may take another boot."""

LOOK_AGAIN_S = 1.0
"""Pause before a node that is not ready is asked again."""

_ASK = (
    "d=/opt/skyrig; [ -e $d/node.json ] || exit 0; "  # a machine that somebody else made
    "read -r boot </proc/sys/kernel/random/boot_id; read -r checked 2>/dev/null <$d/checked.json; "
    'case "$checked" in *"\\"boot\\": \\"$boot\\", \\"ok\\": true,"*) exit 0 ;; esac; '
    "s=$(systemctl show --property ActiveState --value skyrig-node.service 2>/dev/null); "
    'echo "skyrig-boot $boot ${s:-unknown} $checked"'
)
"""Says nothing on a node that is ready; else its boot, what becomes of its unit, and what that left."""

_LATE = f"it is not ready after {PATIENCE_S / 60:.0f} minutes: `cloud-init status --long` there tells more"
_BROKEN = "what makes it ready has failed: `journalctl -u skyrig-node` there tells why"
_AGAIN = "when that is mended, `sudo systemctl restart skyrig-node` there looks again"


def judged(said: str) -> str | None:
    """What a node's answer means: "" where it is ready, what is wrong with it, or None where it is not done yet."""
    told = [line.split(" ", 3) for line in said.splitlines() if line.startswith("skyrig-boot ")]
    if not told:
        return ""
    _, boot, state, checked = told[-1]
    try:
        left: dict[str, Any] = json.loads(checked)
    except ValueError:
        left = {}
    if state in ("activating", "reloading"):
        return None
    if left.get("boot") == boot:
        return "" if left.get("ok") else f"{left.get('problem')} ({_AGAIN})"
    return _BROKEN if state == "failed" else None


async def wait(pool: Pool, nodes: Sequence[Node], say: Callable[[str], None]) -> dict[str, str]:
    """Wait until all of `nodes` are ready; `say` takes a line where that takes long. Returns what is wrong with those
    that never will be, by id. NodeLost where one does not answer."""
    verdicts = await _of_all(nodes, lambda node: _heard(pool, node, SILENCE_S))
    late = [node for node in nodes if verdicts[node.id] is None]
    if late:
        say(f"waits until {', '.join(node.id for node in late)} can take jobs: what their boot starts is not done yet")
        verdicts |= await _of_all(late, lambda node: _settled(pool, node))
    return {node_id: problem for node_id, problem in verdicts.items() if problem}


async def _of_all(
    nodes: Sequence[Node], ask: Callable[[Node], Coroutine[None, None, str | None]]
) -> dict[str, str | None]:
    """What `ask` returns for each node, all at once; its first error ends the asking."""
    asking = {node.id: asyncio.create_task(ask(node)) for node in nodes}
    try:
        return dict(zip(asking, await asyncio.gather(*asking.values()), strict=True))
    finally:
        for task in asking.values():
            task.cancel()
        await asyncio.gather(*asking.values(), return_exceptions=True)


async def _settled(pool: Pool, node: Node) -> str:
    """What is wrong with a node in the end, "" if nothing. It may boot once more meanwhile, and be silent then."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    while loop.time() < deadline:
        await asyncio.sleep(LOOK_AGAIN_S)
        verdict = await _heard(pool, node, REBOOT_S)
        if verdict is not None:
            return verdict
    return _LATE


async def _heard(pool: Pool, node: Node, silence_s: float) -> str | None:
    """A node's answer, judged; asked again for `silence_s` seconds where none comes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + silence_s
    reason = "it does not answer"
    while (left := deadline - loop.time()) > 0:
        try:
            async with timeout(left):
                done = await fanout.run(pool, inside(node), nodeside.shell(_ASK))
            return judged(done.stdout.decode(errors="replace"))
        except asyncio.TimeoutError:
            break
        except SkyrigError as error:
            reason = error.message
        await asyncio.sleep(0.1)
    raise NodeLost(f"lost node {node.id}: {reason}", node_id=node.id)
