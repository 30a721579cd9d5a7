"""TF_CONFIG: what it says, and who gets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import evolve
from render import ranks

from skyrig.launch import mends
from skyrig.launch.environment import tf_config
from skyrig.launch.program import Script, UserText
from skyrig.launch.render import render_launch

TELL = "import os; print(os.environ.get('TF_CONFIG', 'none'), os.environ['SKYRIG_PROCS_PER_NODE'])"


def test_each_node_is_one_worker_under_its_address() -> None:
    nodes = tuple(evolve(node, address=f"10.0.0.{node.rank}") for node in ranks.cluster_of(3).nodes)
    assert json.loads(tf_config(nodes, 2, 29500)) == {
        "cluster": {"worker": ["10.0.0.0:29500", "10.0.0.1:29500", "10.0.0.2:29500"]},
        "task": {"type": "worker", "index": 2},
    }


def test_nodes_of_one_address_have_ports_of_their_own() -> None:
    told = json.loads(tf_config(ranks.cluster_of(2).nodes, 0, 29500))
    assert told["cluster"]["worker"] == ["127.0.0.1:29500", "127.0.0.1:29501"]


def test_addresses_of_version_6_stand_in_brackets() -> None:
    told = json.loads(tf_config(ranks.cluster_of(1, address="fd00::1").nodes, 0, 29500))
    assert told["cluster"]["worker"] == ["[fd00::1]:29500"]


@pytest.mark.parametrize("accelerators", [0, 2])
def test_the_strategy_starts_one_process_a_node_with_it(tmp_path: Path, accelerators: int) -> None:
    (tmp_path / "workdir").mkdir()
    (tmp_path / "workdir" / "tell.py").write_text(TELL)
    got = ranks.run(render_launch(Script("tell.py"), "tensorflow"), tmp_path, accelerators=accelerators)
    for number, rank in enumerate(got):
        assert (rank.code, rank.records) == (0, {"0": 0})
        told, _, procs = rank.log.rstrip().rpartition(" ")
        assert procs == str(max(1, accelerators))
        assert json.loads(told)["task"] == {"type": "worker", "index": number}
        assert len(json.loads(told)["cluster"]["worker"]) == 2


def test_no_other_program_finds_it(tmp_path: Path) -> None:
    (tmp_path / "workdir").mkdir()
    (tmp_path / "workdir" / "tell.py").write_text(TELL)
    got = ranks.run(render_launch(UserText("python tell.py"), "plain", 2), tmp_path)
    assert [rank.log for rank in got] == ["none 1\n"] * 2


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        (
            "cat >t.py <<E\nimport tensorflow as tf\ns = tf.distribute.MultiWorkerMirroredStrategy()\nE\npython t.py",
            True,
        ),
        ("python -c 'TFConfigClusterResolver()'", True),
        ("export TF_CONFIG=$(make_it)\npython -c 'MultiWorkerMirroredStrategy()'", False),
        ("python -c 'import tensorflow'", False),
    ],
)
def test_a_text_that_asks_for_several_workers_finds_it(tmp_path: Path, text: str, mended: bool) -> None:
    assert [mend.kind for mend in mends.of_run(text, 2)] == (["tensorflow"] if mended else [])
    assert mends.of_run(text, 1) == ()
    if mended:
        scripts = render_launch(UserText("# MultiWorkerMirroredStrategy\nenv | grep ^TF_ | cut -d= -f2-"), "plain", 2)
        for number, rank in enumerate(ranks.run(scripts, tmp_path)):
            assert json.loads(rank.log)["task"]["index"] == number
