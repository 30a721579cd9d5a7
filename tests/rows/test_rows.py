"""The commands that people find on web pages, in both spellings, on one local cluster: what they are told comes out."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from clone import DOORS, Clone, new_clone
from user import until

from skyrig import local
from skyrig.cluster.shape import Shape

pytestmark = pytest.mark.e2e

HERE = Path(__file__).parent
SEEDS = HERE.parent / "compat" / "seeds"
GIVEN = yaml.safe_load((HERE / "rows.yaml").read_text())
NAME = "hf-train-multi"
ENV = """\
# of Tigris
AWS_ACCESS_KEY_ID=tid_abc
AWS_SECRET_ACCESS_KEY='tsec_abc'
export BUCKET_NAME=mybucket
DATASET_NAME=a/b
"""

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone whose folder is also that of the documents' projects, with a config for plain ssh beside it."""
    folder = tmp_path_factory.mktemp("rows")
    with new_clone(folder, SKYRIG_SSH_CONFIG=str(folder / "ssh_config")) as made:
        shutil.copytree(HERE / "work", made.path, dirs_exist_ok=True)
        (made.path / ".env").write_text(ENV)
        for name, how in GIVEN["files"].items():
            text = (SEEDS / f"{how['of']}.yaml").read_text()
            for old, new in how["instead"].items():
                assert old in text, f"{name} has no {old!r}"
                text = text.replace(old, new)
            (made.path / name).write_text(text)
        yield made


@pytest.fixture(scope="module")
def cluster(clone: Clone) -> Done:
    """The shared cluster, made by the document's own command for two nodes; what that said."""
    if local.isolation(Shape()) != "namespaces":
        pytest.skip("this machine gives local nodes no file system of their own, and so no /workspace")
    return clone.run("skyrig", "launch", "-c", NAME, "./train_multi.sky.yaml", "--infra", "local")


def case_id(case: dict[str, Any]) -> str:
    """What a test is called by."""
    return str(case["skyrig"])


def said(done: Done) -> str:
    """Everything, for a failed assertion."""
    return f"exit {done.returncode}\n--- out\n{done.stdout}\n--- err\n{done.stderr}"


def lines_but_mends(done: Done) -> list[str]:
    """Lines of standard error, but those about a mend of the file."""
    return [line for line in done.stderr.splitlines() if "no bucket is named" not in line]


def answer(clone: Clone, *words: str) -> Any:
    """The JSON that a verb prints."""
    return json.loads(clone.run("skyrig", *words, "--json").stdout)


def newest(clone: Clone) -> dict[str, Any]:
    """The newest job of the shared cluster."""
    return dict(answer(clone, "queue", NAME)["jobs"][-1])


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("case", GIVEN["refused"], ids=case_id)
def test_what_cannot_be_is_one_line_and_makes_nothing(clone: Clone, case: dict[str, Any], door: str) -> None:
    before = clone.made()
    done = clone.run(door, *shlex.split(case[door]))
    assert done.returncode == case["code"], said(done)
    assert (lines_but_mends(done), done.stdout) == ([case["says"]], "")
    assert clone.made() == before


def test_a_node_knows_sky_show_ips(cluster: Done) -> None:
    """By which the document's own launch.sh finds nodes and master."""
    assert cluster.returncode == 0, said(cluster)
    processes = sorted(
        line.partition("glue process ")[::2] for line in cluster.stdout.splitlines() if "process" in line
    )
    assert [rank for rank, _ in processes] == ["(rank 0, n0) "] * 4 + ["(rank 1, n1) "] * 4, said(cluster)
    assert [text.partition(" of ")[0] for _, text in processes] == [str(number) for number in range(8)]
    (common,) = {text.partition(" of ")[2] for _, text in processes}
    assert common.startswith("8 by 10."), "the master's address is that of a node"
    assert "torchrun with --nnodes and no --node-rank: PET_NODE_RANK=" in cluster.stderr


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("case", GIVEN["rows"], ids=case_id)
@pytest.mark.parametrize("door", ["skyrig", pytest.param("invoke", marks=pytest.mark.soak)])  # one after the other
def test_a_row(clone: Clone, case: dict[str, Any], door: str) -> None:
    job = str(newest(clone)["id"]) if "JOB" in case[door] else ""

    def meant(text: str) -> str:
        return text.replace("NAME", NAME).replace("JOB", job)

    words = shlex.split(meant(case[door])) + (["--infra", "local"] if case.get("rehearsed") else [])
    done = clone.run(door, *words, stdin=case.get("typed"))
    assert done.returncode == case.get("code", 0), said(done)
    for text in case["out"]:
        assert any(meant(text) in line for line in done.stdout.splitlines()), said(done)
    assert case["out"] or done.stdout == "", said(done)
    for text in case.get("err", []):
        assert meant(text) in done.stderr, said(done)
    assert done.returncode != 3 or len(lines_but_mends(done)) == 1, said(done)
    if "job" in case:
        until(lambda: newest(clone)["status"] == case["job"], f"the job is {case['job']}")
    if "autostop" in case:
        (found,) = answer(clone, "status", NAME)["clusters"]
        assert case["autostop"].items() <= found["autostop"].items()
    if "serves" in case:
        until(lambda: "FastAPI" in served(f"http://{done.stdout.strip()}{case['serves']}"), "the server answers")


