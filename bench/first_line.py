"""Seconds from a call to the first line of every rank, on a warm local cluster; with torch, beside bare torchruns."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.cluster import FIRST, Cluster, Lines, run
from bench.figures import Figures
from bench.servers import free_ports

_BARE_NODES = 8
"""Up to so many ranks a bare torchrun is started beside."""


def measure(bench: Cluster, sizes: Sequence[int], rounds: int) -> list[Figures]:
    """The times for clusters of `sizes` nodes, one cluster that grows. A single round is without torchrun."""
    tables = []
    for nodes in sorted(sizes):
        bench.sized(nodes)
        tables.append(_plain(bench, nodes, rounds))
        if importlib.util.find_spec("torch") is not None and nodes <= _BARE_NODES and rounds > 1:
            tables.append(_torchrun(bench, nodes, rounds // 2))
    return tables


def _plain(bench: Cluster, nodes: int, rounds: int) -> Figures:
    figures = Figures(f"call to first line from all of {nodes} nodes", "python API")
    task = bench.project / "first.yaml"
    task.write_text(f"num_nodes: {nodes}\nrun: |\n  {FIRST}\n")
    for _ in range(rounds):
        out, started = Lines(nodes), time.monotonic()
        assert run(bench.stack, nodes, out) == 0
        figures.add("python API", out.complete_at - started)
        figures.add("python API, to the job's end", time.monotonic() - started)
        figures.add("command line", _heard([["invoke", "exec", str(task), "-c", bench.stack]], nodes))
    return figures


def _torchrun(bench: Cluster, nodes: int, rounds: int) -> Figures:
    """One script under `invoke train` and bare torchruns; a first round of both, which reads torch, is not counted."""
    figures = Figures(f"torchrun on {nodes} nodes, call to first line from all", "bare torchrun")
    script = bench.project / "first.py"
    script.write_text("import os\nprint(f\"first-{os.environ['RANK']}!\", flush=True)\n")
    for number in range(rounds + 1):
        bare, ours = _heard(_bare(script, nodes), nodes), _heard([_train(bench, script, nodes)], nodes)
        if number:
            figures.add("bare torchrun", bare)
            figures.add("invoke train", ours)
    return figures


def _heard(commands: Sequence[Sequence[str]], ranks: int) -> float:
    """Seconds from the start of `commands` until their output holds every rank's line."""
    out, started = Lines(ranks), time.monotonic()
    read, write = os.pipe()
    running = [subprocess.Popen(command, stdout=write, stderr=subprocess.STDOUT) for command in commands]
    os.close(write)
    said = b""
    while block := os.read(read, 1 << 16):
        said += block
        out.write(block)
    os.close(read)
    codes = [process.wait() for process in running]
    assert out.complete_at and not any(codes), said.decode(errors="replace")
    return out.complete_at - started


def _train(bench: Cluster, script: Path, nodes: int) -> list[str]:
    return ["invoke", "train", "--nodes", str(nodes), "--script", str(script), "-c", bench.stack]


def _bare(script: Path, nodes: int) -> list[list[str]]:
    port = free_ports(1)[0]
    where = [f"--nnodes={nodes}", "--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={port}"]
    start = [sys.executable, "-m", "torch.distributed.run", *where]
    return [[*start, f"--node-rank={rank}", str(script)] for rank in range(nodes)]
