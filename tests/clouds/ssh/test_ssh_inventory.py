"""What is listed, in both forms, and what is wrong with it; and what machines are called by what they have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from skyrig.clouds import cloud as clouds
from skyrig.clouds.ssh import door, inventory, kinds, leases, looking, skypilot, stock, ways
from skyrig.clouds.ssh.kinds import Kind
from skyrig.errors import BadInput, HostKeyMismatch, Unreachable
from skyrig.fleet.ssh import asyncssh
from skyrig.fleet.target import Target
from skyrig.task import infra

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIElemeEZkahUXwd1oweksywFksaOedaeYQxsQrylsWMV"

OWN = f"""\
name: lab
pools:
  gpus:
    user: ada
    identity_file: ~/key
    machines:
      big:
        host: gpu.example.org
        port: 2222
        host_key: {HOST_KEY} root@big
        address: 10.0.0.1
        internal_port: 22
        accelerators: H100:8
        labels: {{rack: 3}}
      small:
        host: 10.0.0.2
        jump: door
        user: bob
    gates:
      door:
        host: door.example.org
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes Skyrig's own inventory, or SkyPilot's, into a home of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SKYRIG_HOME", str(tmp_path / "skyrig"))
    monkeypatch.delenv(inventory.FILE, raising=False)

    def put(text: str, *, skypilots: bool = False) -> Path:
        file = inventory.skypilots_file() if skypilots else inventory.own_file()
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    return put


def test_nothing_is_listed(write: Write) -> None:
    assert inventory.read().pools == ()
    assert "ssh.yaml does not exist" in clouds.of("ssh").missing()


def test_own_form(write: Write) -> None:
    write(OWN)
    found = inventory.read()
    [pool] = found.pools
    big, small = pool.machines
    assert (found.name, pool.region, clouds.of("ssh").account("")) == ("lab", "ssh-gpus", "lab")
    assert (big.user, big.port, big.host_key, big.accelerator, big.count) == ("ada", 2222, HOST_KEY, "H100", 8)
    assert (small.user, small.jump, small.identity_file, small.labels) == ("bob", "door", "~/key", {})
    settled = inventory.settled(big, "me")
    assert (settled.address, settled.internal_port) == ("10.0.0.1", 22)
    assert [gate.name for gate in pool.gates] == ["door"] and clouds.of("ssh").missing() == ""
    assert infra.parse("ssh/gpus").region == pool.region


def test_all_that_is_wrong_is_told_with_its_line(write: Write) -> None:
    file = write(
        OWN.replace("port: 2222", "port: many").replace("jump: door", "jump: doro").replace("H100:8", "8xH100:x")
    )
    with pytest.raises(BadInput) as wrong:
        inventory.read()
    told = wrong.value.message.splitlines()
    assert [line.partition(": ")[0] for line in told] == [f"{file}:9:9", f"{file}:13:9", f"{file}:15:7"]
    assert "a whole number is wanted" in told[0] and "NAME:COUNT" in told[1] and "'doro' is neither" in told[2]
    assert clouds.of("ssh").missing() == told[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pools: {a: {machines: {m: {host: x, jump: n}, n: {host: y, jump: m}}}}", "m -> n -> m is a ring"),
        ("pools: {a: {machines: {m: {port: 3}}}}", "host is wanted"),
        ("pools: {a: {}}", "machines are wanted"),
        ("pools: {a b: {machines: {m: {host: x}}}}", "'a b' is no name"),
        ("pools: {a: {machines: {m: {host: x, hostkey: y}}}}", "did you mean host_key?"),
        ("pools: {a: {machines: {m: {host: x}}, gates: {m: {host: y}}}}", "m is a machine and a gate"),
        (
            "pools: {a: {machines: {m: {host: x, jump: u}, n: {host: y, jump: v}}}}",
            "'u' is neither(.|\n)*'v' is neither",
        ),
        ("pools: {a: {machines: {m: {host: x}, n: {host: x, user: bob}, o: {host: x}}}}", "x:22 is m already"),
        ("pools: {a: {machines: {m: {host: '10.0.0.1:2222'}}}}", "`port` is a field of its own"),
        ("pools: {a: {machines: {m: {host: 'gpu[01-10].lab'}}}}", "one, and nothing beside it"),
        ("pools: {a: {machines: {m: {host: 10.0.0.1-10.0.0.9..x}}}}", "one, and nothing beside it"),
        ("pools: {a: {machines: {m: {host: -oProxyCommand=x}}}}", "one, and nothing beside it"),
    ],
)
def test_what_cannot_be(write: Write, text: str, said: str) -> None:
    write(text)
    with pytest.raises(BadInput, match=said):
        inventory.read()


