"""Jobs on nodes of a cloud: they begin when the nodes' boot is done, and run in the nodes' container."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from cloud_nodes import IMAGE, booted, of_a_cloud, with_container, with_docker, without_docker
from foreign_jobs import Followed, follow, request, until
from foreign_nodes import Lab, Machine, Python

from skyrig.launch import client
from skyrig.launch.job import JobRequest
from skyrig.launch.program import UserText
from skyrig.launch.render import render_launch, render_setup

HOME = "/home/ubuntu"
INSIDE = """\
cat /etc/was-set-up; echo $(id -u) $HOME $PWD $OF_THE_IMAGE $BOTH $SECRET $LD_LIBRARY_PATH
cat data.txt /run/tcpx/file; python; sudo -n id -u; echo kept >from-the-job
grep -q skyrig-supervisor /proc/$PPID/cmdline && echo "sees the node's processes"
exit 7
"""
SEEN = [
    "set up by 0",
    f"0 {HOME} {HOME}/sky_workdir yes job word /job/lib:/image/lib",
    "what was synced",
    "of the fabric",
    "the python of the image",
    "0",
    "sees the node's processes",
]
BUSY = "setsid sleep 4711 & sleep 4711 & trap '' TERM; while :; do sleep 4711; done"


def test_no_rank_begins_before_the_boot_of_every_node_is_done(lab: Lab, home: Path) -> None:
    for node in lab.nodes:
        of_a_cloud(node)
    for node in (lab.nodes[0], lab.nodes[2]):
        booted(node)
    booted(lab.nodes[1], boot="an earlier one")

    async def scenario() -> Followed:
        seen = Followed()
        job = asyncio.create_task(follow(lab.description("cloudy"), request("echo on", 3, "echo set up"), seen=seen))
        await until(lambda: b"waits until n1 can take jobs" in seen.out.getvalue())
        started = "ls -d ~/.skyrig/jobs/*/rank-* ~/.skyrig/jobs/*/setup-* 2>/dev/null"
        assert not any(node.run(started, check=False) for node in lab.nodes)
        booted(lab.nodes[1])
        return await job

    with lab.entered():
        seen = asyncio.run(scenario())
        assert seen.code == 0, seen.said
        assert sum(line.endswith("on") for line in seen.lines) == 3
        booted(lab.nodes[2], ok=False, problem="8 H100 declared, 7 found")
        refused = asyncio.run(follow(lab.description("cloudy"), request("echo on", 3)))
    assert refused.code == 5 and not any(line.endswith("on") for line in refused.lines)
    assert [line for line in refused.said if "n2: 8 H100 declared, 7 found" in line], refused.said


def test_a_job_that_waits_for_a_boot_can_be_cancelled(lab: Lab, home: Path) -> None:
    for node in lab.nodes:
        of_a_cloud(node)

    async def scenario() -> Followed:
        seen = Followed()
        desc = lab.description("cloudy")
        job = asyncio.create_task(follow(desc, request("echo on", 2), seen=seen))
        await until(lambda: b"waits until n0, n1 can take jobs" in seen.out.getvalue())
        await client.cancel(desc, None)
        return await job

    with lab.entered():
        assert asyncio.run(scenario()).code == 128 + signal.SIGTERM


@pytest.fixture(scope="module", params=["root", "ubuntu"])
def docked(
    request: pytest.FixtureRequest, old_pythons: list[Python], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """A node whose jobs run in a real container, and its user: root, or one with sudo."""
    missing = [name for name in ("dockerd", "docker", "containerd", "runc", "ldd") if shutil.which(name) is None]
    if request.param != "root" and shutil.which("sudo") is None:
        missing.append("sudo")
    if missing:
        pytest.skip(f"jobs in containers: not on this machine: {', '.join(missing)}")
    lab = Lab(tmp_path_factory.mktemp("docked"), [Machine("n0", old_pythons[0], user=request.param, home=HOME)])
    try:
        (node,) = lab.nodes
        if request.param != "root":
            rule = f"{request.param} ALL=(ALL) NOPASSWD:ALL"
            node.run(f"echo '{rule}' >/run/sudoers; chmod 440 /run/sudoers; mount --bind /run/sudoers /etc/sudoers")
        of_a_cloud(node)
        node.run("mkdir /run/tcpx; echo of the fabric >/run/tcpx/file")
        with_docker(node)
        assert with_container(node) == f"container: {IMAGE}", node.run("tail /run/dockerd.log")
        booted(node)
        yield lab
    finally:
        without_docker(lab.head)
        lab.close()


def test_setup_and_run_see_the_image_and_the_home_of_the_node(docked: Lab, home: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "data.txt").write_text("what was synced\n")
    run, setup = render_launch(UserText(INSIDE), "plain"), render_setup("echo set up by $(id -u) >/etc/was-set-up")
    env = {"BOTH": "job", "LD_LIBRARY_PATH": "/job/lib"}
    job = JobRequest("job", 1, run, setup=setup, env=env, secrets={"SECRET": "word"})
    with docked.entered():
        seen = asyncio.run(follow(docked.description("docked"), job, workdir=tmp_path / "work"))
    assert (seen.code, seen.lines) == (7, SEEN), seen.said
    assert docked.head.path("sky_workdir/from-the-job").read_text() == "kept\n"
    assert not docked.head.run("ls /etc/was-set-up 2>/dev/null", check=False)


def test_a_container_that_somebody_stopped_is_started_for_the_next_job(docked: Lab, home: Path) -> None:
    docked.head.run("docker stop --time 0 skyrig")
    with docked.entered():
        seen = asyncio.run(follow(docked.description("docked"), request("echo $OF_THE_IMAGE", 1)))
    assert (seen.code, seen.lines) == (0, ["yes"]), seen.said


def test_a_person_at_a_terminal_is_in_the_container_and_a_command_on_the_machine(docked: Lab) -> None:
    (node,) = docked.nodes
    if node.machine.user == "root":
        pytest.skip("people log in as ubuntu")

    known = ([node.host_key.convert_to_public()], [], [])

    async def scenario() -> tuple[str, str]:
        given = {"username": "ubuntu", "client_keys": [docked.key], "known_hosts": known}
        async with asyncssh.connect("10.7.0.2", **given) as client:
            shell = await client.run(None, term_type="xterm", input="echo $OF_THE_IMAGE-$HOME-$(id -u)\nexit\n")
            command = await client.run("echo $OF_THE_IMAGE-$HOME-$(id -u)")
        return str(shell.stdout), str(command.stdout)

    with docked.entered():
        shell, command = asyncio.run(scenario())
    assert f"yes-{HOME}-0" in shell, shell[-900:]
    assert command == f"-{HOME}-4242\n"


def test_an_image_that_jobs_cannot_use_is_told_at_the_boot(docked: Lab) -> None:
    node = docked.head
    node.run("printf 'FROM scratch\\n' >/mnt/Dockerfile; tar -C /mnt -c Dockerfile | docker import - empty:1")
    try:
        assert re.match("container: empty:1 does not run: .*sleep", with_container(node, "empty:1"))
    finally:
        assert with_container(node) == f"container: {IMAGE}"


def test_a_job_outlives_its_container_and_cancel_ends_all_of_it(docked: Lab, home: Path) -> None:
    async def scenario() -> Followed:
        seen = Followed()
        desc = docked.description("docked")
        job = asyncio.create_task(follow(desc, request(BUSY, 1), seen=seen))
        await until(lambda: len(docked.head.pids("sleep 4711")) == 3)
        docked.head.run("docker stop --time 0 skyrig")
        assert len(docked.head.pids("sleep 4711")) == 3
        assert len(await client.cancel(desc, None)) == 1
        return await job

    with docked.entered():
        seen = asyncio.run(scenario())
    assert seen.code == 128 + signal.SIGTERM
    assert not docked.head.pids("sleep 4711")
