"""The workdir on more nodes than one sends to: real servers, real ssh between them, relays that break."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from attrs import evolve
from fleet_servers import SSHD, Keys, Sshd, public
from fleet_trees import Bench, Tree, file, read_tree
from test_spread import PYTHON

from skyrig.errors import NodeLost
from skyrig.fleet import spread as spread_module
from skyrig.fleet.blobs import stored_frames
from skyrig.fleet.content import BlobStore, Manifest
from skyrig.fleet.pool import Pool
from skyrig.fleet.progress import Meter, Progress, Report
from skyrig.fleet.receiver import Changes
from skyrig.fleet.spread import FLAT_NODES, Load, Outcome, Route, routes, spread
from skyrig.fleet.target import Target

NODES = 20
RELAYS = 5

pytestmark = pytest.mark.skipif(SSHD is None, reason="no sshd on this machine (Debian: openssh-server)")


class Nodes:
    """A store, and servers that are nodes with a home each, from which every other one is reached by its id."""

    def __init__(self, keys: Keys, folder: Path, stack: ExitStack) -> None:
        self.bench = Bench(folder / "head")
        self.servers: dict[str, Sshd] = {}
        for number in range(NODES):
            server = self.servers[f"n{number}"] = Sshd(keys, folder / f"n{number}")
            stack.callback(server.stop)
        self.targets = [evolve(server.target, id=node) for node, server in self.servers.items()]
        for home in (server.folder for server in self.servers.values()):
            ssh = home / ".skyrig" / "ssh"
            ssh.mkdir(parents=True)
            keys.client.write_private_key(str(ssh / "id"))
            (ssh / "id").chmod(0o600)
            (ssh / "known_hosts").write_text("".join(f"skyrig-{node} {public(keys.host)}\n" for node in self.servers))
            (ssh / "config").write_text("".join(_stanza(target, ssh) for target in self.targets))

    async def spread(self, pool: Pool, manifest: Manifest, report: Report | None = None) -> dict[str, Outcome]:
        """The manifest to all of them, by relays however small it is."""
        planned = routes(self.targets, 1 << 40)
        return await spread(
            pool, self.targets, self.bench.store, [Load(manifest)], python=PYTHON, report=report, planned=planned
        )

    def there(self, node: str) -> Tree:
        """The node's workdir."""
        return read_tree(self.servers[node].folder / "sky_workdir")


def _stanza(target: Target, ssh: Path) -> str:
    return (
        f"Host {target.id}\n  HostName {target.host}\n  Port {target.port}\n  User {target.user}\n"
        f"  IdentityFile {ssh}/id\n  HostKeyAlias skyrig-{target.id}\n"
        f"  UserKnownHostsFile {ssh}/known_hosts\n  StrictHostKeyChecking yes\n"
    )


@pytest.fixture(scope="module")
def nodes(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with ExitStack() as stack:
        yield Nodes(keys, tmp_path_factory.mktemp("tree"), stack)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the head itself sends each content."""
    counted: Counter[str] = Counter()

    def counting(store: BlobStore, shas: Iterable[str], meter: Meter) -> Iterator[bytes]:
        shas = list(shas)
        counted.update(shas)
        return stored_frames(store, shas, meter)

    monkeypatch.setattr(spread_module, "stored_frames", counting)
    return counted


@asynccontextmanager
async def pool_of(keys: Keys) -> AsyncIterator[Pool]:
    async with Pool(keys.credentials, deadline_s=10) as pool:
        yield pool


def test_each_content_leaves_the_head_once_for_every_relay(nodes: Nodes, keys: Keys, sent: Counter[str]) -> None:
    """And every node holds the right bytes; later only what changed travels, and a node that lost a file has it back
    out of what its relay holds."""
    tree: Tree = {f"d/f{number}": file(os.urandom(50_000)) for number in range(10)} | {"run.sh": file(b"#!", 0o755)}
    told: list[Progress] = []

    async def scenario() -> None:
        manifest = nodes.bench.manifest(tree)
        async with pool_of(keys) as pool:
            ends = await nodes.spread(pool, manifest, report=told.append)
            assert ends == {node: Changes(11, 0, 0) for node in nodes.servers}
            assert set(sent.values()) == {RELAYS}
            assert told == [] or told[-1].files == told[-1].of_files == 11 * NODES
            for node in nodes.servers:
                there = nodes.there(node)
                assert {key: thing for key, thing in there.items() if thing.data is not None} == tree
            sent.clear()
            child = nodes.servers[f"n{RELAYS}"].folder / "sky_workdir"
            (child / "d/f3").unlink()
            changed = nodes.bench.manifest(tree | {"run.sh": file(b"#!2", 0o755)})
            ends = await nodes.spread(pool, changed)
            assert ends[f"n{RELAYS}"] == Changes(2, 0, 9)
            assert list(sent.values()) == [RELAYS]
            assert (child / "d/f3").read_bytes() == tree["d/f3"].data

    asyncio.run(asyncio.wait_for(scenario(), 120))


def test_what_a_relay_does_not_bring_comes_from_the_head(nodes: Nodes, keys: Keys, sent: Counter[str]) -> None:
    """One relay dies while it receives, one knows none of its children: all other nodes end right, and say how."""
    tree: Tree = {f"g{number}": file(os.urandom(400_000)) for number in range(10)}
    deaf = nodes.servers["n1"].folder / ".skyrig/ssh/config"

    async def scenario() -> dict[str, Outcome]:
        manifest = nodes.bench.manifest(tree)
        config = deaf.read_text()
        deaf.write_text("")
        async with pool_of(keys) as pool:
            task = asyncio.create_task(nodes.spread(pool, manifest))
            incoming = nodes.servers["n0"].folder / ".skyrig/incoming"
            while not any(incoming.glob("*/*")):  # noqa: ASYNC110 - it is another process that writes
                await asyncio.sleep(0.002)
            nodes.servers["n0"].stop()
            ends = await task
        deaf.write_text(config)
        assert nodes.servers["n0"].start()
        return ends

    ends = asyncio.run(asyncio.wait_for(scenario(), 120))
    assert isinstance(ends.pop("n0"), NodeLost)
    for node, end in ends.items():
        assert isinstance(end, Changes), end
        number = int(node[1:])
        if number < RELAYS or number % RELAYS > 1:
            assert end.note == ""
        elif number % RELAYS == 1:
            assert end.note.startswith("sent by the head, not through n1: ")
            assert "n1" in end.note
        there = nodes.there(node)
        assert {key: thing for key, thing in there.items() if key in tree} == tree


def test_who_sends_to_whom() -> None:
    """Few nodes or few bytes: the head to all. Else nobody sends more than about sqrt(N) times."""
    targets = [Target(f"n{number}", "h", 1, "u", "k") for number in range(256)]
    large = 1 << 30
    assert routes(targets[:FLAT_NODES], large) == [Route(target) for target in targets[:FLAT_NODES]]
    assert routes(targets, 1000) == [Route(target) for target in targets]
    for count in (17, 20, 32, 100, 256):
        planned = routes(targets[:count], large)
        reached = [route.target.id for route in planned] + [child.id for route in planned for child in route.children]
        assert sorted(reached) == sorted(target.id for target in targets[:count])
        assert max(len(planned), *(len(route.children) for route in planned)) <= count**0.5 + 1
