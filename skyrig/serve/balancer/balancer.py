"""The balancer as the steward has it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import shutil
import socket
import time
from pathlib import Path

from attrs import evolve

from skyrig.errors import SkyrigError
from skyrig.serve.balancer import files, installing, runtime
from skyrig.serve.balancer.config import BACKEND, Config, Places, render
from skyrig.serve.balancer.frontage import Frontage, Server
from skyrig.serve.balancer.haproxy import Process, Program, find
from skyrig.serve.balancer.measure import Measured, Meter
from skyrig.serve.balancer.runtime import Away
from skyrig.serve.balancer.traffic import Traffic

_SETTLE_S = 3.0
_LOOK_S = 0.05


class Balancer:
    """HAProxy with its files in `folder`. It outlives the process that started it: a new Balancer on the same folder
    finds it at work. One at a time uses a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = asyncio.Lock()
        self._program: Program | None = None
        self._places: Places | None = None
        self._runner: Process | None = None
        self._traffic: Traffic | None = None
        self._meter = Meter()

    def available(self) -> bool:
        """Whether there is a HAProxy here that is new enough."""
        self._program = self._program or find()
        return self._program is not None

    async def install(self) -> None:
        """Have HAProxy installed by the system's packages where it is not there; takes a minute or two then. Nothing is
        installed on a local node. SkyrigError where it cannot be had."""
        if not self.available():
            await installing.install()
            if not self.available():
                raise installing.missing("what the system's packages bring is too old")

    async def be(self, frontage: Frontage) -> None:
        """Have HAProxy serve `frontage`, whatever was before: start it, or change it without dropping a request. A
        server that is in `frontage` no more gets nothing from now on, and requests that still run there are cut off
        (drain it first). Call it again at any time: where all is as it shall be, it costs two looks; where HAProxy was
        killed, it is started again. SkyrigError with HAProxy's own words where it refuses."""
        async with self._turn:
            if not self.available() or self._program is None:
                raise installing.missing()
            program, where = self._program, self._where()
            self._listen(where)
            frontage = evolve(frontage, servers=tuple([await _numeric(each) for each in frontage.servers]))
            config = render(frontage, where, program.means())
            process = self._process()
            runs = await process.stamp()
            if runs != config.stamp:
                await self._switch(process, program, config, runs)
            elif where.config.read_text() != config.text:
                files.write(where.config, config.text)
            if program.means().dynamic and not await self._settle(process, frontage.servers):
                await self._switch(process, program, config, config.stamp)
            process.trim()

    async def in_flight(self, name: str) -> int:
        """Requests that run on the server `name` now, those of workers that a reload has replaced with them."""
        workers = await self._counted()
        return sum(each[name].in_flight for each in workers.values() if name in each)

    async def measure(self, window_s: float = 60.0) -> Measured:
        """What went through over the last `window_s` seconds (less where it was measured first later). Call it every
        second or so: rates come from what differs between calls, and what a worker did after the last one before it
        ended (at a reload, or killed) is in no sum."""
        if not self._folder.exists():
            return Measured()
        traffic, now = self._listen(self._where()), time.monotonic()
        self._meter.take(await self._counted(), now)
        return self._meter.measured(traffic.seen, window_s, now)

    async def metrics(self) -> str:
        """HAProxy's own metrics in Prometheus's text form; "" where HAProxy is away or was built without."""
        if not self._folder.exists():
            return ""
        try:
            said = await runtime.exchange(self._where().sockets / "metrics.sock", "GET /metrics HTTP/1.0\r\n\r")
        except OSError:
            return ""
        head, _, body = said.partition("\r\n\r\n")
        return body if " 200 " in head[:20] else ""

    async def stop(self) -> None:
        """End HAProxy and remove its files. Requests that run are cut off; to drain comes before."""
        async with self._turn:
            if not self._folder.exists():
                return
            where = self._where()
            await self._process().end()
            self.forget()
            if where.sockets != where.folder:
                shutil.rmtree(where.sockets, ignore_errors=True)
            shutil.rmtree(where.folder)
            self._places = self._runner = None

    def forget(self) -> None:
        """Let HAProxy be, and read no more of what it says: for a steward that ends while the service goes on."""
        if self._traffic is not None:
            self._traffic.close()
            self._traffic = None

    # -- parts of the above

    def _where(self) -> Places:
        """The folder, made; sockets lie in it, or where its path is too long for them, in one of ours in /tmp."""
        if self._places is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._places = Places(self._folder, files.sockets(self._folder))
        return self._places

    def _process(self) -> Process:
        self._runner = self._runner or Process(self._where())
        return self._runner

    def _listen(self, where: Places) -> Traffic:
        self._traffic = self._traffic or Traffic(where.sockets / "log.sock")
        self._traffic.listen()
        return self._traffic

    async def _switch(self, process: Process, program: Program, config: Config, runs: str | None) -> None:
        """Bring the configuration to disk and have HAProxy take it; where it refuses, what was there stays."""
        where = self._where()
        for name, text in config.files.items():
            files.write(where.folder / name, text)
        fresh = where.config.with_suffix(".new")
        files.write(fresh, config.text)
        await process.check(program, fresh)
        before = where.config.read_text() if where.config.exists() else ""
        if runs is not None:
            self._meter.take(await self._counted(), time.monotonic())  # workers that end take their counters along
        fresh.replace(where.config)
        try:
            await (process.start(program, config.stamp) if runs is None else process.reload(config.stamp, before))
        except SkyrigError:
            if before:
                files.write(where.config, before)
            raise
        kept = {*config.files, where.config.name}
        for path in where.folder.iterdir():
            if path.name.startswith(("cert-", "keys-", "haproxy.cfg")) and path.name not in kept:
                path.unlink()

    async def _settle(self, process: Process, wanted: tuple[Server, ...]) -> bool:
        """Have the process that runs give to the servers `wanted`, and to no other. One that is to go may stay on its
        list, with nothing to do, until its last connection is closed."""
        deadline = time.monotonic() + _SETTLE_S
        while True:
            try:
                known = runtime.servers(await runtime.ask(process.worker, f"show servers state {BACKEND}"))
                for steps in runtime.changes(known, wanted):
                    await runtime.ask(process.worker, "; ".join(steps))
                if not runtime.changes(known, wanted):
                    return True
                known = runtime.servers(await runtime.ask(process.worker, f"show servers state {BACKEND}"))
            except Away:
                return False
            if runtime.settled(known, wanted):
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_S)

    async def _counted(self) -> dict[int, dict[str, runtime.Counts]]:
        """The counters of each worker by its pid; none where HAProxy is away."""
        if not self._folder.exists():
            return {}
        process = self._process()
        family = await process.family()
        found = {}
        for pid in (*family.workers, *family.old) if family else ():
            with contextlib.suppress(Away):  # an old one may end at any moment
                found[pid] = runtime.counts(await runtime.ask(process.master, f"@!{pid} show stat"))
        return found


async def _numeric(server: Server) -> Server:
    """`server` with its host as a number. SkyrigError where the name is not known."""
    host, _, port = server.address.rpartition(":")
    with contextlib.suppress(ValueError):
        return evolve(server, address=runtime.address(str(ipaddress.ip_address(host.strip("[]"))), int(port)))
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        raise SkyrigError(f"the address of replica {server.name}, {host}, cannot be found: {error}") from error
    return evolve(server, address=runtime.address(str(found[0][4][0]), int(port)))
