"""One command on many OpenSSH servers: the fleet beside plain asyncssh, pdsh and clush, in interleaved rounds.

Host keys are verified by all. The command writes to both streams and ends with 3; rounds of ours and of plain asyncssh
count only if all of that came back from every server. pdsh and clush, which mix the exit codes, are checked for their
output.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import asyncssh

from bench.figures import Figures
from bench.servers import Farm, farm
from skyrig.fleet.fanout import run_all
from skyrig.fleet.pool import Pool

COMMAND = "echo out; echo err >&2; exit 3"


def measure(count: int, rounds: int) -> list[Figures]:
    """Cold (connections are opened) and warm (they are open) rounds over `count` servers."""
    with tempfile.TemporaryDirectory(prefix="skyrig-bench-") as name:
        Path(name).chmod(0o755)
        with farm(count, Path(name)) as servers:
            return asyncio.run(_rounds(servers, rounds))


async def _rounds(servers: Farm, rounds: int) -> list[Figures]:
    count = len(servers.targets)
    cold = Figures(f"one command on {count} OpenSSH servers, connections opened", "plain asyncssh")
    warm = Figures(f"one command on {count} OpenSSH servers, connections open", "plain asyncssh")
    for name in _PEERS:
        if shutil.which(name) is None:
            cold.notes.append(f"{name} is not installed: left out")
    plain = _Plain(servers)
    async with Pool(servers.key) as pool:
        connections = await asyncio.gather(*(plain.connect(at) for at in range(count)))
        await _fleet(pool, servers)
        for _ in range(rounds):
            with cold.timed("plain asyncssh"):
                await plain.cold()
            with cold.timed("skyrig fleet"):
                async with Pool(servers.key) as fresh:
                    await _fleet(fresh, servers)
            for name in filter(shutil.which, _PEERS):
                with cold.timed(name):
                    await asyncio.to_thread(_peer, _PEERS[name], servers)
            with warm.timed("plain asyncssh"):
                await asyncio.gather(*(plain.ask(connection) for connection in connections))
            with warm.timed("skyrig fleet"):
                await _fleet(pool, servers)
        for connection in connections:
            connection.abort()
    return [cold, warm]


class _Plain:
    """The shortest correct asyncssh program: connect and run, gathered."""

    def __init__(self, servers: Farm) -> None:
        self._targets = servers.targets
        self._key = asyncssh.import_private_key(servers.key.private_key)
        lines = (f"[{target.host}]:{target.port} {target.host_key}\n" for target in servers.targets)
        self._known = asyncssh.import_known_hosts("".join(lines))

    async def connect(self, at: int) -> asyncssh.SSHClientConnection:
        target = self._targets[at]
        return await asyncssh.connect(
            target.host,
            target.port,
            username=target.user,
            client_keys=[self._key],
            known_hosts=self._known,
            config=None,
            agent_path=None,
        )

    async def ask(self, connection: asyncssh.SSHClientConnection) -> None:
        done = await connection.run(COMMAND)
        assert (done.exit_status, done.stdout, done.stderr) == (3, "out\n", "err\n")

    async def cold(self) -> None:
        async def one(at: int) -> None:
            async with await self.connect(at) as connection:
                await self.ask(connection)

        await asyncio.gather(*(one(at) for at in range(len(self._targets))))


async def _fleet(pool: Pool, servers: Farm) -> None:
    for result in (await run_all(pool, servers.targets, COMMAND)).values():
        assert (result.code, result.stdout, result.stderr) == (3, b"out\n", b"err\n")


_PEERS: dict[str, Sequence[str]] = {
    "pdsh": ("env", "PDSH_SSH_ARGS_APPEND=-F {config}", "pdsh", "-R", "ssh", "-f", "{count}", "-w", "{names}", COMMAND),
    "clush": ("clush", "-q", "-f", "{count}", "-o", "-F {config}", "-w", "{names}", COMMAND),
}


def _peer(command: Sequence[str], servers: Farm) -> None:
    names = ",".join(target.id for target in servers.targets)
    words = {"config": str(servers.ssh_config), "count": str(len(servers.targets)), "names": names}
    done = subprocess.run([word.format(**words) for word in command], capture_output=True, text=True, check=False)
    said = sorted(line for line in done.stdout.splitlines() if line)
    assert said == sorted(f"{target.id}: out" for target in servers.targets), done.stdout + done.stderr
