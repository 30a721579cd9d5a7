"""The fault kit itself: every fault bites, and is undone, also when its block fails or hangs."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from user import User, until

from faults.cut import Cut, Direction
from faults.fill import Full, NoDiskOfItsOwn, SmallDisk
from faults.kill import Frozen, Killed, send
from faults.node import FaultyNode, about, descendants
from faults.plan import WEIGHTS, FaultPlan
from faults.skew import Skewed
from faults.slow import Relay, Slow

pytestmark = pytest.mark.e2e

LISTEN = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 0))
s.settimeout(0.5)
print(s.getsockname()[1], flush=True)
try:
    print(s.recv(99).decode())
except TimeoutError:
    print("nothing")
"""


TAKE = """
import socket, sys, time
s = socket.create_server((sys.argv[1], 0))
print(s.getsockname()[1], flush=True)
c, begun = s.accept()[0], time.monotonic()
while c.recv(1 << 16):
    pass
print(time.monotonic() - begun)
"""


def listening(node: FaultyNode, program: str) -> subprocess.Popen[str]:
    """A program in the network of a node, which is given the node's address."""
    assert node.server is not None
    words = ["nsenter", "-t", str(node.server.pid), "-n", "python3", "-c", program, node.address]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def arrives(sender: FaultyNode, receiver: FaultyNode) -> bool:
    """Whether a packet from one node comes to the other: one way, nobody has to answer."""
    with listening(receiver, LISTEN) as hearing:
        assert hearing.stdout is not None
        port = hearing.stdout.readline().strip()
        sender.run("bash", "-c", f"echo hello >/dev/udp/{receiver.address}/{port}", spaces="n", check=False)
        return hearing.stdout.read().strip() == "hello"


def seconds_for_a_mebibyte(sender: FaultyNode, receiver: FaultyNode) -> float:
    """How long it is on its way over TCP."""
    with listening(receiver, TAKE) as taking:
        assert taking.stdout is not None
        port = taking.stdout.readline().strip()
        sender.run("bash", "-c", f"head -c 1048576 /dev/zero >/dev/tcp/{receiver.address}/{port}", spaces="n")
        return float(taking.stdout.read())


@pytest.mark.parametrize(("way", "out", "back"), [("both", False, False), ("out", False, True), ("in", True, False)])
def test_a_cut_loses_what_it_says_and_heals(nodes: list[FaultyNode], way: Direction, out: bool, back: bool) -> None:
    one, two, three = nodes
    with Cut(one, [two], way):
        assert (arrives(one, two), arrives(two, one)) == (out, back)
        assert arrives(one, three)
        assert arrives(three, two)
    assert arrives(one, two)
    assert arrives(two, one)


def test_a_fault_ends_with_a_failing_block_and_with_its_time(nodes: list[FaultyNode]) -> None:
    one, two, _ = nodes
    with pytest.raises(ZeroDivisionError), Cut(one, [two]):
        raise ZeroDivisionError
    assert arrives(one, two)
    bounded = Cut(one, [two])
    bounded.limit_s = 0.2
    bounded.do()
    until(lambda: arrives(one, two), "the cut has ended by itself", 90)
    bounded.undo()


def test_a_slow_node_sends_slowly(nodes: list[FaultyNode]) -> None:
    _, one, two = nodes
    with Slow(one, 8_000_000):
        assert seconds_for_a_mebibyte(one, two) > 0.7
    assert seconds_for_a_mebibyte(one, two) < 0.7


def test_a_relay_delays_stalls_and_drops() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with Relay("127.0.0.1", server.getsockname()[1], delay_s=0.3) as relay:
            client = socket.create_connection(("127.0.0.1", relay.port), 5)
            far = server.accept()[0]
            begun = time.monotonic()
            client.sendall(b"slow")
            far.settimeout(5)
            assert far.recv(9) == b"slow"
            assert 0.3 <= time.monotonic() - begun < 3
            relay.stall()
            client.sendall(b"held")
            far.settimeout(0.7)
            with pytest.raises(TimeoutError):
                far.recv(9)
            relay.resume()
            far.settimeout(5)
            assert far.recv(9) == b"held"
            relay.drop()
            client.settimeout(5)
            with suppress(ConnectionError):
                assert client.recv(9) == b"", "the connection broke"
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", relay.port), 1)