def served(url: str) -> str:
    """What is served there; "" where nobody answers yet."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return str(reply.read().decode())
    except OSError:
        return ""


@pytest.mark.usefixtures("cluster")
def test_plain_ssh_knows_the_cluster(clone: Clone) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("no ssh on this machine")
    done = clone.run("ssh", "-F", clone.env["SKYRIG_SSH_CONFIG"], NAME, stdin="echo on $SKYRIG_NODE_ID; exit 7\n")
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (7, ["on n0"]), said(done)


PKILL = """\
python -c 'import time; print("its own", flush=True); time.sleep(600)' >began &
until [ -s began ]; do sleep 0.05; done
pkill -f "ray start --address"; pkill -f "ray start --head --port=6379"; pkill python; pkill -f python
wait $!; echo "its own ended by $(($? - 128)), node $SKYPILOT_NODE_RANK is alive"
"""


def lasting(clone: Clone) -> list[str]:
    """Process ids of what Skyrig always has running on the nodes: their servers, and the head's keeper and watch."""
    servers = [str(node["pid"]) for node in answer(clone, "local", "ls")["nodes"] if node["cluster"] == NAME]
    head = clone.home / "local" / NAME / "n0" / "home" / ".skyrig"
    return [*servers, *((head / name).read_text() for name in ("keeper.lock", "keeper.watch"))]


@pytest.mark.usefixtures("cluster")
def test_who_ends_python_by_name_ends_nothing_of_ours(clone: Clone) -> None:
    if shutil.which("pkill") is None:
        pytest.skip("no pkill on this machine")
    (clone.path / "pkill.yaml").write_text(yaml.safe_dump({"num_nodes": 2, "run": PKILL}))
    before = lasting(clone)
    done = clone.run("skyrig", "exec", NAME, "pkill.yaml")
    assert done.returncode == 0, said(done)
    wanted = [f"(rank {rank}, n{rank}) its own ended by 15, node {rank} is alive" for rank in (0, 1)]
    assert sorted(done.stdout.splitlines()) == wanted, said(done)
    assert lasting(clone) == before


@pytest.mark.usefixtures("cluster")
def test_a_new_cluster_by_name_of_the_task_and_down(clone: Clone) -> None:
    (refused,) = [case for case in GIVEN["refused"] if "allatonce" in case["skyrig"]]
    with ThreadPoolExecutor() as both:
        calls = [both.submit(clone.run, door, *shlex.split(refused[door]), "--infra", "local") for door in DOORS]
        runs = [call.result() for call in calls]
    for done in runs:
        assert done.returncode == 0, said(done)
        wanted = ["packages for mybucket", "dataset a/b by a key of 15", "model Qwen/Qwen2.5-0.5B"]
        assert [line for line in done.stdout.splitlines() if line.endswith(tuple(wanted))] == done.stdout.splitlines()
        assert len(done.stdout.splitlines()) == 3
        assert "(test) submitted to test-" in done.stderr
    made = [each for each in answer(clone, "status", "test-*")["clusters"] if each["status"] == "UP"]
    assert [(each["autostop"]["idle_minutes"], each["autostop"]["down"]) for each in made] == [(15, True)] * 2
    for words in (["skyrig", "down", "test-*"], ["invoke", "down", "-c", NAME]):
        done = clone.run(*words)
        assert done.returncode == 0, said(done)
    assert {each["status"] for each in answer(clone, "status")["clusters"]} == {"DOWN"}
    assert not Path(clone.env["SKYRIG_SSH_CONFIG"]).exists()
