"""Stopping, starting and shrinking from the command line: real engine, real nodes, real jobs."""

import json
from typing import Any

import pytest

from skyrig.fleet.local.files import wait_for
from skyrig.fleet.local.layout import NodeFolder

pytestmark = pytest.mark.e2e

TASK = "name: waiter\nnum_nodes: 2\nsetup: echo made\nrun: sleep ${N:-0}\n"


def nodes(clone: Any) -> dict[str, tuple[str, str]]:
    """Power and incarnation of each node of the cluster, by the nodes' own folders."""
    folders = [NodeFolder(path) for path in (clone.home / "local" / "p").glob("n*")]
    return {each.path.name: (each.power(), (each.read_state() or {})["incarnation"]) for each in folders}


def newest(clone: Any) -> tuple[str, str]:
    """Status and reason of the newest job."""
    job = json.loads(clone.run("skyrig", "queue", "p", "--json").stdout)["jobs"][-1]
    return job["status"], job["reason"]


def one_line(done: Any) -> str:
    """The one line that a refusal says, with its exit code 2."""
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    return str(done.stderr)


@pytest.mark.soak
def test_stop_start_and_shrink(clone: Any) -> None:
    (clone.path / "t.yaml").write_text(TASK)
    launch = ("launch", "t.yaml", "-c", "p")
    waiting = clone.run("invoke", *launch, "-d", "-e", "N=600", "--infra", "local")
    assert waiting.returncode == 0, waiting.stderr
    before = nodes(clone)
    (clone.home / "local" / "p" / "n1" / "home" / "mine").touch()

    # stopped: the job ends and says why, the cluster is there and stays so, its records answer
    stopped = clone.run("skyrig", "stop", "[p-z]*")
    assert stopped.returncode == 0, stopped.stderr
    assert "this ends job 1 (waiter)" in stopped.stderr and "2 changed" in stopped.stderr
    (seen,) = json.loads(clone.run("invoke", "status", "--json").stdout)["clusters"]
    assert [seen["status"], *(node["status"] for node in seen["nodes"])] == ["STOPPED"] * 3
    assert newest(clone) == ("CANCELLED", "the cluster was stopped")
    told = clone.run("skyrig", "logs", "p")
    assert told.returncode == 143 and "cluster p is stopped: showing what was recorded" in told.stderr
    for words in (("exec", "p", "t.yaml"), ("ssh", "p", "--node", "1", "--", "true"), ("cancel", "p", "1")):
        assert "cluster p is stopped (`start -c p` brings it back)" in one_line(clone.run("skyrig", *words))
    assert "stopped already" in clone.run("invoke", "stop", "-c", "p").stderr

    # whoever wants to run something starts it: the same nodes, on which setup runs again after the boot
    again = clone.run("invoke", *launch)
    assert again.returncode == 0, again.stderr
    assert "cluster p is stopped: starting it" in again.stderr and "(setup, n1) made\n" in again.stdout
    assert (clone.home / "local" / "p" / "n1" / "home" / "mine").exists()

    # a node that stopped itself is shown, and started by who needs it
    clone.run("skyrig", "ssh", "p", "--node", "1", "--", "shutdown", "now")  # its code is lost with the connection
    assert wait_for(lambda: nodes(clone)["n1"][0] == "stopped" or None, 60)
    (seen,) = json.loads(clone.run("invoke", "status", "--json").stdout)["clusters"]
    assert [seen["status"], *(node["status"] for node in seen["nodes"])] == ["DEGRADED", "UP", "STOPPED"]
    assert "n1 of p is stopped" in one_line(clone.run("skyrig", "exec", "p", "t.yaml"))
    started = clone.run("invoke", "start", "-c", "p")
    assert started.returncode == 0 and "n1 of p is stopped: starting it" in started.stderr
    assert nodes(clone) == before

    # a busy node is not removed; one whose removal fails takes jobs again
    assert clone.run("invoke", *launch, "-d", "-e", "N=600").returncode == 0
    busy = one_line(clone.run("invoke", "up", "-c", "p", "--nodes", "1"))
    assert "n1 runs job 3: nothing was changed" in busy and "--force" in busy
    assert newest(clone)[0] in ("SETTING_UP", "RUNNING")
    clone.env_more["PULUMI_CONFIG_PASSPHRASE"] = "another one"
    failed = clone.run("invoke", "up", "-c", "p", "--nodes", "1", "--force")
    clone.env_more.clear()
    assert failed.returncode == 5 and "removing n1 ends job 3" in failed.stderr
    assert newest(clone) == ("CANCELLED", "node n1 is removed")
    assert clone.run("skyrig", "exec", "p", "t.yaml").returncode == 0

    # a head that does not answer holds up no repair
    assert clone.run("skyrig", "local", "preempt", "n0").returncode == 0
    repaired = clone.run("invoke", "up", "-c", "p", "--nodes", "1")
    assert repaired.returncode == 0 and "whether jobs run on n1 cannot be asked" in repaired.stderr
    (left,) = nodes(clone).items()
    assert left[0] == "n0" and left[1] != before["n0"]
