"""What measures and diagnoses nodes and is not ours: torch.distributed, nccl-tests and DCGM, run there by agents."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources

from attrs import field, frozen

from skyrig.cluster.description import ClusterDescription
from skyrig.launch import nodeside
from skyrig.launch.keeper.agents import Agent, together
from skyrig.preflight.findings import Findings
from skyrig.preflight.report import Measured
from skyrig.preflight.transport import Transport, read

ABSENT = "no torch"
"""The problem of a measurement by torch where the Python of a node's jobs has none."""

_START = 'eval "$(printf %s "$SKYRIG_FABRIC_PROGRAM" | python3 -I -S - 2>/dev/null)"; exec python3 -c "$SKYRIG_PROGRAM"'
"""Tells the transports of the node's network, as each rank's script does, and measures."""

_LOG = {"NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,ENV", "NCCL_DEBUG_FILE": "/dev/stdout"}
"""What has NCCL say how it sends, whatever the node's /etc/nccl.conf says of its log. Named as a file, standard output
is written line by line (src/debug.cc); else C would keep the end of it, which is lost where a process ends at once."""

_START_S = 60.0
"""Seconds for the import of torch and the meeting of all, beside the measurement itself."""

_DIAGNOSIS_S = 180.0
_TESTS_S = 120.0

_AVERAGE = re.compile(r"Avg bus bandwidth\s*:\s*([0-9.]+)")
_FAILED = re.compile(r"^\|\s*(?P<what>[^|]+?)\s*\|\s*Fail", re.MULTILINE)


@frozen
class Heard:
    """How the processes of a measurement by NCCL reach each other, by node id."""

    by_node: dict[str, tuple[Transport, ...]] = field(factory=dict)


class Torch:
    """torch.distributed in the Python of the nodes' jobs: NCCL over all accelerators, gloo on CPUs."""

    inside = True

    def __init__(self, there: Mapping[str, Agent], found: Mapping[str, Findings], cluster: ClusterDescription) -> None:
        self.heard = Heard()
        self._there, self._found, self._cluster = there, found, cluster

    @property
    def name(self) -> str:
        """With the backend."""
        return "torch nccl" if self._gpus else "torch gloo"

    @property
    def _gpus(self) -> int:
        """How many accelerators each node has, as far as all have them."""
        return min((len(each.gpus) for each in self._found.values()), default=0)

    async def measure(self, nodes: Sequence[str], size: int, limit_s: float) -> Measured:
        """As Meter's."""
        first, fabric = self._there[nodes[0]], self._cluster.fabric
        given = {
            "nodes": len(nodes),
            "procs": self._gpus or 1,
            "address": first.node.address,
            "port": await first.free_port(),
            "size": size,
            "gpu": bool(self._gpus),
            "limit_s": limit_s + _START_S,
        }
        shared = {
            **fabric.env,
            "SKYRIG_FABRIC": fabric.kind,
            "SKYRIG_FABRIC_ENV": " ".join(fabric.env),
            "SKYRIG_FABRIC_PROGRAM": nodeside.fabric(),
            "SKYRIG_PROGRAM": resources.files("skyrig.preflight").joinpath("allreduce.py").read_text(),
            "SKYRIG_NUM_NODES": str(len(nodes)),
            "OMP_NUM_THREADS": "1",
            **_LOG,
        }
        orders = [
            {**shared, "SKYRIG_NODE_ADDRESS": self._there[node].node.address,
             "SKYRIG_PREFLIGHT": json.dumps({**given, "node": number})}
            for number, node in enumerate(nodes)
        ]  # fmt: skip
        running = (
            self._there[node].run(["bash", "-c", _START], env, limit_s + _START_S)
            for node, env in zip(nodes, orders, strict=True)
        )
        said = [text for _, text in await together(running)]
        for node, text in zip(nodes, said, strict=True):
            heard = read(text.splitlines())
            if any(each.network for each in heard):  # a pair that fails to meet tells less than all did before
                self.heard.by_node[node] = heard
        return _of_torch(self.name, size, dict(zip(nodes, said, strict=True)))


def _of_torch(name: str, size: int, said: Mapping[str, str]) -> Measured:
    """What the processes on all nodes have said."""
    for node, text in said.items():
        for line in text.splitlines():
            told = json.loads(line) if line.startswith('{"rank"') else {}
            if told.get("absent"):
                return Measured(name, size=size, problem=f"{ABSENT}: {node}: {told['problem']}")
            if "problem" in told:
                return Measured(name, size=size, problem=f"{node}: {told['problem']}")
            if told.get("rank") == 0:
                return Measured(name, float(told["rate"]), size, float(told["seconds"]))
    last = next(iter(said.values())).strip().splitlines()[-1:] or ["it said nothing"]
    return Measured(name, size=size, problem=last[0])


async def inside_by_tests(agent: Agent, found: Findings, size: int) -> Measured:
    """What one node's accelerators reach among themselves, by nccl-tests."""
    words = [found.nccl_tests, "-b", str(size), "-e", str(size), "-g", str(len(found.gpus))]
    code, said = await agent.run(words, {}, _TESTS_S)
    average = _AVERAGE.search(said)
    if code != 0 or average is None:
        last = said.strip().splitlines()[-1:] or ["it said nothing"]
        return Measured("nccl-tests", size=size, problem=last[0])
    return Measured("nccl-tests", float(average[1]) * 1e9, size)


async def diagnosed(there: Mapping[str, Agent], found: Mapping[str, Findings]) -> dict[str, str]:
    """What DCGM's quick diagnosis says is wrong with nodes that have it, by id."""
    nodes = [node for node, each in found.items() if each.dcgm and each.gpus and node in there]
    ends = await together(there[node].run(["dcgmi", "diag", "-r", "1"], {}, _DIAGNOSIS_S) for node in nodes)
    return {node: ailment for node, (code, said) in zip(nodes, ends, strict=True) if (ailment := ails(code, said))}


def ails(code: int, said: str) -> str:
    """What a diagnosis says is wrong; "" where that is nothing."""
    failed = [match["what"] for match in _FAILED.finditer(said)]
    if failed:
        return f"DCGM finds fault with {', '.join(dict.fromkeys(failed))}"
    last = said.strip().splitlines()[-1:] or [f"code {code}"]
    return f"DCGM's diagnosis failed: {last[0]}" if code != 0 else ""
