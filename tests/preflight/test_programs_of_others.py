"""What nccl-tests, DCGM and torch say, read: nodes of our own stand in for machines with accelerators."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import subprocess
from importlib import resources
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import evolve

from skyrig.cluster.description import ClusterDescription, Fabric, SshAccess
from skyrig.errors import NodeLost
from skyrig.launch import nodeside
from skyrig.launch.keeper import preflight, programs
from skyrig.launch.keeper.preflight import Place
from skyrig.launch.keeper.programs import ABSENT, ails
from skyrig.preflight.asked import Asked, Expected
from skyrig.preflight.findings import Findings, Gpu
from skyrig.preflight.report import Measured
from skyrig.preflight.verdict import Seen, judged

GPUS = tuple(Gpu(index, "NVIDIA H100 80GB HBM3") for index in range(8))
NODE = Findings("h", "k", 0.0, gpus=GPUS, driver="570", nccl_tests="/opt/all_reduce_perf", dcgm="4.1")
CLUSTER = ClusterDescription("c", "aws", (), SshAccess(""), "s3://r", fabric=Fabric("efa"))

PERF = """\
#       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
  1073741824     268435456     float     sum      -1   4012.1  267.63  468.35      0   4010.2  267.75  468.57      0
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 468.46
"""
DIAGNOSIS = """\
Successfully ran diagnostic for group.
+---------------------------+------------------------------------------------+
| Diagnostic                | Result                                         |
+===========================+================================================+
| software                  | Pass                                           |
| pcie                      | Fail                                           |
| Warning: GPU0             | a link is narrower than it could be            |
+---------------------------+------------------------------------------------+
"""


class Stand:
    """An agent whose programs say what they are told to."""

    def __init__(self, said: dict[str, tuple[int, str]]) -> None:
        self.said = said
        self.asked: list[list[str]] = []

    async def run(self, words: list[str], env: dict[str, str], limit_s: float) -> tuple[int, str]:
        """The answer for the program's name."""
        self.asked.append(words)
        return self.said[words[0].rpartition("/")[2]]


def test_one_nodes_accelerators_are_measured_by_nccl_tests() -> None:
    agent: Any = Stand({"all_reduce_perf": (0, PERF)})
    found = asyncio.run(programs.inside_by_tests(agent, NODE, 1 << 30))
    assert found == Measured("nccl-tests", 468.46e9, 1 << 30)
    assert agent.asked == [["/opt/all_reduce_perf", "-b", "1073741824", "-e", "1073741824", "-g", "8"]]
    broken: Any = Stand({"all_reduce_perf": (2, "Test CUDA failure common.cu:1 'out of memory'\n")})
    assert "out of memory" in asyncio.run(programs.inside_by_tests(broken, NODE, 1)).problem


def test_a_diagnosis_that_fails_is_the_nodes_fault() -> None:
    assert ails(0, DIAGNOSIS.replace("Fail", "Pass")) == ""
    assert ails(1, DIAGNOSIS) == "DCGM finds fault with pcie"
    assert ails(255, "Error: cannot reach the host engine\n").startswith("DCGM's diagnosis failed: Error")
    agents: Any = {"n0": Stand({"dcgmi": (0, "| software | Pass |")}), "n1": Stand({"dcgmi": (226, DIAGNOSIS)})}
    found = dict.fromkeys(agents, NODE)
    assert asyncio.run(programs.diagnosed(agents, found)) == {"n1": "DCGM finds fault with pcie"}


def line(rank: int, **more: Any) -> str:
    """What a process of skyrig.preflight.allreduce prints."""
    return f"some library greets\n{json.dumps({'rank': rank, **more})}\n"


def test_what_processes_by_torch_say_is_read() -> None:
    of = programs._of_torch
    assert of(
        "torch nccl", 64, {"n0": line(0, rate=3e9, seconds=0.5), "n1": line(1, rate=2e9, seconds=0.5)}
    ) == Measured("torch nccl", 3e9, 64, 0.5)
    assert of("t", 64, {"n0": line(0, problem="its Python has no torch", absent=True)}).problem.startswith(ABSENT)
    assert of("t", 64, {"n0": line(0, problem="NCCL error: timeout")}).problem == "n0: NCCL error: timeout"
    assert of("t", 64, {"n0": "", "n1": ""}).problem == "it said nothing"


