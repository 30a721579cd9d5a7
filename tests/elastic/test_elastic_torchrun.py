"""The same with torchrun, as Skyrig starts it: three nodes, two, and three again, each a round of its own."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest
from elastic_cluster import ElasticCluster
from keeper_cluster import Following, until

from skyrig.launch.job import CONVERTER
from skyrig.launch.program import Script
from skyrig.launch.render import render_launch

WORKER = Path(__file__).with_name("elastic_worker.py")
PATIENCE_S = 150.0


def rounds(following: Following, size: int) -> int:
    """How many processes have begun a round of so many."""
    return following.kept.count(b"|round of %d," % size)


@pytest.mark.soak
def test_torchrun_goes_on_with_two_of_three_nodes_and_takes_the_third_back(cluster: ElasticCluster) -> None:
    """Its processes end and begin meanwhile, which is not the job's failure."""
    pytest.importorskip("torch")
    done = cluster.folder / "done"
    scripts = render_launch(Script(str(WORKER), (str(done), str(cluster.folder / "saved"))), "torchrun")
    env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    request = {**cluster.request("", 3, min_nodes=2, env=env), "run": CONVERTER.unstructure(scripts)}
    job = int(cluster.ask(op="submit", request=request)["record"]["id"])
    following = Following(cluster, job)
    until(lambda: rounds(following, 3) == 3, "three train", PATIENCE_S)
    until(lambda: list((cluster.folder / "saved").glob("step-*/manifest.json")), "a checkpoint", PATIENCE_S)
    killed = time.monotonic()
    cluster.kill_node(1)
    until(lambda: rounds(following, 2) == 2, f"two go on\n{following.kept.decode()[-3000:]}", PATIENCE_S)
    two = time.monotonic() - killed
    until(lambda: cluster.jobs()[job]["lost"] == ["n1"], "the loss is known")
    came = time.monotonic()
    cluster.replace(1)
    until(lambda: rounds(following, 3) == 6, "three go on", PATIENCE_S)
    three = time.monotonic() - came
    begun = re.findall(rb"round of (\d), from step (\d+) of (\d*)", bytes(following.kept))
    starts = sorted({(int(life or 0), int(step), int(size)) for size, step, life in begun})
    assert [size for _, _, size in starts] == [3, 2, 3], "each from what the round before it had saved"
    assert [life for life, _, _ in starts] == sorted({life for life, _, _ in starts})
    assert [step for _, step, _ in starts] == sorted({step for _, step, _ in starts})
    done.touch()
    record = cluster.ended(job, PATIENCE_S)
    assert (record["status"], record["exit_codes"], record["lost"]) == ("SUCCEEDED", [0, 0, 0], []), record
    following.join(20)
    assert following.kept.count(b"|ended in a round of 3") == 3
    print(f"seconds until the next step: {two:.1f} after the loss, {three:.1f} after the machine came")
