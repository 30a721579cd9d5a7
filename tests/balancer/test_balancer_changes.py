"""Changes under load: what runs goes on, what comes is served, and what dies takes only its own requests along."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from attrs import evolve
from balancer_lab import Replica, asked, balancer, draining, free_port, frontage, load, replicas, until

from skyrig.errors import SkyrigError
from skyrig.serve.balancer import runtime
from skyrig.serve.balancer.balancer import Balancer
from skyrig.serve.balancer.frontage import Server
from skyrig.serve.spec import Tls

pytestmark = pytest.mark.usefixtures("haproxy")


async def family(folder: Path) -> runtime.Family:
    """The processes of the balancer in `folder`."""
    return runtime.family(await runtime.ask(pointed(folder) / "master.sock", "show proc"))


async def drained(it: Balancer, name: str) -> None:
    """Wait until nothing runs on the server `name`."""
    while await it.in_flight(name):
        pass


def pointed(folder: Path) -> Path:
    """Where its sockets lie."""
    return Path((folder / "sockets").read_text()) if (folder / "sockets").exists() else folder


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def test_draining_adding_and_removing_under_load_loses_nothing(two: list[Replica], tmp_path: Path) -> None:
    port = free_port()

    async def scenario() -> None:
        with replicas(2, first=3) as more:
            async with balancer(tmp_path / "b") as it:
                both = frontage(port, two)
                await it.be(both)
                before = await family(tmp_path / "b")
                with load(port) as seen:
                    for number in range(6):
                        leaving, extra = two[number % 2], more[number % 2]
                        await it.be(draining(frontage(port, [*two, extra]), leaving.name))
                        await drained(it, leaving.name)
                        count = seen.answered[leaving.name]
                        await it.be(frontage(port, [each for each in (*two, extra) if each is not leaving]))
                        had = seen.count
                        await until(lambda had=had: seen.count > had + 20)
                        assert seen.answered[leaving.name] <= count + 8  # those whose answers were on their way
                        await it.be(draining(frontage(port, [*two, extra]), extra.name))
                        await drained(it, extra.name)
                        await it.be(both)
                assert seen.failed == []
                assert set(seen.answered) == {"r1", "r2", "r3", "r4"}
                assert await family(tmp_path / "b") == before  # the same process all along

    asyncio.run(scenario())


def test_a_drained_server_finishes_what_it_runs_and_a_removed_one_does_not(tmp_path: Path) -> None:
    port = free_port()

    async def scenario() -> None:
        with replicas(2) as both:
            async with balancer(tmp_path / "b") as it:
                made = frontage(port, both, policy="round_robin")
                await it.be(made)
                held = [asyncio.create_task(asked(port, "/hold")) for _ in range(2)]
                while [await it.in_flight(each.name) for each in both] != [1, 1]:
                    assert not any(task.done() for task in held)
                await it.be(draining(made, "r1"))
                assert {(await asked(port)).json["name"] for _ in range(6)} == {"r2"}
                await it.be(frontage(port, both[:1], policy="round_robin"))
                await asked(both[0].port, "/release")
                replies = [await task for task in held]
                assert sorted(reply.status for reply in replies) == [200, 502]
                assert [reply.json["name"] for reply in replies if reply.status == 200] == ["r1"]
                assert (await asked(port)).json["name"] == "r1"  # READY again by the same step

    asyncio.run(scenario())


def test_a_reload_under_load_loses_nothing_and_counts_go_on(tmp_path: Path) -> None:
    port = free_port()

    async def scenario() -> None:
        with replicas(2) as both:
            async with balancer(tmp_path / "b") as it:
                made = frontage(port, both)
                await it.be(made)
                before = await family(tmp_path / "b")
                held = asyncio.create_task(asked(port, "/hold"))
                with load(port) as seen:
                    for timeout in (100.0, 101.0):
                        had = seen.count
                        await until(lambda had=had: seen.count > had + 50)
                        sums = (await it.measure()).total.requests
                        await it.be(evolve(made, entrance=evolve(made.entrance, stream_timeout_s=timeout)))
                after = await family(tmp_path / "b")
                assert seen.failed == [] and after.master == before.master and after.workers != before.workers
                in_old = [await it.in_flight(each.name) for each in both]
                assert sorted(in_old) == [0, 1]  # in the worker of the first configuration
                assert sums < (await it.measure()).total.requests <= seen.count + 1
                await asked(both[in_old.index(1)].port, "/release")
                assert (await held).status == 200

    asyncio.run(scenario())


def test_a_killed_replica_costs_the_requests_that_ran_on_it(two: list[Replica], tmp_path: Path) -> None:
    port = free_port()

    async def scenario() -> None:
        with replicas(2, first=3) as mortal:
            async with balancer(tmp_path / "b") as it:
                await it.be(frontage(port, [*two, *mortal]))
                with load(port, clients=12, path="/?ms=20") as seen:
                    await until(lambda: len(seen.answered) == 4)
                    for each in mortal:
                        each.kill()
                    had = seen.count
                    await until(lambda: seen.count > had + 200)
                assert 0 < len(seen.failed) <= 12, seen.failed  # no more than ran at that moment
                cut = ("502", "closed connection", "IncompleteRead")
                assert all(any(each in line for each in cut) for line in seen.failed), seen.failed
                assert (await it.measure()).servers["r3"].in_flight == 0

    asyncio.run(scenario())


def test_a_server_that_answers_no_more_is_out_within_seconds(two: list[Replica], tmp_path: Path) -> None:
    """As one whose node is gone: what is sent there is never acknowledged."""
    port = free_port()

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as silent, contextlib.ExitStack() as held:
            for _ in range(4):  # the queue of connections is full: the kernel passes over what more comes
                one = held.enter_context(socket.socket())
                one.setblocking(False)
                one.connect_ex(silent.getsockname())
            lost = Server("r9", f"127.0.0.1:{silent.getsockname()[1]}")
            async with balancer(tmp_path / "b") as it:
                await it.be(frontage(port, [*(each.server() for each in two), lost], policy="round_robin"))
                assert {(await asked(port)).status for _ in range(3)} == {200}
                began = time.monotonic()
                down = 'haproxy_server_status{proxy="replicas",server="r9",state="DOWN"} 1'
                while down not in await it.metrics():
                    assert {reply.status for reply in await asyncio.gather(*(asked(port) for _ in range(6)))} == {200}
                assert time.monotonic() - began < 5

    asyncio.run(scenario())


_PLAIN_USER = """
import os, sys
sys.path.insert(0, sys.argv[3])
import asyncio, balancer_lab
from pathlib import Path
from skyrig.errors import SkyrigError
from skyrig.serve.balancer.frontage import Frontage, Server
from skyrig.serve.spec import Entrance
async def scenario():
    async with balancer_lab.balancer(Path(sys.argv[1], "b")) as it:
        port = balancer_lab.free_port()
        await it.be(Frontage(Entrance(port=port), (Server("r1", sys.argv[2]),)))
        print((await balancer_lab.asked(port)).status, os.getuid(), (await it.measure()).total.requests)
        if os.getuid():
            try:
                await it.be(Frontage(Entrance(port=80), ()))
            except SkyrigError as error:
                print(error)