def test_a_frozen_process_stands_still_and_goes_on(nodes: list[FaultyNode]) -> None:
    server = nodes[2].server
    assert server is not None
    with Frozen(server):
        until(lambda: server.state == "T", "the server stands still")
    until(lambda: server.state == "S", "the server goes on")


def test_kills_hit_who_was_meant(user: User, nodes: list[FaultyNode]) -> None:
    user.run("queue", "-c", user.stack)  # starts the keeper
    head = nodes[0]
    watch, keeper = head.watch(), head.keeper()
    assert watch is not None and keeper is not None and keeper.parent == watch.pid
    Killed(keeper).do()
    until(lambda: not keeper.alive, "the keeper is dead")
    until(lambda: head.keeper() not in (None, keeper), "the watch has brought another one")
    assert head.watch() == watch
    assert not send(keeper, 9), "a pid that is another process's now is left alone"
    assert head.server is not None and watch in descendants(head.server.pid)
    assert nodes[1].keeper() is None


def test_processes_of_a_job_are_found_by_what_they_are(user: User, nodes: list[FaultyNode], tmp_path: Path) -> None:
    task = tmp_path / "sleep.yaml"
    task.write_text("num_nodes: 2\nrun: exec sleep 300\n")
    user.run("exec", str(task), "-c", user.stack, "-d")
    node = nodes[1]
    until(lambda: any("300" in process.argv for process in node.ranks()), "the job runs")
    (daemon,), (warden,) = node.daemons(), node.wardens()
    assert warden.parent == daemon.pid
    assert all(process in descendants(warden.pid) for process in node.ranks())
    assert (about(daemon.pid), daemon.inner < daemon.pid) == (daemon, True)
    user.run("cancel", "-c", user.stack, "--all")
    until(lambda: not node.ranks() and not node.daemons(), "nothing of the job is left")


def test_a_full_disk_is_full_and_free_again(nodes: list[FaultyNode]) -> None:
    node = nodes[1]
    folder = node.home / "small"
    write = f"echo x > {folder}/x && cat {folder}/x"
    folder.mkdir()
    with pytest.raises(NoDiskOfItsOwn), Full(node, folder):
        pass
    with SmallDisk(node, folder, 1 << 20):
        with Full(node, folder):
            assert node.run("bash", "-c", write, check=False) == ""
        assert node.run("bash", "-c", write) == "x\n"
    assert node.run("ls", str(folder)) == "", "it never lay on the disk below, which is there again"


def test_a_skewed_clock_jumps_for_new_programs_of_the_node_alone(nodes: list[FaultyNode]) -> None:
    node, other = nodes[1], nodes[2]

    def ahead(where: FaultyNode) -> int:
        told = where.run("python3", "-c", "import time; print(time.time())")
        return round(float(told) - time.time(), -2)  # type: ignore[return-value]

    with Skewed(node, 3600) as clock:
        assert (ahead(node), ahead(other)) == (3600, 0)
        clock.jump(-86400)
        assert ahead(node) == -86400
        assert abs(float(node.run("date", "+%s")) - time.time() + 86400) < 100
    assert ahead(node) == 0
    assert not Path("/etc/ld.so.preload").exists() or "skew" not in Path("/etc/ld.so.preload").read_text()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**9), count=st.integers(1, 60), length=st.floats(1, 2000))
def test_a_plan_is_its_seeds_and_survives_its_json(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, length: float
) -> None:
    nodes = ["n0", "n1", "n2"]
    plan = FaultPlan.random(seed, count, length, nodes)
    assert plan == FaultPlan.random(seed, count, length, nodes)
    file = tmp_path_factory.mktemp("plan") / "plan.json"
    file.write_text(plan.as_json())
    assert FaultPlan.read(file) == plan
    assert len(plan.faults) == count
    assert all(
        0 <= fault.at <= length + 0.01 and fault.node in nodes and fault.kind in WEIGHTS for fault in plan.faults
    )
