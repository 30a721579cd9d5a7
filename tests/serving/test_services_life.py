"""The life of a service, from the command line, on a real cluster of local nodes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest
import yaml
from clone import DOORS, Clone
from forked import forker
from user import until

pytestmark = pytest.mark.e2e

KEY = "a-key-of-many-letters"
SERVICE = {
    "resources": {"infra": "local"},
    "workdir": "work",
    "envs": {"VERSION": "one"},
    "service": {
        "readiness_probe": {"path": "/health", "initial_delay_seconds": 60, "endpoint_probe_interval_seconds": 1},
        "replicas": 2,
    },
    "run": "exec python server.py $SKYRIG_SERVE_PORT",
}
"""Replicas listen on the port that they are told, so that this runs wherever local nodes do."""

Done = subprocess.CompletedProcess[str]


def quick(clone: Clone, door: str, *words: str) -> Done:
    """One command line, in a fork of a process that is kept."""
    return forker().run(door, words, clone.path, clone.env)


def said(done: Done) -> str:
    """Everything, for a failed assertion."""
    return f"exit {done.returncode}\n--- out\n{done.stdout}\n--- err\n{done.stderr}"


def written(clone: Clone, name: str, **instead: Any) -> str:
    """A service file in the clone."""
    (clone.path / name).write_text(yaml.safe_dump({**SERVICE, **instead}))
    return name


def service(clone: Clone, name: str) -> dict[str, Any]:
    """What `serve.status --json` says of a service."""
    done = quick(clone, "invoke", "serve.status", "-n", name, "--json")
    assert done.returncode == 0, said(done)
    (found,) = json.loads(done.stdout)["services"]
    return dict(found)


def asked(endpoint: str, key: str = "") -> tuple[int, str]:
    """Status and text of what an endpoint answers."""
    request = urllib.request.Request(f"http://{endpoint}/", headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def up(clone: Clone) -> Done:
    """What `serve up` said, in the words of the documents."""
    if shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
        pytest.skip("no HAProxy on this machine")
    (clone.path / ".env").write_text(f"SKYRIG_API_KEY={KEY}\n")
    file = written(clone, "service.yaml")
    done = clone.run("skyrig", "serve", "up", "-n", "mymodel", file, "--env-file", ".env", timeout=180)
    assert done.returncode == 0, said(done)
    return done


def test_up_prints_an_endpoint_and_a_line_that_works(clone: Clone, up: Done) -> None:
    endpoint, line = up.stdout.splitlines()
    assert KEY not in up.stdout + up.stderr
    assert asked(endpoint, KEY)[1].startswith("version one of replica ")
    assert asked(endpoint)[0] == asked(endpoint, KEY + "x")[0] == 401
    if shutil.which("curl") is not None:
        words = ["bash", "-c", line.replace("curl", "curl -sS", 1)]
        tried = subprocess.run(words, env={**clone.env, "SKYRIG_API_KEY": KEY}, capture_output=True, text=True)
        assert tried.stdout.startswith("version one of replica "), tried.stderr + line


@pytest.mark.usefixtures("up")
def test_status_in_both_doors(clone: Clone, up: Done) -> None:
    endpoint = up.stdout.splitlines()[0]
    assert quick(clone, "skyrig", "serve", "status", "mymodel", "--endpoint").stdout == f"{endpoint}\n"
    assert quick(clone, "invoke", "serve.status", "-n", "mymodel", "--endpoint").stdout == f"{endpoint}\n"
    until(lambda: service(clone, "mymodel")["ready"] == 2, "both replicas are ready")
    found = service(clone, "mymodel")
    assert {name: found[name] for name in ("name", "status", "endpoint")} == {
        "name": "mymodel", "status": "READY", "endpoint": endpoint,
    }  # fmt: skip
    assert [each["status"] for each in found["replicas"]] == ["READY", "READY"]
    assert [each["id"] for each in found["replicas"]] == [1, 2]
    assert found["controller"] == {"alive": True, "since": None}
    table = quick(clone, "skyrig", "serve", "status").stdout
    assert "mymodel" in table
    assert table.count("READY") >= 3


@pytest.mark.usefixtures("up")
def test_logs_of_a_replica_and_of_the_others(clone: Clone) -> None:
    done = quick(clone, "skyrig", "serve", "logs", "mymodel", "1", "--no-follow")
    assert done.stdout == "version one serves, without the key\n", said(done)
    for part in ("--controller", "--balancer"):
        assert quick(clone, "invoke", "serve.logs", "-n", "mymodel", part, "--no-follow").returncode == 0
    none = quick(clone, "skyrig", "serve", "logs", "mymodel", "77", "--no-follow")
    assert (none.returncode, none.stderr.startswith("service mymodel has no replica 77")) == (2, True)


@pytest.mark.usefixtures("up")
def test_metrics_and_the_page(clone: Clone, up: Done) -> None:
    told = quick(clone, "invoke", "serve.status", "-n", "mymodel", "--metrics").stdout
    assert 'skyrig_serve_up{service="mymodel"} 1' in told.splitlines()
    assert {"skyrig_control_up 1", 'skyrig_serve_version{service="mymodel"} 1'} <= set(told.splitlines())
    assert told.count("# TYPE haproxy_server_status ") == 1
    command = [*DOORS["invoke"], "serve.status", "--web"]
    with subprocess.Popen(command, cwd=clone.path, env=clone.env, stderr=subprocess.PIPE, text=True) as page:
        line = page.stderr.readline() if page.stderr else ""
        url = line.split()[2]
        until(lambda: (found := shown(url))["snapshot"] and found["snapshot"]["status"] == "READY", "it is shown")
        assert shown(url)["endpoint"] == up.stdout.splitlines()[0] and shown(url)["away"] == ""
        with urllib.request.urlopen(f"{url}metrics", timeout=20) as reply:
            assert b'skyrig_serve_up{service="mymodel"} 1' in reply.read()
        page.send_signal(signal.SIGINT)
        assert page.wait(30) == 0


def shown(url: str) -> dict[str, Any]:
    """The one service of a status page."""
    with urllib.request.urlopen(f"{url}data.json", timeout=20) as reply:
        (found,) = json.load(reply)["services"]
    return dict(found)


PROGRAM = """
import skyrig as sky
(found,) = sky.get(sky.serve.status("my*"))
assert sky.get(sky.serve.status(["none"])) == []
print(found.name, found["status"], found.endpoint, found.version, *(each["status"] for each in found.replica_info))
sky.serve.tail_logs("mymodel", sky.serve.ServiceComponent.REPLICA, 1, follow=False)
"""


@pytest.mark.usefixtures("up")
def test_what_programs_see(clone: Clone, up: Done) -> None:
    done = clone.run(sys.executable, "-c", PROGRAM)
    wanted = f"mymodel READY {up.stdout.splitlines()[0]} 1 READY READY"
    assert done.stdout.splitlines() == [wanted, "version one serves, without the key"], said(done)


@pytest.mark.usefixtures("up")
def test_update(clone: Clone, up: Done) -> None:
    file = written(clone, "two.yaml", envs={"VERSION": "two"})
    done = clone.run("skyrig", "serve", "update", "mymodel", file, "--env-file", ".env", timeout=180)
    assert done.returncode == 0, said(done)
    assert done.stdout == up.stdout
    assert {asked(up.stdout.splitlines()[0], KEY)[1].partition(" of")[0] for _ in range(8)} == {"version two"}
    assert service(clone, "mymodel")["version"] == 2


@pytest.mark.usefixtures("up")
def test_a_cluster_that_was_not_meant_is_refused(clone: Clone) -> None:
    other = quick(clone, "skyrig", "serve", "up", "service.yaml", "-n", "other", "-c", "mymodel")
    wanted = "cluster mymodel carries service mymodel (one cluster has one service)\n"
    assert (other.returncode, other.stderr) == (2, wanted), said(other)


@pytest.mark.usefixtures("up")
def test_down_leaves_nothing(clone: Clone) -> None:
    """After the others: the service goes, and all that was made for it."""
    done = clone.run("skyrig", "serve", "down", "mymodel", timeout=180)
    assert done.returncode == 0, said(done)
    assert done.stderr.endswith("service mymodel is gone\n")
    assert quick(clone, "skyrig", "serve", "status").stdout == "no services\n"
    assert json.loads(quick(clone, "skyrig", "local", "ls", "--json").stdout)["nodes"] == []
    assert not list((clone.home / "control").glob("services/*"))
    gone = quick(clone, "skyrig", "serve", "down", "mymodel")
    assert (gone.returncode, gone.stderr) == (2, "no service is called mymodel (there is none yet)\n")


@pytest.mark.soak
def test_what_never_becomes_ready(clone: Clone) -> None:
    file = written(clone, "bad.yaml", run="echo about to fail; exit 3", service={"readiness_probe": "/", "ports": 8000})
    done = clone.run("skyrig", "serve", "up", "-n", "bad", file, timeout=180)
    assert done.returncode == 3, said(done)
    assert "    about to fail" in done.stderr.splitlines()
    assert "service bad FAILED" in done.stderr
    until(lambda: not json.loads(quick(clone, "skyrig", "local", "ls", "--json").stdout)["nodes"], "its nodes are gone")
    assert service(clone, "bad")["status"] == "FAILED"
    assert quick(clone, "invoke", "serve.down", "-n", "bad").returncode == 0
    assert quick(clone, "skyrig", "serve", "status").stdout == "no services\n"
