"""Real SSH servers as the machines of a mock: each with the host key and the client's key that it was told."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
from pathlib import Path

FLEET = Path(__file__).parents[1] / "fleet"

SERVER = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import fleet_servers
from skyrig.fleet.ssh import asyncssh

async def main(home, host, port):
    private = asyncssh.import_private_key(sys.stdin.readline().encode().decode("unicode_escape"))
    listen, keys = asyncssh.listen, home / ".ssh" / "authorized_keys"
    async def there(_host, _port, server_factory, authorized_client_keys, **more):
        class Server(server_factory):
            def connection_made(self, connection):
                self.connection = connection

            def begin_auth(self, username):
                self.connection.set_authorized_keys(str(keys))
                return True

        return await listen(host, port, server_factory=Server, **more)
    asyncssh.listen = there
    async with fleet_servers.asyncssh_server(fleet_servers.Keys(private, private, private), home):
        print("up", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
"""


def free_address() -> str:
    """An address of this machine at which nobody serves SSH: the whole of 127/8 is this machine."""
    while True:
        address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.{random.randint(2, 250)}"
        with socket.socket() as probe:
            try:
                probe.bind((address, 22))
            except OSError:
                continue
            return address


class Served:
    """One machine that answers at `host`:`port`; its home is `home`, and goes with it."""

    def __init__(self, home: Path, host: str, port: int, private_key: str, client_key: str) -> None:
        self.home = home
        (home / ".ssh").mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (keys := home / ".ssh" / "authorized_keys").exists():
            keys.write_text(f"{client_key}\n")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SKYRIG_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(FLEET), str(home), host, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**inherited, "HOME": str(home), "SKYRIG_SERVED": str(home)},
            start_new_session=True,
        )
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{private_key.encode('unicode_escape').decode()}\n".encode())
        self.process.stdin.flush()
        if self.process.stdout.readline() != b"up\n":
            raise AssertionError(f"no SSH server at {host}:{port}")

    def close(self) -> None:
        """Kill it with all that it started; its disk goes too."""
        self.process.kill()
        self.process.wait()
        mine = f"SKYRIG_SERVED={self.home}\0".encode()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mine in (entry / "environ").read_bytes():
                    os.kill(int(entry.name), 9)
            except OSError:
                continue
        shutil.rmtree(self.home, ignore_errors=True)
