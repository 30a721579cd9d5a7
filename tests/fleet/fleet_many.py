"""Many small SSH servers in one process, and a fan-out to them in another: `serve COUNT` and `fan-out`, as programs.

`serve` reads the host's and the client's key (JSON), prints its ports, and ends with its input. `fan-out` reads the
client's key and targets, and prints seconds and memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import asyncssh

from skyrig.fleet import descriptors
from skyrig.fleet.connection import Credentials
from skyrig.fleet.fanout import run_all
from skyrig.fleet.pool import Pool
from skyrig.fleet.target import Target


def resident() -> int:
    """Memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def serve(count: int, given: dict[str, str]) -> None:
    """Servers that answer every command with two lines and exit code 3."""

    async def answer(process: asyncssh.SSHServerProcess[str]) -> None:
        process.stdout.write("out\n")
        process.stderr.write("err\n")
        process.exit(3)

    servers = [
        await asyncssh.listen(
            "127.0.0.1",
            0,
            process_factory=answer,
            server_host_keys=[asyncssh.import_private_key(given["host"])],
            authorized_client_keys=asyncssh.import_authorized_keys(given["client"]),
        )
        for _ in range(count)
    ]
    print(json.dumps([server.get_port() for server in servers]), flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def fan_out(key: str, targets: list[Target]) -> dict[str, Any]:
    """Two rounds over all targets with one pool."""
    seconds, before = [], resident()
    async with Pool(Credentials(key)) as pool:
        for _ in range(2):
            started = time.monotonic()
            results = await run_all(pool, targets, "any")
            seconds.append(time.monotonic() - started)
            assert all((one.code, one.stdout, one.stderr) == (3, b"out\n", b"err\n") for one in results.values())
        return {
            "cold_s": seconds[0],
            "warm_s": seconds[1],
            "bytes": resident() - before,
            "connections": descriptors.in_use(),
            "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - a count is all that is wanted
        }


if __name__ == "__main__":
    told = json.loads(sys.stdin.readline())
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2]), told))
    else:
        print(json.dumps(asyncio.run(fan_out(told["key"], [Target(**each) for each in told["targets"]]))))