def test_a_fabric_that_is_not_used_is_the_nodes_fault() -> None:
    from skyrig.launch.keeper.meters import Carried
    from skyrig.preflight import transport

    log = "ip-1:7:9 [0] NCCL INFO Using network Socket\nip-1:7:9 [0] NCCL INFO comm 0x1 rank 0 nranks 2 Init COMPLETE\n"
    heard = programs.Heard({"n0": transport.read(log.splitlines())})
    seen = preflight._with(Seen(), Carried(Measured("torch nccl", 1e9)), heard, "efa")
    found = judged("c", ["n0", "n1"], seen, Asked(expected=Expected(400e9, 0.1, "them")))
    assert found.bad == ("n0",)
    assert found.nodes[0].reasons[0].startswith("NCCL does not use its efa")
    assert preflight._with(Seen(), Carried(), heard, "none").fallen == {}


def test_what_nccl_says_is_asked_for_and_kept() -> None:
    log = "ip-1:7:9 [0] NCCL INFO Using network Socket\n"
    said = [log + line(0, rate=3e9, seconds=0.5), log + line(8, rate=3e9, seconds=0.5), "refused", "refused"]
    given: list[dict[str, str]] = []

    class Node(Stand):
        node = type("N", (), {"address": "10.0.0.1"})()

        async def free_port(self) -> int:
            return 7

        async def run(self, words: list[str], env: dict[str, str], limit_s: float) -> tuple[int, str]:
            given.append(env)
            return 0, said.pop(0)

    there: Any = {"n0": Node({}), "n1": Node({})}
    torch = programs.Torch(there, dict.fromkeys(there, NODE), CLUSTER)
    for _ in range(2):  # all, then a pair that does not meet
        asyncio.run(torch.measure(["n0", "n1"], 64, 1.0))
    assert {node: [each.kind for each in heard] for node, heard in torch.heard.by_node.items()} == {
        "n0": ["tcp"],
        "n1": ["tcp"],
    }
    assert {(env["NCCL_DEBUG"], env["NCCL_DEBUG_FILE"], env["SKYRIG_NUM_NODES"]) for env in given} == {
        ("INFO", "/dev/stdout", "2")
    }


def test_one_node_with_accelerators_goes_the_way_of_nccl_tests() -> None:
    agent: Any = Stand({"all_reduce_perf": (0, PERF), "dcgmi": (0, "| software | Pass |")})
    node: Any = type("N", (), {"id": "n0"})()
    place: Any = Place(evolve(CLUSTER, nodes=()), (node,), None)  # type: ignore[arg-type]
    seen = Seen(findings={"n0": NODE})
    asked = Asked(diagnose=True, expected=Expected(480e9, 0.1, "them"))
    found = asyncio.run(preflight._measured(place, asked, {"n0": agent}, seen, lambda said: None))
    assert found.measured.rate == 468.46e9
    assert [words[0] for words in agent.asked] == ["dcgmi", "/opt/all_reduce_perf"]
    assert judged("c", ["n0"], found, asked).status == "ok"


def test_what_runs_on_nodes_is_python_3_8() -> None:
    for name in ("agent", "allreduce"):
        text = resources.files("skyrig.preflight").joinpath(f"{name}.py").read_text()
        tree = ast.parse(text, feature_version=(3, 8))
        names = {
            each.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for each in node.names
        }
        assert names - {"torch"} <= {"contextlib", "datetime", "json", "os", "select", "signal", "socket", "subprocess",
                                     "sys", "threading", "time"}  # fmt: skip


def test_an_agent_that_nobody_asks_ends_with_its_programs() -> None:
    command, stdin = nodeside.agent({"address": "127.0.0.1", "token": "t", "life_s": 2})
    with subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        reading, writing = os.pipe()
        words = ["sh", "-c", f"exec 3>/proc/{os.getpid()}/fd/{writing}; echo begun >&3; sleep 60"]
        order = {"op": "run", "id": 1, "words": words, "env": {}, "limit_s": 60.0}
        process.stdin.write(stdin + json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        assert os.read(reading, 32) == b"begun\n"
        os.close(writing)
        assert process.wait(30) == 0
        assert os.read(reading, 32) == b""  # nobody has its other end any more
        os.close(reading)


def test_an_order_of_one_agent_that_is_lost_waits_for_those_of_others() -> None:
    over: list[str] = []

    async def lost() -> tuple[int, str]:
        raise NodeLost("n0 cannot be measured", node_id="n0")

    async def slow() -> tuple[int, str]:
        await asyncio.sleep(0.05)
        over.append("n1")
        return 0, "| software | Pass |"

    there: Any = {"n0": SimpleNamespace(run=lambda *_: lost()), "n1": SimpleNamespace(run=lambda *_: slow())}
    with pytest.raises(NodeLost):
        asyncio.run(programs.diagnosed(there, dict.fromkeys(there, NODE)))
    assert over == ["n1"]