def test_skypilots_form(write: Write) -> None:
    write(
        "gpus:\n  user: ada\n  hosts:\n    - 10.1.1.1\n    - ip: 10.1.1.2\n      user: bob\n      identity_file: ~/b\n",
        skypilots=True,
    )
    [pool] = inventory.read().pools
    assert [(each.name, each.host, each.user) for each in pool.machines] == [
        ("10.1.1.1", "10.1.1.1", "ada"),
        ("10.1.1.2", "10.1.1.2", "bob"),
    ]
    assert pool.machines[1].identity_file == "~/b"


@pytest.mark.parametrize(
    ("said", "jump"),
    [
        ("proxyjump ada@[10.9.9.9]:2222", ("10.9.9.9", 2222, "ada")),
        ("proxyjump [2001:db8::1]", ("2001:db8::1", 22, "")),
        ("proxyjump door.lab:23", ("door.lab", 23, "")),
        ("proxyjump one,two", "goes through one ProxyJump alone"),
        ("proxycommand nc %h %p", "runs no ProxyCommand"),
    ],
)
def test_what_openssh_makes_of_a_name(
    write: Write, monkeypatch: pytest.MonkeyPatch, said: str, jump: tuple[str, int, str] | str
) -> None:
    key, _, value = said.partition(" ")
    monkeypatch.setattr(skypilot, "_openssh", lambda host: {key: value} if host == "far" else {})
    write("gpus:\n  hosts: [far]\n", skypilots=True)
    if isinstance(jump, str):
        with pytest.raises(BadInput, match=jump):
            inventory.read()
        return
    [pool] = inventory.read().pools
    [gate] = pool.gates
    assert (gate.host, gate.port, gate.user) == jump and pool.machines[0].jump == gate.name


def test_addresses_of_ipv6_and_names_as_the_catalog_has_them(write: Write, tmp_path: Path) -> None:
    write(OWN.replace("10.0.0.2", "'[2001:db8::2]'").replace("H100:8", "a100-80gb:8"))
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(tmp_path / "key"))
    [pool] = inventory.read().pools
    big, small = pool.machines
    assert (small.host, big.accelerator, big.count) == ("2001:db8::2", "A100-80GB", 8)
    (tmp_path / ".ssh").mkdir()
    known = tmp_path / ".ssh" / "known_hosts"
    known.write_text(f"door.example.org {HOST_KEY}\n2001:db8::2 {HOST_KEY}\n")
    assert ways.to(pool, small).place == "[2001:db8::2]:22" and ways.to(pool, big).place == "gpu.example.org:2222"
    known.write_text(f"2001:db8::2 {HOST_KEY}\n@revoked 2001:db8::2 {HOST_KEY}\n")
    with pytest.raises(BadInput, match="the host key of gpus/small is not known"):
        ways.to(pool, small)


def test_a_gate_is_entered_once_whoever_is_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """sshd lets few in at once (MaxStartups)."""
    opened: list[str] = []

    async def connect(target: Target, *_: object, **__: object) -> object:
        opened.append(target.id)
        raise Unreachable("away", node_id=target.id)

    gate = ways.Way("p", "door", Target("door", "d", 22, "u", HOST_KEY), "", "d", 22)
    behind = [ways.Way("p", f"m{n}", Target(f"m{n}", "m", 22, "u", HOST_KEY), "", "m", 22, gate) for n in range(5)]
    monkeypatch.setattr(door, "connect", connect)
    monkeypatch.setattr(ways.Way, "credentials", lambda _: None)
    found = door.asked([(way, {"verb": "look"}) for way in behind])
    assert opened == ["door"] and len(found) == 5


def test_own_form_comes_before_skypilots(write: Write) -> None:
    write(OWN)
    write("gpus:\n  hosts: [10.1.1.1]\nmore:\n  hosts: [10.1.1.2]\n", skypilots=True)
    assert {pool.name: len(pool.machines) for pool in inventory.read().pools} == {"gpus": 2, "more": 1}


def test_passwords_are_refused(write: Write) -> None:
    write("gpus:\n  password: secret\n  hosts: [10.1.1.1]\n", skypilots=True)
    with pytest.raises(BadInput, match=r"yaml:2:3: gpus\.password: Skyrig never logs in with a password"):
        inventory.read()


def test_a_host_key_that_nobody_knows_is_refused(write: Write, tmp_path: Path) -> None:
    file = write(OWN)
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(tmp_path / "key"))
    [pool] = inventory.read().pools
    with pytest.raises(BadInput, match="the host key of gpus/door is not known") as refused:
        ways.to(pool, pool.way("door"))
    assert "ssh-keyscan door.example.org" in str(refused.value) and f"{file}:20" in str(refused.value)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"door.example.org {HOST_KEY}\n10.0.0.2 {HOST_KEY}\n")
    way = ways.to(pool, pool.way("small"))
    assert way.before is not None and way.before.target.host_key == way.target.host_key == HOST_KEY
    assert ways.from_json(way.to_json()) == way