asyncio.run(scenario())  # as root, which may read all that Python still imports
os.setgid(65534)
os.setuid(65534)
asyncio.run(scenario())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_plain_user_has_a_balancer_above_the_low_ports(two: list[Replica], tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    os.chown(folder, 65534, 65534)
    try:
        words = [str(folder), f"127.0.0.1:{two[0].port}", str(Path(__file__).parent)]
        done = subprocess.run([sys.executable, "-c", _PLAIN_USER, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and list(folder.iterdir()) == [], done.stderr
        said = done.stdout.splitlines()
        assert said[:2] == ["200 0 1", "200 65534 1"]
        low = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
        assert low <= 80 or said[2].startswith(
            "port 80 cannot be opened for the endpoint: Permission denied (one below"
        )
    finally:
        shutil.rmtree(folder)


def test_a_killed_haproxy_comes_back_with_the_same_servers(two: list[Replica], tmp_path: Path) -> None:
    port = free_port()

    async def scenario() -> None:
        async with balancer(tmp_path / "b") as it:
            made = frontage(port, two[:1])
            await it.be(made)
            await it.be(frontage(port, two))  # without a reload, and on disk nevertheless
            await it.be(draining(frontage(port, two), "r1"))
            for victim in ("master", "workers"):
                found = await family(tmp_path / "b")
                os.kill(found.master if victim == "master" else found.workers[0], signal.SIGKILL)
                await until(lambda found=found: gone(found.master) and gone(found.workers[0]))
                assert (await it.measure()).servers == {} and await it.metrics() == ""
                await it.be(draining(frontage(port, two), "r1"))
                assert {(await asked(port)).json["name"] for _ in range(4)} == {"r2"}
            await it.be(frontage(port, two))  # r1's weight was 0 in the configuration that it was started with
            assert {(await asked(port)).json["name"] for _ in range(6)} == {"r1", "r2"}

    asyncio.run(scenario())


_STEWARD = """
import asyncio, os, signal, sys
from pathlib import Path
from skyrig.serve.balancer.balancer import Balancer
from skyrig.serve.balancer.frontage import Server
from skyrig.serve.spec import Tls
from skyrig.serve.balancer.frontage import Frontage, Server
from skyrig.serve.spec import Entrance
servers = tuple(Server(f"r{n}", f"127.0.0.1:{port}") for n, port in enumerate(sys.argv[3:], start=1))
asyncio.run(Balancer(Path(sys.argv[1])).be(Frontage(Entrance(port=int(sys.argv[2])), servers)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_new_steward_takes_over_what_a_killed_one_left(two: list[Replica], tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "a long name that brings sockets into a folder of their own" / "b"
    program = [sys.executable, "-c", _STEWARD, str(folder), str(port), str(two[0].port)]
    assert subprocess.run(program, check=False).returncode == -signal.SIGKILL

    async def scenario() -> None:
        async with balancer(folder) as it:
            before = await family(folder)
            with load(port) as seen:
                await it.be(frontage(port, two))
                await until(lambda: len(seen.answered) == 2)
            assert seen.failed == [] and await family(folder) == before
            assert pointed(folder) != folder and len(str(folder)) > 75
            assert (await it.measure()).total.p50_s
        assert gone(before.master) and not folder.exists() and not pointed_before.exists()

    pointed_before = pointed(folder)
    asyncio.run(scenario())


def test_what_haproxy_cannot_do_is_said_and_what_runs_goes_on(two: list[Replica], tmp_path: Path) -> None:
    port = free_port()

    async def scenario() -> None:
        taken = await asyncio.start_server(lambda *_: None, "0.0.0.0", 0)
        other = taken.sockets[0].getsockname()[1]
        async with taken, balancer(tmp_path / "b") as it, balancer(tmp_path / "c") as second:
            with pytest.raises(SkyrigError, match=f"port {other} cannot be opened"):
                await second.be(frontage(other, two))
            await it.be(frontage(port, two))
            before = await family(tmp_path / "b")
            with load(port) as seen:
                with pytest.raises(SkyrigError, match=f"port {other} cannot be opened"):
                    await it.be(frontage(other, two))
                broken = "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n"
                with pytest.raises(SkyrigError, match="HAProxy refuses"):
                    await it.be(evolve(frontage(port, two, tls=Tls.FILE), pem=broken))
                with pytest.raises(SkyrigError, match=r"r9, no-such-host\.invalid, cannot be found"):
                    await it.be(frontage(port, [*two, Server("r9", "no-such-host.invalid:80")]))
                await it.be(frontage(port, two))
                had = seen.count
                await until(lambda: seen.count > had)
            assert seen.failed == [] and await family(tmp_path / "b") == before

    asyncio.run(scenario())


def test_a_stop_leaves_nothing_also_of_one_that_hangs(two: list[Replica], pem: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        it = Balancer(tmp_path / "b")
        await it.stop()  # nothing is there
        await it.be(evolve(frontage(free_port(), two, keys=("0" * 64,), tls=Tls.FILE), pem=pem))
        found = await family(tmp_path / "b")
        for pid in (found.master, *found.workers):
            os.kill(pid, signal.SIGSTOP)
        await Balancer(tmp_path / "b").stop()
        assert await it.in_flight("r1") == 0 and (await it.measure()).servers == {} and await it.metrics() == ""
        assert gone(found.master) and gone(found.workers[0]) and list(tmp_path.iterdir()) == []

    asyncio.run(scenario())
