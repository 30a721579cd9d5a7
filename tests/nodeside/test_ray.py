"""Ray: the strategy that starts it for a script, and task texts that start it themselves."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from keeper.keeper_cluster import KeeperCluster, until
from render import ranks
from user import ROOT

from skyrig.launch.job import CONVERTER, Scripts
from skyrig.launch.program import Script, UserText
from skyrig.launch.render import render_launch

pytestmark = pytest.mark.e2e

SCRIPT = """\
import os, sys, ray
ray.init(log_to_driver=False)

@ray.remote(num_cpus=0, scheduling_strategy="SPREAD")
def where():
    return ray.get_runtime_context().get_node_id()

alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
seen = set()
while seen != alive:
    seen |= set(ray.get([where.remote() for _ in range(8)]))
print("nodes", len(seen), "words", sys.argv[1:], flush=True)
sys.exit(int(os.environ["CODE"]))
"""

TEXT = """\
if [ "$SKYPILOT_NODE_RANK" = 0 ]; then
  ray start --head --port={port} --disable-usage-stats --include-dashboard=false --num-gpus 0 \\
    --ray-client-server-port={client} --min-worker-port 0 --max-worker-port 0 --temp-dir={folder} >start.out || exit 9
  python -c '
import ray, time
ray.init(address="auto", log_to_driver=False)
while sum(node["Alive"] for node in ray.nodes()) < 2:
    time.sleep(0.1)
print("nodes", len(ray.nodes()), flush=True)
time.sleep(3)  # longer than what a rank leaves behind would live
print("alive", sum(node["Alive"] for node in ray.nodes()), flush=True)
ray.shutdown()'
else
  until ray start --address="$(echo "$SKYPILOT_NODE_IPS" | head -n1):{port}" --num-gpus 0 \\
    --min-worker-port 0 --max-worker-port 0 >start.out 2>&1; do :; done
  echo joined
fi
"""


def ray_or_skip() -> None:
    """Skip where Ray is not installed."""
    pytest.importorskip("ray", reason="ray is not installed here: ./rig setup ray gets it")


@pytest.mark.soak
def test_the_script_runs_once_with_all_nodes_and_its_code_counts(tmp_path: Path) -> None:
    ray_or_skip()
    (tmp_path / "workdir").mkdir()
    (tmp_path / "workdir" / "train.py").write_text(SCRIPT)
    scripts = render_launch(Script("train.py", ("two words",)), "ray")
    first, second = ranks.run(scripts, tmp_path, env={"CODE": "7"})
    assert (first.code, first.records) == (7, {"0": 7}), first.log
    assert "nodes 2 words ['two words']" in first.log
    assert second == ranks.Rank(0, "", {})


@pytest.mark.soak
def test_the_shipped_example_learns_on_all_nodes(tmp_path: Path) -> None:
    ray_or_skip()
    shutil.copytree(ROOT / "examples" / "ray", tmp_path / "workdir")
    first, _ = ranks.run(render_launch(Script("actors.py"), "ray"), tmp_path)
    assert first.code == 0, first.log
    said = {line.partition(" on ")[0] for line in first.log.splitlines()}
    assert {"a worker is at rank 0", "a worker is at rank 1"} <= said
    assert "step 60/60 loss" in first.log


def test_without_ray_the_reason_is_said(tmp_path: Path) -> None:
    (tmp_path / "workdir").mkdir()
    (tmp_path / "workdir" / "ray.py").write_text("raise SystemExit('no ray here')")
    env = {"PYTHONPATH": str(tmp_path / "workdir")}
    (got,) = ranks.run(render_launch(Script("x.py"), "ray"), tmp_path, nodes=1, env=env)
    assert got.code == 1
    assert "[skyrig] Ray could not be started on rank 0" in got.log


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeeperCluster]:
    """A keeper and two nodes with this Python's programs on their PATH."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    made = KeeperCluster(tmp_path, 2)
    yield made
    made.close()


def submitted(cluster: KeeperCluster, scripts: Scripts) -> int:
    """Submit a job of two nodes; its id."""
    request = {**cluster.request("", 2), "run": CONVERTER.unstructure(scripts)}
    return int(cluster.ask(op="submit", request=request)["record"]["id"])


@pytest.mark.soak
def test_a_text_that_starts_ray_keeps_its_nodes_and_can_do_so_again(cluster: KeeperCluster) -> None:
    ray_or_skip()
    port, client = ranks.free_port(), ranks.free_port()
    for _ in range(2):
        folder = os.path.realpath(f"/tmp/skyrig-test-ray-{port}")
        scripts = render_launch(UserText(TEXT.format(port=port, client=client, folder=folder)), "plain", 2)
        job = submitted(cluster, scripts)
        record = cluster.ended(job, 90)
        log = cluster.log(job).read_text()
        assert record["status"] == "SUCCEEDED", log
        assert {"0|nodes 2", "0|alive 2", "1|joined"} <= set(log.splitlines())


def test_ranks_stay_only_until_rank_0_has_ended_and_failures_count_at_once(cluster: KeeperCluster) -> None:
    text = "ray() { :; }; ray start\necho from $SKYPILOT_NODE_RANK; (sleep 600 &)\n"
    text += "[ $SKYPILOT_NODE_RANK = {bad} ] && exit 5\n"
    text += "[ $SKYPILOT_NODE_RANK = 1 ] || until grep -q ready ~/../ready; do sleep 0.1; done; exit 0"
    (cluster.folder / "ready").write_text("")
    job = submitted(cluster, render_launch(UserText(text.replace("{bad}", "none")), "plain", 2))
    cluster.runs(job)
    rank_1 = cluster.nodes[1].home / "sky_logs" / f"{job}-job" / "tasks" / "1-worker1.log"
    until(lambda: rank_1.exists() and rank_1.read_text() == "from 1\n", "rank 1's text")
    assert cluster.jobs()[job]["status"] == "RUNNING"
    assert not (rank_1.resolve().parent / "result").exists(), "the rank stays"
    (cluster.folder / "ready").write_text("ready")
    assert cluster.ended(job)["status"] == "SUCCEEDED"
    (cluster.folder / "ready").write_text("")
    job = submitted(cluster, render_launch(UserText(text.replace("{bad}", "1")), "plain", 2))
    record = cluster.ended(job)
    assert (record["status"], record["exit_code"], record["culprit"]) == ("FAILED", 5, 1)