def test_a_machine_without_a_key_to_log_in_with_is_refused(write: Write) -> None:
    write(OWN)
    [pool] = inventory.read().pools
    with pytest.raises(BadInput, match="~/key is not there"):
        ways.to(pool, pool.way("big"))
    write(OWN.replace("    identity_file: ~/key\n", ""))
    [pool] = inventory.read().pools
    with pytest.raises(BadInput, match="has none of id_ed25519, id_ecdsa, id_rsa, so there is nothing"):
        ways.to(pool, pool.way("big"))


def test_a_machine_that_will_not_have_us_is_none_that_is_away(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("pools: {all: {machines: {m: {host: x}, n: {host: y}, o: {host: z}}}}")
    refused = Unreachable("refuses the cluster's key", node_id="n")
    refused.__cause__ = asyncssh.PermissionDenied("no")
    errors = {
        "m": HostKeyMismatch("has another host key"),
        "n": refused,
        "o": Unreachable("does not answer", node_id="o", hint="`status` shows it"),
    }

    def at(pools: list[inventory.Pool], **_: object) -> list[looking.Seen]:
        listed = [each for pool in pools for each in pool.machines]
        way = {m.name: ways.Way("all", m.name, Target(m.name, m.host, 2222, "ada", ""), "/k", "", 22) for m in listed}
        return [looking.Seen(each, way[each.name], None, errors[each.name]) for each in listed]

    monkeypatch.setattr(looking, "at", at)
    _, m, n, o, _ = clouds.of("ssh").check("", None)
    assert (m.ok, n.ok, o.ok) == (False, False, None) and o.said == "does not answer"
    assert "mend host_key in" in m.said and "does `ssh -i /k -p 2222 ada@y` log in?" in n.said


def test_a_lease_of_a_machine_in_two_pools_is_told_once(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("pools: {all: {machines: {m: {host: x}}}, gpus: {machines: {n: {host: x}}}}")
    lease = {"id": "l", "stack": "dev", "node": "n0", "owner": "ada", "since": 1.0, "pool": "gpus", "home": "h"}
    said = {"lease": lease, "gates": []}
    listed = [each for pool in inventory.read().pools for each in pool.machines]
    monkeypatch.setattr(looking, "at", lambda *_, **__: [looking.Seen(each, None, said) for each in listed])
    [stack] = leases.tagged(None).stacks
    assert (stack.region, [each.id for each in stack.left]) == ("ssh-gpus", ["gpus/n l"])


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("NVIDIA H100 80GB HBM3, 81559", "H100"),
        ("NVIDIA A100-SXM4-80GB, 81920", "A100-80GB"),
        ("NVIDIA A100-SXM4-40GB, 40960", "A100"),
        ("Tesla V100-SXM2-32GB, 32768", "V100-32GB"),
        ("Tesla T4, 15360", "T4"),
        ("NVIDIA L40S, 46068", "L40S"),
        ("NVIDIA GeForce RTX 4090, 24564", "RTX4090"),
        ("NVIDIA RTX 6000 Ada Generation, 49140", "RTX6000-Ada"),
        ("NVIDIA RTX A6000, 49140", "RTXA6000"),
        ("NVIDIA Titan Z9, 1", "Titan-Z9"),
    ],
)
def test_what_a_driver_calls_an_accelerator(line: str, name: str) -> None:
    assert kinds.accelerator(line) == name


def test_a_type_is_what_a_machine_has() -> None:
    whole = Kind(16, 64, "H100", 8)
    assert whole.name == "16CPU--64GB--H100:8" and kinds.named(whole.name) == whole
    plain = Kind(4, 15, arch="arm64")
    assert plain.name == "4CPU--15GB--arm64" and kinds.named(plain.name) == plain
    assert kinds.named("m6i.large") is None
    assert Kind(32, 128, "H100", 8).holds(whole) and not whole.holds(Kind(32, 64, "H100", 8))
    assert not Kind(32, 128, "H100", 4).holds(whole) and not Kind(32, 128).holds(whole)


def test_machines_that_are_alike_are_one_offer_of_their_pool(write: Write) -> None:
    write(OWN.replace("        jump: door\n", "        jump: door\n        accelerators: H100:8\n"))
    seen = {"cpus": 16, "memory_gib": 64.3, "gpus": [], "arch": "x86_64"}
    found = stock.offered(inventory.read(), {"gpus/big": seen, "gpus/small": {**seen, "memory_gib": 64.9}})
    [row] = found.rows
    assert (row.region, row.instance_type, row.accelerator, row.on_demand) == (
        "ssh-gpus",
        "16CPU--64GB--H100:8",
        "H100",
        0,
    )
    assert found.types["16CPU--64GB--H100:8"]["accelerator_count"] == 8
